/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Objects that belong to somebody, see owned.h. */
#include "owned.h"
#include "state.h"

static unsigned char *taken; /* of each unit: 1 if it belongs to an object */
static size_t taken_units;
static uint64_t last_value, objects, misuses;
static bool eagain_allowed, others_forgotten;

static struct {
	const char *wrong;
	const void *ptr;
	size_t size;
	unsigned int count;
} noted;

void owned_note(const char *wrong, const void *ptr, size_t size)
{
	if (__atomic_fetch_add(&noted.count, 1, __ATOMIC_RELAXED) > 0)
		return;
	noted.ptr = ptr;
	noted.size = size;
	__atomic_store_n(&noted.wrong, wrong, __ATOMIC_RELEASE);
}

void must_be_well(void)
{
	const char *wrong = __atomic_load_n(&noted.wrong, __ATOMIC_ACQUIRE);

	if (wrong)
		printf("%s: %p, %zu bytes; %u such notes\n", wrong, noted.ptr, noted.size,
		       noted.count);
	must(!wrong);
}

void owned_set_up(const char *options)
{
	must(!options || cpu_alloc_setup(options) == 0);
	cpu_free(cpu_alloc(4, GFP_KERNEL, 4), 4); /* or GFP_ATOMIC gets nothing */
	cpu_alloc_trim();
	taken_units = stats_now().area_bytes / CPU_ALLOC_UNIT;
	taken = mmap(NULL, taken_units, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(taken != MAP_FAILED);
}

static size_t whole_units(size_t size)
{
	return (size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT;
}

static void take_units(const struct owned *owned)
{
	const size_t first = cpu_alloc_offset(owned->ptr) / CPU_ALLOC_UNIT;

	for (size_t n = 0; n < whole_units(owned->size); n++)
		if (__atomic_exchange_n(&taken[first + n], 1, __ATOMIC_RELAXED) != 0 &&
		    !others_forgotten)
			owned_note("two objects overlap", owned->ptr, owned->size);
}

static void leave_units(const struct owned *owned)
{
	const size_t first = cpu_alloc_offset(owned->ptr) / CPU_ALLOC_UNIT;

	for (size_t n = 0; n < whole_units(owned->size); n++)
		if (__atomic_exchange_n(&taken[first + n], 0, __ATOMIC_RELAXED) != 1)
			owned_note("a unit was left by another", owned->ptr, owned->size);
}

uint64_t owned_objects(void)
{
	return __atomic_load_n(&objects, __ATOMIC_RELAXED);
}

void owned_allow_eagain(void)
{
	eagain_allowed = true;
}

void owned_forget_others(void)
{
	others_forgotten = true;
}

/* What unit @n of instance @i holds. */
static uint32_t word_of(uint64_t value, int i, size_t n)
{
	return (uint32_t)((value * 8192 + (uint64_t)(i + 1)) * UINT64_C(0x9e3779b97f4a7c15) >> 32) ^
	       (uint32_t)n;
}

static void write_instances(const struct owned *owned)
{
	cpu_alloc_for_each (i) {
		uint32_t *word = (uint32_t *)(void *)instance(owned->ptr, i);

		for (size_t n = 0; n < whole_units(owned->size); n++)
			word[n] = word_of(owned->value, i, n);
	}
}

bool owned_is_intact(const struct owned *owned)
{
	cpu_alloc_for_each (i) {
		const uint32_t *word = (const uint32_t *)(void *)instance(owned->ptr, i);

		for (size_t n = 0; n < whole_units(owned->size); n++)
			if (word[n] != word_of(owned->value, i, n))
				return false;
	}
	return true;
}

static void refused(struct books *books, struct request request)
{
	if (errno == EAGAIN && (eagain_allowed || !(request.flags & GFP_KERNEL)))
		books->eagain++;
	else if (errno == ENOMEM)
		books->enomem++;
	else
		owned_note("refused for a wrong reason", NULL, request.size);
}

void owned_take(struct owned *owned, struct books *books, struct request request, void *ptr)
{
	*owned = (struct owned){.ptr = ptr, .size = request.size};
	owned->value = __atomic_add_fetch(&last_value, 1, __ATOMIC_RELAXED);
	take_units(owned);
	__atomic_fetch_add(&objects, 1, __ATOMIC_RELAXED);
	if (request.align && cpu_alloc_offset(ptr) % request.align != 0)
		owned_note("not aligned", ptr, request.align);
	if (request.flags & __GFP_ZERO &&
	    !instances_zero(ptr, whole_units(owned->size) * CPU_ALLOC_UNIT))
		owned_note("not zeroed", ptr, owned->size);
	write_instances(owned);
	books->allocs++;
	books->bytes += whole_units(owned->size) * CPU_ALLOC_UNIT;
}

bool owned_make(struct owned *owned, struct books *books, struct request request)
{
	void *ptr = cpu_alloc(request.size, request.flags, request.align);

	if (ptr) {
		owned_take(owned, books, request, ptr);
	} else {
		owned->ptr = NULL;
		refused(books, request);
	}
	return ptr != NULL;
}

void owned_leave(struct owned *owned, struct books *books)
{
	if (!owned_is_intact(owned))
		owned_note("written by another", owned->ptr, owned->size);
	__atomic_fetch_sub(&objects, 1, __ATOMIC_RELAXED);
	leave_units(owned);
	owned->ptr = NULL;
	books->frees++;
	books->bytes -= whole_units(owned->size) * CPU_ALLOC_UNIT;
}

void owned_drop(struct owned *owned, struct books *books)
{
	void *ptr = owned->ptr;

	if (!ptr)
		return;
	owned_leave(owned, books);
	cpu_free(ptr, owned->size);
}

void owned_expect_misuse(void)
{
	__atomic_fetch_add(&misuses, 1, __ATOMIC_RELAXED);
}

/* The map's own view, which no statistics tell. */
static uint64_t mapped_bytes(void)
{
	return units_to_bytes(cpu_alloc_state.map.used_units);
}

/* One is made and freed by the set-up. */
static bool agree(const struct cpu_alloc_stats *now, const struct books *books)
{
	return now->allocs == 1 + books->allocs && now->frees == 1 + books->frees &&
	       now->objects == books->allocs - books->frees && now->cpu_bytes == books->bytes &&
	       now->cpu_bytes <= now->peak_bytes && now->failed_eagain == books->eagain &&
	       now->failed_enomem == books->enomem && now->failed_einval == 0 &&
	       now->misuses == misuses && mapped_bytes() == now->cpu_bytes + now->cached_bytes;
}

/* Of each index: is what its magazines may hold together what it is said to be? */
static void caps_must_add_up(void)
{
	const struct state *state = &cpu_alloc_state;

	for (int i = DEPOT; state->caches.use && i < state->caches.used_below; i++) {
		uint32_t sum = 0;

		for (uint32_t units = 1; units <= SMALL_UNITS; units++)
			if (state->caches.use[i].classes >> (units - 1) & 1)
				sum += magazine_at(&state->magazines, i, units)->cap * units;
		if (sum != state->caches.use[i].cap_units)
			printf("index %d: caps of %u units, not %u\n", i, sum,
			       state->caches.use[i].cap_units);
		must(sum == state->caches.use[i].cap_units);
	}
}

static void must_agree(const struct cpu_alloc_stats *now, const struct books *books)
{
	const bool do_agree = agree(now, books);

	if (!do_agree) {
		printf("books: allocs %" PRIu64 " frees %" PRIu64 " cpu_bytes %" PRIu64
		       " failed_eagain %" PRIu64 " failed_enomem %" PRIu64 " misuses %" PRIu64
		       "; the map has %" PRIu64 " bytes, %" PRIu32 " objects\n",
		       1 + books->allocs, 1 + books->frees, books->bytes, books->eagain,
		       books->enomem, misuses, mapped_bytes(), cpu_alloc_state.map.objects);
#define TELL(name, text) printf(#name " %" PRIu64 " ", now->name);
		CPU_ALLOC_STATS(TELL)
#undef TELL
		printf("\n");
	}
	must(do_agree);
}

void must_balance_trimmed(const struct books *books)
{
	struct cpu_alloc_stats now;

	must_be_well();
	cpu_alloc_trim();
	now = stats_now();
	must_agree(&now, books);
	must(now.cached_bytes == 0 && cpu_alloc_state.map.objects == now.objects);
}

void must_balance(const struct books *books)
{
	const struct cpu_alloc_stats now = stats_now();
	const char *unsound;

	must_be_well();
	must_agree(&now, books);
	caps_must_add_up();
	must_balance_trimmed(books);
	unsound = map_check(&cpu_alloc_state.map);
	if (unsound)
		printf("map_check: %s\n", unsound);
	must(!unsound);
}

void must_be_empty(const struct books *books)
{
	const size_t whole = stats_now().area_bytes;
	char *ptr;

	must(books->bytes == 0 && books->allocs == books->frees && owned_objects() == 0);
	must_balance(books);
	must(stats_now().cpu_bytes == 0 && stats_now().objects == 0);
	ptr = cpu_alloc(whole, GFP_KERNEL, 4);
	must(ptr && cpu_alloc_offset(ptr) == 0);
	cpu_free(ptr, whole);
	must(stats_now().cpu_bytes == 0);
}
