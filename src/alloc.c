/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc() and cpu_free(). One allocation, from the top:
 *
 *	check the arguments; take the lock, or give up
 *	  map_alloc()	  which units		(core/map.c)
 *	  state_grow()	  if none fit: more memory, and again
 *	  pages_take()	  what is known of their pages	(pages.c)
 *	drop the lock
 *	  pages_prepare() zero what is dirty
 *	  trim_step()	  now and then: give idle pages back	(trim.c)
 */
#include "cpu_alloc.h"
#include "report.h"
#include "state.h"

#include <errno.h>

#define MODES (GFP_KERNEL | GFP_NOWAIT | GFP_ATOMIC)
#define KNOWN_FLAGS (MODES | __GFP_ZERO)

static struct state *const state = &cpu_alloc_state;

/* Arguments. */

/* What is wrong with them, or NULL. */
static const char *wrong_arguments(gfp_t flags, size_t align)
{
	if (flags & ~KNOWN_FLAGS)
		return "unknown flag";
	if ((flags & GFP_KERNEL) && (flags & MODES) != GFP_KERNEL)
		return "GFP_KERNEL goes with no other mode";
	if (align & (align - 1))
		return "alignment is not a power of two";
	if (align > CPU_ALLOC_MAX_ALIGN)
		return "alignment is above 4096";
	return NULL;
}

static uint32_t order_of(size_t align)
{
	return align <= CPU_ALLOC_UNIT ? 0 : (uint32_t)__builtin_ctzll(align / CPU_ALLOC_UNIT);
}

/* Whole units that @size takes; more than any area has if it is beyond them. */
static uint32_t units_of(size_t size)
{
	return size > CPU_ALLOC_STRIDE ? MAP_UNITS_MAX
				       : (uint32_t)((size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT);
}

/* Failures of cpu_alloc(). */

static struct report call_report(size_t size, gfp_t flags, size_t align)
{
	struct report report;

	report_begin(&report);
	report_string(&report, "cpu_alloc(");
	report_decimal(&report, size);
	report_string(&report, ", ");
	report_hex(&report, flags);
	report_string(&report, ", ");
	report_decimal(&report, align);
	report_string(&report, "): ");
	return report;
}

static void *refuse(size_t size, gfp_t flags, size_t align, const char *reason)
{
	struct report report = call_report(size, flags, align);

	count(&state->counters.failed_einval);
	report_string(&report, reason);
	report_misuse(&report);
	errno = EINVAL;
	return NULL;
}

static void *no_room(size_t size, gfp_t flags, size_t align, bool refused)
{
	struct report report = call_report(size, flags, align);

	count(&state->counters.failed_enomem);
	if (refused) {
		report_string(&report, "the system refused memory");
	} else {
		report_string(&report, "no room in an area of percpu=");
		report_size(&report, state->areas.limit);
	}
	report_failure(&report);
	errno = ENOMEM;
	return NULL;
}

static void *not_now(void)
{
	count(&state->counters.failed_eagain);
	errno = EAGAIN;
	return NULL;
}

/* Allocation. */

/* Is a run of pages on its way back to the system? It may be all that is free. */
static bool is_lent(void)
{
	return state->map.lent.start != state->map.lent.end;
}

static bool wait_for_trim(void)
{
	if (!is_lent())
		return false;
	pthread_mutex_unlock(&state->lock);
	pthread_mutex_lock(&state->trim_lock);
	pthread_mutex_unlock(&state->trim_lock);
	pthread_mutex_lock(&state->lock);
	return true;
}

static uint32_t find_room(uint32_t units, uint32_t order, bool may_wait)
{
	uint32_t unit;

	do {
		unit = map_alloc(&state->map, units, order);
	} while (unit == MAP_NONE && may_wait && (wait_for_trim() || state_grow(units, order)));
	return unit;
}

static void count_alloc(uint32_t end)
{
	struct counters *counters = &state->counters;

	counters->allocs++;
	if (counters->peak_units < state->map.used_units)
		counters->peak_units = state->map.used_units;
	if (counters->top_units < end)
		counters->top_units = end;
}

/* Is it not for want of room in a whole area that there is none now? */
static bool room_may_come(uint32_t units, uint32_t order)
{
	return !state->ready || is_lent() || state_may_grow(units, order);
}

/* What one call is about, and what comes of it. */
struct call {
	size_t size, align;
	gfp_t flags;
	uint32_t unit;
	struct pages_taken taken;
	bool trim, may_come;
	struct trouble trouble;
};

/* Under the lock. */
static void alloc_locked(struct call *call)
{
	const bool may_wait = call->flags & GFP_KERNEL;
	const uint32_t units = units_of(call->size), order = order_of(call->align);

	if (may_wait ? state_set_up() : state->ready)
		call->unit = find_room(units, order, may_wait);
	if (call->unit == MAP_NONE) {
		call->may_come = room_may_come(units, order);
	} else {
		call->taken = pages_take(&state->pages, call->unit, call->unit + units);
		count_alloc(call->unit + units);
		call->trim = may_wait && trim_is_due();
	}
	call->trouble = state_take_trouble();
}

void *cpu_alloc(size_t size, gfp_t flags, size_t align)
{
	struct call call = {.size = size, .align = align, .flags = flags, .unit = MAP_NONE};
	const char *wrong = wrong_arguments(flags, align);
	const bool may_wait = flags & GFP_KERNEL;

	if (wrong)
		return refuse(size, flags, align, wrong);
	if (size == 0)
		return ZERO_SIZE_PTR;
	if (may_wait)
		pthread_mutex_lock(&state->lock);
	else if (pthread_mutex_trylock(&state->lock) != 0)
		return not_now();
	alloc_locked(&call);
	pthread_mutex_unlock(&state->lock);
	state_report(&call.trouble);
	if (call.unit == MAP_NONE)
		return call.may_come && !may_wait ? not_now()
						  : no_room(size, flags, align, call.may_come);
	pages_prepare(&state->pages, &state->areas, &call.taken, flags & __GFP_ZERO);
	if (call.trim)
		trim_step();
	return state->areas.base + units_to_bytes(call.unit);
}

/* Freeing. */

/* Reports are made without the lock: the text, and a number that goes with it. */
struct complaint {
	const char *text;
	uint64_t number;
	bool has_number;
};

static void complain(const void *ptr, size_t size, struct complaint complaint)
{
	struct report report;

	count(&state->counters.misuses);
	report_begin(&report);
	report_string(&report, "cpu_free(");
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

/* Under the lock. */
static struct complaint free_unit(uint32_t unit, uint32_t units)
{
	const enum map_verdict verdict = map_free(&state->map, unit, units);
	uint32_t actual = 0;

	if (verdict == MAP_OBJECT) {
		pages_release(&state->pages, unit, unit + units);
		state->counters.frees++;
	} else if (verdict == MAP_SIZE) {
		map_look(&state->map, unit, &actual);
	}
	return judge_verdict(verdict, actual);
}

void cpu_free(void *ptr, size_t size)
{
	struct complaint complaint;
	size_t offset;

	if (!ptr || ptr == ZERO_SIZE_PTR)
		return;
	complaint = judge_pointer(ptr, &offset);
	if (!complaint.text) {
		pthread_mutex_lock(&state->lock);
		complaint = free_unit((uint32_t)(offset / CPU_ALLOC_UNIT), units_of(size));
		pthread_mutex_unlock(&state->lock);
	}
	if (complaint.text)
		complain(ptr, size, complaint);
}

void cpu_alloc_free_set(void *ptr, size_t size)
{
	size_t offset;

	if (!ptr || ptr == ZERO_SIZE_PTR || is_inside(ptr, &offset))
		cpu_free(ptr, size);
	else
		__sched_cpufree(ptr);
}

/* Questions. */

int cpu_alloc_nr(void)
{
	int nr = __atomic_load_n(&state->nr, __ATOMIC_RELAXED);

	if (nr == 0) {
		pthread_mutex_lock(&state->lock);
		state_use();
		nr = state->nr;
		pthread_mutex_unlock(&state->lock);
	}
	return nr;
}

size_t cpu_alloc_offset(const void *ptr)
{
	size_t offset;

	return is_inside(ptr, &offset) && offset < CPU_ALLOC_STRIDE ? offset : SIZE_MAX;
}
