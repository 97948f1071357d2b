/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_free() and cpu_free_bulk(). One small object, from the top:
 *
 *	magazine_claim()  it was popped on this CPU: it is ours	(magazine.h)
 *	magazine_push()	  and free
 *
 * If the first fails, caches_claim() claims it wherever it was popped, or it is no such
 * object and judge() says why; if the second fails, caches_give() makes room, takes it
 * to the map, or leaves it pending. (caches.c)
 *
 * And what else is asked of a pointer.
 */
#include "cpu_alloc.h"
#include "cpus.h"
#include "report.h"
#include "state.h"

#include <errno.h>

#define JUDGE_SPINS 1000 /* tries at the lock, to tell exactly what a bad pointer is */
#define BULK 64U	 /* objects of cpu_free_bulk() at a time */

static struct state *const state = &cpu_alloc_state;

/* Is it something that can have been allocated, with bytes? */
static bool is_object(const void *ptr)
{
	return ptr && ptr != ZERO_SIZE_PTR;
}

/* Reports are made without the lock: the text, and a number that goes with it. */
struct complaint {
	const char *text;
	uint64_t number;
	bool has_number;
};

static void complain(const char *call, const void *ptr, size_t size, struct complaint complaint)
{
	struct report report;

	count(&state->counters.misuses);
	report_begin(&report);
	report_string(&report, call);
	report_hex(&report, (uintptr_t)ptr);
	report_string(&report, ", ");
	report_decimal(&report, size);
	report_string(&report, "): ");
	report_string(&report, complaint.text);
	if (complaint.has_number)
		report_decimal(&report, complaint.number);
	report_misuse(&report);
}

/* Does it point into the reservation? Where, from its start, goes to *@offset. */
static bool is_inside(const void *ptr, size_t *offset)
{
	if (!state_is_ready())
		return false;
	*offset = (uintptr_t)ptr - (uintptr_t)state->areas.base;
	return *offset < areas_span(&state->areas) &&
	       *offset % CPU_ALLOC_STRIDE < state->areas.limit;
}

/* What a pointer is that is no handle of a unit. No text: it is one. */
static struct complaint judge_pointer(const void *ptr, size_t *offset)
{
	size_t k;

	if (!is_inside(ptr, offset))
		return (struct complaint){.text = "not a CPU pointer"};
	k = *offset / CPU_ALLOC_STRIDE;
	if (k == 1)
		return (struct complaint){.text = "pointer to the instance for strays"};
	if (k > 1)
		return (struct complaint){"pointer to the instance of CPU ", k - 2, true};
	if (*offset % CPU_ALLOC_UNIT)
		return (struct complaint){.text = "misaligned pointer"};
	return (struct complaint){0};
}

static struct complaint judge_verdict(enum map_verdict verdict, uint32_t units)
{
	switch (verdict) {
	case MAP_OBJECT:
		return (struct complaint){0};
	case MAP_SIZE:
		return (struct complaint){"wrong size: the object's bytes are ",
					  units_to_bytes(units), true};
	case MAP_INTERIOR:
		return (struct complaint){.text = "interior pointer"};
	case MAP_FREED:
		return (struct complaint){.text = "double free"};
	case MAP_FREE:
	case MAP_OUTSIDE:
		break;
	}
	return (struct complaint){.text = "not an object"};
}

/*
 * Why no free may have it. The map's bits are read under the lock if that can be had soon.
 * In a handler that interrupted its holder it cannot: then they may be in the middle of
 * a change, and a reason be that of a moment ago.
 */
static struct complaint judge_unit(uint32_t unit, uint32_t units)
{
	const uint16_t now = object_read(&state->objects, unit);
	enum map_verdict verdict;
	uint32_t actual = 0;
	bool locked = false;

	if (state_owner(now) == OWNER_LARGE)
		return judge_verdict(MAP_SIZE, object_large_units(&state->objects, unit));
	if (state_owner(now) != OWNER_NOBODY && state_units(now) != units)
		return judge_verdict(MAP_SIZE, state_units(now));
	for (int n = 0; n < JUDGE_SPINS && !locked; n++)
		locked = lock_try_briefly(&state->lock);
	verdict = map_look(&state->map, unit, &actual);
	if (locked)
		lock_drop(&state->lock);
	return judge_verdict(verdict == MAP_OBJECT ? MAP_FREED : verdict,
			     actual); /* it is cached */
}

/* Claim what a pointer stands for, or tell why not. */
static struct complaint claim(void *ptr, uint32_t units, uint32_t *unit)
{
	size_t offset;
	const struct complaint complaint = judge_pointer(ptr, &offset);

	if (complaint.text)
		return complaint;
	*unit = (uint32_t)(offset / CPU_ALLOC_UNIT);
	return caches_claim(*unit, units) ? (struct complaint){0} : judge_unit(*unit, units);
}

__attribute__((noinline)) static void free_slow(void *ptr, size_t size)
{
	struct complaint complaint;
	uint32_t unit;

	if (!is_object(ptr))
		return;
	complaint = claim(ptr, units_of(size), &unit);
	if (complaint.text)
		complain("cpu_free(", ptr, size, complaint);
	else
		caches_give(unit, units_of(size));
}

/* Not biased to this index. Mostly it is shared; and else all is to be looked at. */
__attribute__((noinline)) static void free_other(void *ptr, size_t size)
{
	const uint32_t unit = unit_of(ptr), units = units_of(size);
	const uint16_t shared = object_state(OWNER_SHARED, units);

	if (object_read(&state->objects, unit) != shared ||
	    !object_exchange(&state->objects, unit, shared, 0)) {
		free_slow(ptr, size);
		return;
	}
	caches_count_shared(units);
	if (!magazine_push(state->magazines.way, state->magazines.class[units], unit))
		caches_give(unit, units);
}

/* Not such a pointer or size; or there are too many CPUs, or no magazines. */
__attribute__((noinline)) static void free_unbiased(void *ptr, size_t size)
{
	size_t offset;

	if (size - 1 < SMALL_UNITS * CPU_ALLOC_UNIT && caches_are_there() &&
	    is_inside(ptr, &offset) && offset < CPU_ALLOC_STRIDE && offset % CPU_ALLOC_UNIT == 0)
		free_other(ptr, size);
	else
		free_slow(ptr, size);
}

void cpu_free(void *ptr, size_t size)
{
	/* First: the others are what they shall be once this is. */
	const size_t offsets = __atomic_load_n(&state->magazines.offsets, __ATOMIC_ACQUIRE);
	const struct magazine_way way = state->magazines.way;
	const size_t offset = (uintptr_t)ptr - (uintptr_t)state->areas.base;
	const size_t units = (size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT;
	const uint32_t unit = (uint32_t)(offset / CPU_ALLOC_UNIT);

	if (size - 1 >= SMALL_UNITS * CPU_ALLOC_UNIT || offset >= offsets ||
	    offset % CPU_ALLOC_UNIT)
		free_unbiased(ptr, size);
	else if (!magazine_claim(way, units, &state->objects.state[unit]))
		free_other(ptr, size);
	else if (!magazine_push(way, state->magazines.class[units], unit))
		caches_give(unit, (uint32_t)units);
}

/* Many at once. */

/* What was claimed, and shall not be freed after all. */
static void unclaim(size_t n, void **ptrs, uint32_t units)
{
	while (n-- > 0)
		if (is_object(ptrs[n]))
			object_set_shared(&state->objects, unit_of(ptrs[n]), units);
}

/* Under the lock. */
static void give_bulk(size_t n, void **ptrs, uint32_t units)
{
	uint32_t found[BULK], more = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_object(ptrs[i]))
			found[more++] = unit_of(ptrs[i]);
		if (more == BULK || i == n - 1) {
			caches_give_to_map(units, found, more);
			more = 0;
		}
	}
}

int cpu_free_bulk(size_t size, size_t n, void **ptrs)
{
	const uint32_t units = units_of(size);
	uint64_t freed = 0;

	for (size_t i = 0; i < n; i++) {
		struct complaint complaint;
		uint32_t unit;

		if (!is_object(ptrs[i]))
			continue;
		complaint = claim(ptrs[i], units, &unit);
		if (complaint.text) {
			unclaim(i, ptrs, units);
			complain("cpu_free_bulk(", ptrs[i], size, complaint);
			errno = EINVAL;
			return -1;
		}
		freed++;
	}
	__atomic_fetch_add(&state->counters.frees, freed, __ATOMIC_RELAXED);
	if (lock_try_briefly(&state->lock)) {
		give_bulk(n, ptrs, units);
		lock_drop(&state->lock);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (is_object(ptrs[i]))
			pending_add(&state->objects, unit_of(ptrs[i]), units);
	return 0;
}

void cpu_alloc_free_set(void *ptr, size_t size)
{
	size_t offset;

	if (!is_object(ptr) || is_inside(ptr, &offset))
		cpu_free(ptr, size);
	else
		__sched_cpufree(ptr);
}

/* Questions. */

int cpu_alloc_nr(void)
{
	int nr = __atomic_load_n(&state->nr, __ATOMIC_RELAXED);

	if (nr == 0) {
		if (!lock_take(&state->lock))
			return cpus_possible();
		state_use();
		nr = state->nr;
		lock_drop(&state->lock);
	}
	return nr;
}

size_t cpu_alloc_offset(const void *ptr)
{
	size_t offset;

	return is_inside(ptr, &offset) && offset < CPU_ALLOC_STRIDE ? offset : SIZE_MAX;
}
