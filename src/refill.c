/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From the map to magazines, and back: see caches.h. */
#include "caches.h"
#include "state.h"

#define HOLES_MAX 16U	     /* searched for one batch */
#define QUIET_REFILLS 64     /* until a magazine shrinks */
#define BUDGET_UNITS 256     /* may be cached while the top rises: 1 KiB, */
#define CONTENTION_UNITS 16  /* and more for each time that the lock was contended, */
#define CONTENDED_UNITS 4096 /* up to 16 KiB for each index */
#define FLUSHES_STRICT 32    /* flushes; then a budget more is refilled before each, */
#define STRETCH_MAX 1024     /* up to so many budgets */
#define TOP_SHARE 4	     /* of the budget one batch may have that raises the top */

static struct state *const state = &cpu_alloc_state;
static struct caches *const caches = &cpu_alloc_state.caches;

/* Under the lock: units on their way between the map and magazines. */
static uint32_t batch[MAGAZINE_N_MASK + 1];

/* Units that may be cached while the areas get fuller than ever. */
static uint64_t budget(void)
{
	uint64_t units = BUDGET_UNITS;

	for (int i = 0; i < caches->used_below; i++) {
		const uint64_t more = (uint64_t)caches->use[i].contended * CONTENTION_UNITS;

		units += more < CONTENDED_UNITS ? more : CONTENDED_UNITS;
	}
	return units;
}

static bool hold_too_much(void)
{
	const uint64_t most = budget();
	const uint64_t stretch = 1 + caches->flushes / FLUSHES_STRICT;

	return caches->refilled > most * (stretch < STRETCH_MAX ? stretch : STRETCH_MAX) &&
	       caches_count().units > most;
}

/* Room in the map. */

static bool raises_top(uint32_t end)
{
	return end > state->counters.top_units;
}

/* Is a run of pages on its way back to the system? It may be all that is free. */
static bool wait_for_trim(void)
{
	if (!state_is_lent())
		return false;
	lock_drop(&state->lock);
	if (lock_take(&state->trim_lock))
		lock_drop(&state->trim_lock);
	lock_take(&state->lock);
	return true;
}

/* Nothing stays in magazines, and they stay closed until it is clear. */
static uint32_t find_at_last(uint32_t units, uint32_t order, uint32_t *found, uint32_t count)
{
	const bool closed = caches_close();
	uint32_t n;

	if (closed)
		caches_drain();
	do {
		n = map_alloc_batch(&state->map, units, order, found, count);
	} while (n == 0 && (caches_settle(UINT32_MAX) || state_grow(units, order)));
	if (closed)
		caches_open();
	return n;
}

uint32_t caches_find(uint32_t units, uint32_t order, uint32_t *found, uint32_t count, bool may_wait)
{
	if (units > state->map.units_max)
		return 0; /* nobody has to give anything back for that */
	for (;;) {
		const uint32_t n = map_alloc_batch(&state->map, units, order, found, count);

		if (n && (!may_wait || !raises_top(found[n - 1] + units) || !hold_too_much()))
			return n;
		if (n)
			map_free_batch(&state->map, units, found, n);
		else if (!may_wait)
			return 0;
		if (n || hold_too_much()) {
			caches->flushes++;
			caches_flush();
		} else if (wait_for_trim()) {
			if (!lock_is_mine(&state->lock))
				return 0;
		} else if (!state_grow(units, order)) {
			return find_at_last(units, order, found, count);
		}
	}
}

/* Refilling. */

/* At least one, also of a copy of a magazine, which is clear. */
static uint32_t batch_of(uint32_t cap)
{
	return cap < 2 ? 1 : cap / 2 < BATCH_MAX ? cap / 2 : BATCH_MAX;
}

/*
 * The depot: batches of a class whose objects come back elsewhere than where it was
 * refilled last. What one index alone takes and spills goes through the map, for packing.
 */

/* Take at most @most out. Returns how many. */
static uint32_t pop_from_depot(uint32_t units, uint32_t *slots, uint32_t most)
{
	struct magazine *depot = magazine_at(&state->magazines, DEPOT, units);
	uint32_t held, n;

	if (!(caches->use[DEPOT].classes >> (units - 1) & 1))
		return 0; /* its memory shall not come for that */
	held = magazine_n(depot);
	n = held < most ? held : most;
	for (uint32_t i = 0; i < n; i++)
		slots[i] = depot->slot[held - n + i];
	caches->popped += n;
	__atomic_store_n(&depot->word, depot->word + n * (uint64_t)MAGAZINE_N_MASK,
			 __ATOMIC_RELAXED);
	return n;
}

/* Up to @most of what this CPU's magazine has, or the depot's. Returns how many. */
static uint32_t pop_some(int index, uint32_t units, uint32_t *slots, uint32_t most)
{
	uint32_t n = 0, slot, tag;

	if (index == DEPOT)
		return pop_from_depot(units, slots, most);
	while (n < most && (slot = caches_pop(units, &tag)) != MAGAZINE_NOTHING)
		slots[n++] = slot & ~MAGAZINE_FRESH;
	caches->popped += n;
	return n;
}

/*
 * A class has its cap halved for another's sake, once it has no more objects than that:
 * so caps bound what there is. Do objects have to leave for it, a batch at most?
 */
static bool give_room(int index, uint32_t units)
{
	static uint32_t leaving[BATCH_MAX]; /* under the lock */
	const struct magazine *magazine = magazine_at(&state->magazines, index, units);
	const uint32_t half = magazine_load(&magazine->cap) / 2, n = magazine_n(magazine);
	uint32_t left;

	if (half < caches_base_cap(units))
		return false;
	if (n <= half) {
		caches_shrink_cap(index, units);
		return false;
	}
	left = pop_some(index, units, leaving, n - half < BATCH_MAX ? n - half : BATCH_MAX);
	caches_give_to_map(units, leaving, left);
	return true;
}

/* Other classes of @index shrink, in turns, until one of @units may grow. */
static void make_room(int index, uint32_t units)
{
	struct index_use *use = &caches->use[index];

	for (uint32_t n = 0; n < SMALL_UNITS && !caches_have_room(index, units); n++) {
		const uint32_t hand = use->hand % SMALL_UNITS + 1;

		if (hand != units && use->classes >> (hand - 1) & 1 && give_room(index, hand))
			return; /* and so will the next, before others' turn */
		use->hand = hand;
	}
}

/* Put in as many of @slots as there is room for. Returns how many are left: the first. */
static uint32_t put_in_depot(int index, uint32_t units, const uint32_t *slots, uint32_t n)
{
	const int last = caches->refilled_on[units] - 1;
	struct magazine *depot;
	uint32_t held, left = n;

	if (last < 0 || last == index)
		return n;
	depot = caches_use_depot(units);
	held = magazine_n(depot);
	if (held + n > depot->cap) {
		make_room(DEPOT, units);
		caches_grow_cap(DEPOT, units);
	}
	while (left > 0 && held < depot->cap)
		depot->slot[held++] = slots[--left];
	caches->pushed += n - left;
	__atomic_store_n(&depot->word, depot->word + n - left, __ATOMIC_RELAXED);
	return left;
}

/*
 * At a refill. Twice as many where the lock was contended, and where objects went back
 * to the map since the last refill, that could have stayed; after a while without
 * either fewer again.
 */
static void adapt(int index, struct magazine *magazine, uint32_t units, bool contended)
{
	if (contended || magazine->spilled) {
		caches->use[index].contended += contended;
		magazine->quiet = 0;
		magazine->spilled = false;
		make_room(index, units);
		caches_grow_cap(index, units);
	} else if (++magazine->quiet >= QUIET_REFILLS) {
		magazine->quiet = 0;
		caches_shrink_cap(index, units);
	}
}

/* Of a batch that raises the top: as much as the budget makes sensible. */
static uint32_t leave_most(uint32_t units, uint32_t n)
{
	const uint64_t most = budget() / TOP_SHARE / units;
	const uint32_t keep = most == 0 ? 1 : most < n ? (uint32_t)most : n;

	if (keep < n)
		map_free_batch(&state->map, units, batch + keep, n - keep);
	return keep;
}

/* More of what caches_find() has found, as far as that does not raise the top. */
static uint32_t find_more(uint32_t units, uint32_t order, uint32_t n, uint32_t count)
{
	for (uint32_t hole = 1; n < count && hole < HOLES_MAX; hole++) {
		const uint32_t more =
			map_alloc_batch(&state->map, units, order, batch + n, count - n);

		if (more == 0)
			break;
		if (raises_top(batch[n + more - 1] + units)) {
			map_free_batch(&state->map, units, batch + n, more);
			break;
		}
		n += more;
	}
	return n;
}

/* The object leaves the map: as a slot. */
static uint32_t slot_of(uint32_t unit, uint32_t units)
{
	const struct pages_taken taken = pages_take(&state->pages, unit, unit + units);

	return unit | (pages_was_fresh(&state->pages, &taken) ? MAGAZINE_FRESH : 0);
}

/* There are objects: somebody else was faster, or we were called here (caches_call). */
static uint32_t pop_after_all(const struct magazine *magazine, uint32_t units, uint32_t *tag)
{
	uint32_t slot = MAGAZINE_NOTHING;

	if (magazine_n(magazine) > caches_reserve(units))
		slot = caches_pop(units, tag);
	if (slot != MAGAZINE_NOTHING)
		caches->popped++; /* our caller counts it */
	return slot;
}

/* From the map: to `batch`, as slots. Returns how many, 0 if none fit. */
static uint32_t take_from_map(uint32_t units, uint32_t order, uint32_t most, bool may_wait)
{
	uint32_t n = caches_find(units, order, batch, most, may_wait);

	if (n == 0)
		return 0;
	n = raises_top(batch[n - 1] + units) ? leave_most(units, n)
					     : find_more(units, order, n, most);
	state_note_peak(batch[n - 1] + units);
	for (uint32_t i = 0; i < n; i++)
		batch[i] = slot_of(batch[i], units);
	return n;
}

uint32_t caches_refill(uint32_t units, uint32_t order, bool contended, bool may_wait, uint32_t *tag)
{
	const int index = cpu_alloc_index();
	struct magazine *magazine = caches_use(index, units);
	uint32_t most = 1, n = 0;

	*tag = object_state(OWNER_SHARED, units);
	if (magazine) {
		const uint32_t slot = pop_after_all(magazine, units, tag);

		magazine_store(&magazine->floor[FLOOR_RESERVE], caches_reserve(units));
		if (slot != MAGAZINE_NOTHING)
			return slot;
		adapt(index, magazine, units, contended);
		most = batch_of(magazine_load(&magazine->cap)) + caches_reserve(units);
		*tag = magazine->tag;
		caches->refilled_on[units] = (uint16_t)(index + 1);
		n = pop_from_depot(units, batch, most);
	}
	if (n == 0)
		n = take_from_map(units, order, most, may_wait);
	if (n == 0)
		return MAGAZINE_NOTHING;
	caches->refilled += n * units;
	/* The lowest is popped first. */
	while (n > 1 && caches_push(units, batch[n - 1])) {
		caches->pushed++;
		n--;
	}
	for (uint32_t i = 1; i < n; i++)
		batch[i] &= ~MAGAZINE_FRESH;
	if (n > 1)
		caches_give_to_map(units, batch + 1, n - 1);
	return batch[0];
}

/* Freeing. */

/* Under the lock: a batch from the magazine, and the object that did not fit, leave this index. */
static void give_batch(uint32_t unit, uint32_t units)
{
	const int index = cpu_alloc_index();
	struct magazine *magazine = caches_use(index, units);
	uint32_t n = 0;

	if (magazine && caches_push(units, unit)) /* it was not in use */
		return;
	if (magazine) {
		magazine->spilled = true;
		n = pop_some(index, units, batch, batch_of(magazine_load(&magazine->cap)));
	}
	batch[n++] = unit;
	if (magazine)
		n = put_in_depot(index, units, batch, n);
	caches_give_to_map(units, batch, n);
	count(&state->counters.frees);
}

/* The lock is taken: room in the magazine instead. */
static bool grow_and_push(uint32_t unit, uint32_t units)
{
	const int index = caches_are_there() ? cpu_alloc_index() : -1;

	if (index < 0)
		return false;
	caches->use[index].contended++; /* a hint */
	return caches_grow_cap(index, units) && caches_push(units, unit);
}

void caches_give(uint32_t unit, uint32_t units)
{
	const bool small = units <= SMALL_UNITS;

	if (small && caches_are_there() && caches_push(units, unit))
		return;
	if (lock_try_briefly(&state->lock)) {
		caches_settle(SETTLED_MAX);
		if (small) {
			give_batch(unit, units);
		} else {
			caches_give_to_map(units, &unit, 1);
			count(&state->counters.frees);
		}
		trim_tick();
		lock_drop(&state->lock);
	} else if (!small || !grow_and_push(unit, units)) {
		pending_add(&state->objects, unit, units);
		count(&state->counters.frees);
	}
}
