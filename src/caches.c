/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The magazines of all indices: starting, closing, emptying: see caches.h. */
#include "caches.h"
#include "fence.h"
#include "index.h"
#include "os.h"
#include "state.h"

#define ATTEMPTS 16	 /* at a section: more interruptions on end are made on purpose */
#define BASE_OBJECTS 16U /* a batch where nobody contends: so many, */
#define BASE_UNITS 96U	 /* or so much */
#define AREA_SHARE 8	 /* of an area all magazines may hold, if they grow; but those of an */
#define INDEX_MIN 8192U	 /* index 32 KiB in any case, */
#define INDEX_MAX 32768U /* and 128 KiB at most */
#define RESERVE 4U	 /* objects that only GFP_ATOMIC takes, where it does */
#define LOOK_EVERY 64	 /* refills; then one index is looked at, whether it is idle */

static struct state *const state = &cpu_alloc_state;
static struct caches *const caches = &cpu_alloc_state.caches;

/* All indices that may have magazines in use, the depot with them. */
#define for_each_used(index)                                                                       \
	for (int index = DEPOT; caches->use && index < caches->used_below; index++)

/* The magazines of @index that are in use, and their classes. */
#define for_each_magazine(magazine, units, index)                                                  \
	for (uint64_t left = caches->use[index].classes;                                           \
	     left && (units = (uint32_t)__builtin_ctzll(left) + 1,                                 \
		     magazine = magazine_at(&state->magazines, index, units), true);               \
	     left &= left - 1)

size_t caches_bytes(int indices)
{
	return (size_t)(indices - DEPOT) * sizeof(struct index_use);
}

void caches_init(struct index_use *use)
{
	*caches = (struct caches){.use = use - DEPOT};
}

/* It needs sections, and a fence that stops them. */
bool caches_are_possible(void)
{
	return index_by_sections() && fence_index(-1);
}

void caches_start(char *memory)
{
	char *class = memory - DEPOT * (ptrdiff_t)MAGAZINES_STRIDE;

	for (uint32_t units = 1; units <= SMALL_UNITS; units++) {
		state->magazines.class[units] = class;
		class += magazine_bytes(units);
	}
	state->magazines.way =
		(struct magazine_way){cpu_alloc_known_offset, cpu_alloc_index_offset};
	/* From here on others look, and find zeros. */
	__atomic_store_n(&state->magazines.sizes, SMALL_UNITS * CPU_ALLOC_UNIT, __ATOMIC_RELEASE);
	if (OWNER_BIASED + state->nr <= OWNER_END) /* states have room for all indices */
		__atomic_store_n(&state->magazines.offsets, state->areas.limit, __ATOMIC_RELEASE);
}

/* Of one magazine. */

uint32_t caches_base_cap(uint32_t units)
{
	const uint32_t n = BASE_UNITS / units;

	return 2 * (n > BASE_OBJECTS ? BASE_OBJECTS : n ? n : 1);
}

/* What an object gets that is popped on @index, where nobody else frees it. */
uint16_t caches_self(int index, uint32_t units)
{
	return object_state(caches_are_biased() ? OWNER_BIASED + (uint32_t)index : OWNER_SHARED,
			    units);
}

uint32_t caches_reserve(uint32_t units)
{
	const uint64_t asked = __atomic_load_n(&caches->atomic_classes, __ATOMIC_RELAXED);

	return asked >> (units - 1) & 1 ? RESERVE : 0;
}

/* So many objects of @units more are allowed, or less. */
static void add_to_caps(int index, uint32_t units, int objects)
{
	__atomic_fetch_add(&caches->use[index].cap_units, (uint32_t)objects * units,
			   __ATOMIC_RELAXED);
}

/* From @cap to @other, if it is still that, and not closed. */
static bool change_cap(int index, uint32_t units, uint32_t cap, uint32_t other)
{
	struct magazine *magazine = magazine_at(&state->magazines, index, units);

	if (cap == 0 || cap == other ||
	    !__atomic_compare_exchange_n(&magazine->cap, &cap, other, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return false;
	add_to_caps(index, units, (int)other - (int)cap);
	return true;
}

static uint32_t cap_of(int index, uint32_t units)
{
	return magazine_load(&magazine_at(&state->magazines, index, units)->cap);
}

/* Twice as much, or as much as there are slots for. */
static uint32_t larger_cap(uint32_t cap, uint32_t units)
{
	const uint32_t most = magazine_slots(units);

	return 2 * cap < most ? 2 * cap : most;
}

/* Units that the magazines of an index may hold together. */
static uint32_t index_units(void)
{
	const int below = __atomic_load_n(&caches->used_below, __ATOMIC_RELAXED);
	const uint32_t indices = (uint32_t)(below - DEPOT);
	const uint32_t share = state->map.units_max / AREA_SHARE / indices;

	return share < INDEX_MIN ? INDEX_MIN : share > INDEX_MAX ? INDEX_MAX : share;
}

bool caches_have_room(int index, uint32_t units)
{
	const uint32_t cap = cap_of(index, units), more = larger_cap(cap, units) - cap;

	return magazine_load(&caches->use[index].cap_units) + more * units <= index_units();
}

bool caches_grow_cap(int index, uint32_t units)
{
	const uint32_t cap = cap_of(index, units);

	return caches_have_room(index, units) &&
	       change_cap(index, units, cap, larger_cap(cap, units));
}

void caches_shrink_cap(int index, uint32_t units)
{
	const uint32_t cap = cap_of(index, units);

	if (cap / 2 >= caches_base_cap(units))
		change_cap(index, units, cap, cap / 2);
}

static struct magazine *use_one(int index, uint32_t units)
{
	struct magazine *magazine = magazine_at(&state->magazines, index, units);
	struct index_use *use = &caches->use[index];

	if (!(use->classes >> (units - 1) & 1)) {
		use->classes |= 1ULL << (units - 1);
		if (caches->used_below <= index)
			__atomic_store_n(&caches->used_below, index + 1, __ATOMIC_RELAXED);
		magazine->tag = caches_self(index, units);
		magazine->spilled = false;
		magazine->quiet = magazine->shared_for = magazine->patience = 0;
		magazine_store(&magazine->floor[FLOOR_RESERVE], caches_reserve(units));
		magazine_store(&magazine->floor[FLOOR_ATOMIC], 0);
		magazine_store(&magazine->cap, caches_base_cap(units));
		add_to_caps(index, units, (int)caches_base_cap(units));
	}
	return magazine;
}

struct magazine *caches_use(int index, uint32_t units)
{
	return caches_are_there() && index >= 0 && index < state->nr ? use_one(index, units) : NULL;
}

struct magazine *caches_use_depot(uint32_t units)
{
	return use_one(DEPOT, units);
}

/* Pop and push until it is clear that it is not for an interruption that they fail. */

uint32_t caches_pop(uint32_t units, uint32_t *tag)
{
	uint32_t slot = MAGAZINE_NOTHING;

	for (int n = 0; n < ATTEMPTS && slot == MAGAZINE_NOTHING; n++) {
		const int index = cpu_alloc_index();

		if (index < 0 || magazine_n(magazine_at(&state->magazines, index, units)) == 0)
			break;
		slot = magazine_pop_reserve(state->magazines.way, state->magazines.class[units],
					    tag);
	}
	return slot;
}

bool caches_push(uint32_t units, uint32_t slot)
{
	for (int n = 0; n < ATTEMPTS; n++) {
		const int index = cpu_alloc_index();
		const struct magazine *magazine;

		if (index < 0)
			return false;
		magazine = magazine_at(&state->magazines, index, units);
		if (magazine_n(magazine) >= magazine_load(&magazine->cap))
			return false;
		if (magazine_push(state->magazines.way, state->magazines.class[units], slot))
			return true;
	}
	return false;
}

static void call(struct magazine *magazine)
{
	magazine_store(&magazine->floor[FLOOR_RESERVE], MAGAZINE_CLOSED);
}

void caches_call(uint32_t units)
{
	const int index = caches_are_there() ? cpu_alloc_index() : -1;

	if (index >= 0 && caches->use[index].classes >> (units - 1) & 1)
		call(magazine_at(&state->magazines, index, units));
}

void caches_call_all(void)
{
	struct magazine *magazine;
	uint32_t units;

	for_each_used (i)
		for_each_magazine (magazine, units, i)
			call(magazine);
}

/* To the map. */

void caches_give_to_map(uint32_t units, uint32_t *found, uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		pages_release(&state->pages, found[n], found[n] + units);
	map_free_batch(&state->map, units, found, count);
}

/* One object; the map knows its size. */
static uint32_t settle(uint32_t unit)
{
	uint32_t units = 0;

	/* In a child that was copied while others freed, a bit may be newer than the state. */
	if (state_owner(object_read(&state->objects, unit)) != OWNER_NOBODY ||
	    map_look(&state->map, unit, &units) != MAP_OBJECT)
		return 0;
	pages_release(&state->pages, unit, unit + units);
	map_free(&state->map, unit, units);
	return units;
}

uint32_t caches_settle(uint32_t most)
{
	uint32_t found[64], n, done = 0;

	while (done < most && pending_any(&state->objects)) {
		uint64_t units = 0;

		n = pending_take(&state->objects, found, most - done < 64 ? most - done : 64);
		for (uint32_t i = 0; i < n; i++)
			units += settle(found[i]);
		pending_forget(&state->objects, n, units);
		done += n;
		if (n == 0)
			break; /* somebody has counted it, and is about to add it */
	}
	return done;
}

/* Closing, and what can be done then. */

/* Close the magazines of one index, or open them. */

static void close_index(int index)
{
	struct magazine *magazine;
	uint32_t units;

	for_each_magazine (magazine, units, index) {
		magazine_store(&magazine->floor[FLOOR_RESERVE], MAGAZINE_CLOSED);
		magazine_store(&magazine->floor[FLOOR_ATOMIC], MAGAZINE_CLOSED);
		magazine->open_cap =
			(uint16_t)__atomic_exchange_n(&magazine->cap, 0, __ATOMIC_RELAXED);
	}
}

static void open_index(int index)
{
	struct magazine *magazine;
	uint32_t units;

	for_each_magazine (magazine, units, index) {
		magazine_store(&magazine->floor[FLOOR_RESERVE], caches_reserve(units));
		magazine_store(&magazine->floor[FLOOR_ATOMIC], 0);
		magazine_store(&magazine->cap, magazine->open_cap);
	}
}

/* Of a closed index. */
static void drain_index(int index)
{
	static uint32_t batch[MAGAZINE_N_MASK]; /* under the lock; too much for a small stack */
	struct magazine *magazine;
	uint32_t units;

	for_each_magazine (magazine, units, index) {
		const uint64_t word = __atomic_load_n(&magazine->word, __ATOMIC_RELAXED);
		const uint32_t n = word & MAGAZINE_N_MASK;

		if (n == 0)
			continue;
		for (uint32_t i = 0; i < n; i++)
			batch[i] = magazine->slot[i] & ~MAGAZINE_FRESH;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&magazine->word, __ATOMIC_RELAXED) != word)
			continue; /* a handler has forked: this is the copy, and they are clear */
		__atomic_store_n(&magazine->word, word - n, __ATOMIC_RELAXED);
		caches->taken += n;
		caches_give_to_map(units, batch, n);
	}
}

/* Of a closed index: what has grown shall prove anew that it has to. */
static void shrink_index(int index)
{
	struct magazine *magazine;
	uint32_t units;

	for_each_magazine (magazine, units, index) {
		const uint32_t half = magazine->open_cap / 2;

		if (half < caches_base_cap(units))
			continue;
		add_to_caps(index, units, (int)half - magazine->open_cap);
		magazine->open_cap = (uint16_t)half;
	}
	caches->use[index].contended /= 2;
}

/* Of a closed index, drained: its memory goes back, its pops are remembered. */
static void drop_index(int index)
{
	struct index_use *use = &caches->use[index];
	struct magazine *magazine;
	uint32_t units;

	for_each_magazine (magazine, units, index) {
		caches->gone += magazine_pops(magazine);
		magazine->word = 0;
		add_to_caps(index, units, -magazine->open_cap);
	}
	use->classes = use->seen = 0; /* cap_units may still be changed by others */
	use->contended = use->hand = 0;
	os_discard(magazine_at(&state->magazines, index, 1), os_round_to_page(MAGAZINES_BYTES));
}

bool caches_close(void)
{
	int used = 0, last = 0;

	for_each_used (i)
		if (caches->use[i].classes) {
			close_index(i);
			used += i != DEPOT;
			last = i;
		}
	if (used == 0 || (used == 1 ? cpu_fence(last) : cpu_fence_all()) == 0)
		return true;
	caches_open();
	return false;
}

void caches_open(void)
{
	for_each_used (i)
		open_index(i);
}

void caches_drain(void)
{
	caches->pops = caches_count().pops;
	for_each_used (i) {
		drain_index(i);
		shrink_index(i);
	}
	caches_settle(UINT32_MAX);
}

void caches_flush(void)
{
	caches->refilled = 0; /* also if it fails: whoever flushes tries that once */
	if (!caches_close())
		return;
	caches_drain();
	caches_open();
}

void caches_trim(void)
{
	caches_settle(UINT32_MAX);
	if (!caches_close())
		return;
	caches_drain();
	for_each_used (i)
		if (caches->use[i].classes)
			drop_index(i);
	__atomic_store_n(&caches->used_below, 0, __ATOMIC_RELAXED);
}

void caches_forget(void)
{
	struct magazine *magazine;
	uint32_t units;

	if (caches->use)
		for_each_magazine (magazine, units, DEPOT)
			magazine->word = 0;
	for_each_used (i)
		caches->use[i] = (struct index_use){0};
	__atomic_store_n(&caches->used_below, 0, __ATOMIC_RELAXED);
	caches->gone = caches->pops;
	caches_settle(UINT32_MAX);
	state->objects.pending_objects = state->objects.pending_units = 0;
}

/* A sum that changes with whatever an index does. */
static uint64_t activity(int index)
{
	struct magazine *magazine;
	uint64_t sum = 0;
	uint32_t units;

	for_each_magazine (magazine, units, index)
		sum += __atomic_load_n(&magazine->word, __ATOMIC_RELAXED);
	return sum;
}

static int next_used(int index)
{
	const int first = index;

	do {
		index = index + 1 < caches->used_below ? index + 1 : DEPOT;
	} while (index != first && !caches->use[index].classes);
	return index;
}

void caches_look_for_idle(void)
{
	struct index_use *use;
	uint64_t now;
	int index;

	if (++caches->refills % LOOK_EVERY || caches->used_below == 0)
		return;
	caches->looked_at = index = next_used(caches->looked_at);
	use = &caches->use[index];
	now = activity(index);
	if (now != use->seen) {
		use->seen = now;
		return;
	}
	if (index == DEPOT) { /* it is on the way of all refills: it keeps its memory */
		drain_index(index);
		return;
	}
	close_index(index);
	if (fence_index(index)) {
		drain_index(index);
		drop_index(index);
	} else {
		open_index(index);
	}
}

/* Figures. */

struct caches_count caches_count(void)
{
	struct caches_count sum = {
		.objects = __atomic_load_n(&state->objects.pending_objects, __ATOMIC_RELAXED),
		.units = __atomic_load_n(&state->objects.pending_units, __ATOMIC_RELAXED),
	};
	uint64_t pops = caches->gone, objects = 0;
	struct magazine *magazine;
	uint32_t units;

	for_each_used (i)
		for_each_magazine (magazine, units, i) {
			objects += magazine_n(magazine);
			sum.units += magazine_n(magazine) * units;
			pops += magazine_pops(magazine);
		}
	sum.objects += objects;
	sum.pops = pops;
	sum.allocs = pops - caches->popped;
	sum.frees = pops + objects + caches->taken - caches->pushed;
	return sum;
}
