/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc() and cpu_alloc_bulk(). One small object, from the top:
 *
 *	magazine_pop()	  of this CPU, and that is all	(magazine.h)
 *
 * If there is none, or the object is large or aligned:
 *
 *	check the arguments; take the lock, or give up
 *	  caches_refill() a batch for the magazine; or, for others,	(caches.c)
 *	  caches_find()	  which units; more memory if none fit
 *	  pages_take()	  what is known of their pages	(pages.c)
 *	drop the lock
 *	  pages_prepare() zero what is dirty
 *	  trim_step()	  now and then: give idle pages back	(trim.c)
 */
#include "cpu_alloc.h"
#include "report.h"
#include "state.h"

#include <errno.h>

#define RESERVE_UNITS 1024U /* of committed memory, for those who may not ask for more */
#define BULK 64U	    /* objects of cpu_alloc_bulk() at a time */

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

static void *not_now(void)
{
	count(&state->counters.failed_eagain);
	errno = EAGAIN;
	return NULL;
}

/* Allocation. */

static bool may_wait(gfp_t flags)
{
	return flags & GFP_KERNEL;
}

/* What one call is about, and what comes of it. */
struct call {
	size_t size, align;
	gfp_t flags;
	uint32_t units, order;
	uint32_t unit;
	uint32_t tag; /* what the object's state shall be; 0: that of shared ones */
	struct pages_taken taken;
	bool contended, trim;
	bool refused, may_come; /* no room: the system said so; there may be some later */
	struct trouble trouble;
};

static void *no_object(const struct call *call)
{
	struct report report;

	if (call->may_come && !may_wait(call->flags))
		return not_now();
	count(&state->counters.failed_enomem);
	report = call_report(call->size, call->flags, call->align);
	if (call->refused) {
		report_string(&report, "the system refused memory");
	} else {
		report_string(&report, "no room in an area of percpu=");
		report_size(&report, state->areas.limit);
	}
	report_failure(&report);
	errno = ENOMEM;
	return NULL;
}

static bool is_small(uint32_t units)
{
	return units <= SMALL_UNITS;
}

/*
 * The alignment that an object gets. Small ones of an even number of units, which
 * come from magazines whatever they were before, are aligned to two.
 */
static uint32_t order_wanted(uint32_t units, size_t align)
{
	const uint32_t order = order_of(align);

	return order == 0 && is_small(units) && units % 2 == 0 ? 1 : order;
}

/* Is that all that a magazine's objects are aligned to? */
static bool magazines_serve(uint32_t units, uint32_t order)
{
	return is_small(units) && order <= (units % 2 == 0);
}

/* Is it not for want of room in a whole area that there is none? Under the lock. */
static bool was_refused(uint32_t units, uint32_t order)
{
	return !state->ready || state_is_lent() || state_may_grow(units, order);
}

/* What a magazine gives. Its pages were taken at the refill. */
static void from_slot(struct call *call, uint32_t slot)
{
	const uint32_t unit = slot & ~MAGAZINE_FRESH;

	call->unit = unit;
	call->taken = pages_used_before(&state->pages, unit, unit + call->units);
	if (slot & MAGAZINE_FRESH)
		call->taken.first_dirty = call->taken.last_dirty = 0;
}

static void take_small(struct call *call)
{
	const uint32_t slot = caches_refill(call->units, call->order, call->contended,
					    may_wait(call->flags), &call->tag);

	if (slot != MAGAZINE_NOTHING)
		from_slot(call, slot);
}

static void take_other(struct call *call)
{
	const uint32_t units = call->units;

	if (!caches_find(units, call->order, &call->unit, 1, may_wait(call->flags)))
		return;
	call->taken = pages_take(&state->pages, call->unit, call->unit + units);
	state_note_peak(call->unit + units);
}

/*
 * Before the first object, and while nobody waits: see that some memory is left that
 * calls which may not ask for more find.
 */
static void keep_reserve(void)
{
	if (state->map.units - state->map.frontier < RESERVE_UNITS && !state_grow(RESERVE_UNITS, 0))
		state_take_trouble();
}

/* Under the lock. Is the library there, with the pending objects in the map? */
static bool begin(const struct call *call)
{
	if (!(may_wait(call->flags) ? state_set_up() : state->ready))
		return false;
	caches_settle(SETTLED_MAX);
	return true;
}

/* Under the lock. */
static void end(struct call *call, size_t allocs, bool failed)
{
	if (failed) {
		call->may_come = call->refused ||
				 (call->units <= state->map.units_max && caches_count().objects);
	} else {
		__atomic_fetch_add(&state->counters.allocs, allocs, __ATOMIC_RELAXED);
	}
	if (!failed && may_wait(call->flags)) {
		trim_tick();
		call->trim = trim_is_due();
		if (trim_is_near() && is_small(call->units))
			caches_call(call->units);
		keep_reserve();
		caches_look_for_idle();
	}
	call->trouble = state_take_trouble();
}

static void alloc_locked(struct call *call)
{
	if (!begin(call)) {
		/* There is nothing. */
	} else if (magazines_serve(call->units, call->order)) {
		take_small(call);
	} else {
		take_other(call);
	}
	if (!lock_is_mine(&state->lock))
		return;
	if (call->unit == MAP_NONE)
		call->refused = was_refused(call->units, call->order);
	end(call, 1, call->unit == MAP_NONE);
}

static bool take_lock(struct call *call)
{
	if (!may_wait(call->flags))
		return lock_try_briefly(&state->lock);
	call->contended = !lock_try(&state->lock);
	return !call->contended || lock_take(&state->lock);
}

/* False: it was lost, in a copy of the process that cannot have it again. */
static bool drop_lock(const struct call *call)
{
	const bool mine = lock_is_mine(&state->lock);

	lock_drop(&state->lock);
	state_report(&call->trouble);
	return mine;
}

static struct call new_call(size_t size, gfp_t flags, size_t align)
{
	const uint32_t units = units_of(size);

	return (struct call){
		.size = size,
		.align = align,
		.flags = flags,
		.units = units,
		.order = order_wanted(units, align),
		.unit = MAP_NONE,
	};
}

static void set_live(const struct call *call)
{
	if (call->tag)
		object_set(&state->objects, call->unit, (uint16_t)call->tag);
	else
		object_set_shared(&state->objects, call->unit, call->units);
}

/* Without the lock, what others leave in the magazine. */
static bool take_reserve(struct call *call)
{
	uint32_t slot;

	if (!magazines_serve(call->units, call->order) || !caches_are_there())
		return false;
	slot = caches_pop(call->units, &call->tag);
	if (slot == MAGAZINE_NOTHING)
		return false;
	from_slot(call, slot);
	return true;
}

static void *finish(const struct call *call)
{
	set_live(call);
	pages_prepare(&state->pages, &state->areas, &call->taken, call->flags & __GFP_ZERO);
	if (call->trim)
		trim_step();
	return handle_of(call->unit);
}

/* By the lock. Not inlined: most calls do without. */
__attribute__((noinline)) static void *alloc_slow(size_t size, gfp_t flags, size_t align)
{
	const char *wrong = wrong_arguments(flags, align);
	struct call call;

	if (wrong)
		return refuse(size, flags, align, wrong);
	if (size == 0)
		return ZERO_SIZE_PTR;
	call = new_call(size, flags, align);
	if (flags & GFP_ATOMIC && magazines_serve(call.units, call.order))
		caches_note_atomic(call.units);
	if (flags & GFP_ATOMIC && take_reserve(&call))
		return finish(&call);
	if (!take_lock(&call))
		return !may_wait(flags) && take_reserve(&call) ? finish(&call) : not_now();
	alloc_locked(&call);
	if (!drop_lock(&call))
		return not_now();
	if (call.unit == MAP_NONE)
		return no_object(&call);
	return finish(&call);
}

/*
 * May the object come from a magazine, and is all in order? In few instructions: a bit for each
 * good value below 16; and what has an odd number of units is not aligned to 8.
 */
static inline bool is_common(size_t size, gfp_t flags, size_t align)
{
	const uint32_t good_aligns = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8;
	const uint32_t good_modes = 1 << 0 | 1 << GFP_KERNEL | 1 << GFP_NOWAIT;
	const uint32_t good_flags = good_modes | good_modes << __GFP_ZERO;
	const size_t sizes = __atomic_load_n(&state->magazines.sizes, __ATOMIC_ACQUIRE);
	const size_t odd_units_at_3 = 2 * (size + CPU_ALLOC_UNIT - 1);

	return size - 1 < sizes && (flags | align) < 16 && good_flags >> flags & 1 &&
	       good_aligns >> align & 1 && !(odd_units_at_3 & align & 8);
}

/* What is known to be zero stays as it is. */
__attribute__((noinline)) static void *zero(size_t size, uint32_t slot)
{
	const uint32_t unit = slot & ~MAGAZINE_FRESH;
	const struct pages_taken taken =
		pages_used_before(&state->pages, unit, unit + units_of(size));

	if (!(slot & MAGAZINE_FRESH))
		pages_prepare(&state->pages, &state->areas, &taken, true);
	return handle_of(unit);
}

void *cpu_alloc(size_t size, gfp_t flags, size_t align)
{
	const size_t units = (size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT;
	uint32_t slot, tag;

	if (!is_common(size, flags, align))
		return alloc_slow(size, flags, align);
	slot = magazine_pop(state->magazines.way, state->magazines.class[units], &tag);
	if (slot == MAGAZINE_NOTHING)
		return alloc_slow(size, flags, align);
	object_set(&state->objects, slot & ~MAGAZINE_FRESH, (uint16_t)tag);
	return flags & __GFP_ZERO ? zero(size, slot) : handle_of(slot & ~MAGAZINE_FRESH);
}

/* Many at once. */

/* Until it is handed out a handle's lowest bit tells that the object is known to be zero. */
#define HANDLE_FRESH ((uintptr_t)1)

/* Under the lock. Returns how many there are. */
static size_t find_bulk(struct call *call, size_t n, void **ptrs)
{
	uint32_t found[BULK];
	size_t done = 0;

	while (done < n) {
		const size_t left = n - done;
		const uint32_t more =
			caches_find(call->units, call->order, found,
				    left < BULK ? (uint32_t)left : BULK, may_wait(call->flags));

		if (more == 0)
			break;
		for (uint32_t i = 0; i < more; i++)
			ptrs[done++] = handle_of(found[i]);
	}
	return done;
}

/* Under the lock. To the map; their pages were not taken yet. */
static void give_back_bulk(const struct call *call, size_t n, void **ptrs)
{
	uint32_t found[BULK];

	for (size_t done = 0; done < n;) {
		uint32_t more = 0;

		for (; more < BULK && done < n; more++)
			found[more] = unit_of(ptrs[done++]);
		map_free_batch(&state->map, call->units, found, more);
	}
}

/* Under the lock. All or none; once more with empty magazines: what they held was in the way. */
static bool take_bulk(struct call *call, size_t n, void **ptrs)
{
	size_t done = find_bulk(call, n, ptrs);

	if (done < n && may_wait(call->flags) && lock_is_mine(&state->lock)) {
		give_back_bulk(call, done, ptrs);
		caches_flush();
		done = find_bulk(call, n, ptrs);
	}
	if (!lock_is_mine(&state->lock))
		return false;
	if (done < n) {
		call->refused = was_refused(call->units, call->order);
		give_back_bulk(call, done, ptrs);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const uint32_t unit = unit_of(ptrs[i]), end = unit + call->units;
		const struct pages_taken taken = pages_take(&state->pages, unit, end);

		if (pages_was_fresh(&state->pages, &taken))
			ptrs[i] = (char *)ptrs[i] + HANDLE_FRESH;
		state_note_peak(end);
	}
	return true;
}

static void hand_out(const struct call *call, void **ptr)
{
	const uint32_t unit = unit_of(*ptr), end = unit + call->units;
	const bool fresh = (uintptr_t)*ptr & HANDLE_FRESH;
	const struct pages_taken taken = fresh ? (struct pages_taken){unit, end, 0, 0}
					       : pages_used_before(&state->pages, unit, end);

	object_set_shared(&state->objects, unit, call->units);
	pages_prepare(&state->pages, &state->areas, &taken, call->flags & __GFP_ZERO);
	*ptr = handle_of(unit);
}

int cpu_alloc_bulk(size_t size, gfp_t flags, size_t align, size_t n, void **ptrs)
{
	const char *wrong = wrong_arguments(flags, align);
	struct call call;
	bool done = false;

	if (wrong)
		return refuse(size, flags, align, wrong) ? 0 : -1;
	if (size == 0) {
		while (n > 0)
			ptrs[--n] = ZERO_SIZE_PTR;
		return 0;
	}
	if (n == 0)
		return 0;
	call = new_call(size, flags, align);
	if (!take_lock(&call))
		return not_now() ? 0 : -1;
	if (begin(&call))
		done = take_bulk(&call, n, ptrs);
	else
		call.refused = true;
	if (lock_is_mine(&state->lock))
		end(&call, n, !done);
	if (!drop_lock(&call))
		return not_now() ? 0 : -1;
	if (!done)
		return no_object(&call) ? 0 : -1;
	for (size_t i = 0; i < n; i++)
		hand_out(&call, &ptrs[i]);
	if (call.trim)
		trim_step();
	return 0;
}
