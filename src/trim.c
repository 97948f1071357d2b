/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Giving whole pages of freed memory back to the system, on all CPUs.
 *
 * A page is idle if no unit of it is used but it has been. Idle pages that were
 * idle throughout a window of WINDOW_CALLS calls are surplus: whatever the
 * program does, it did without them. So many are given back in the allocations that
 * follow, one run of at most STEP_PAGES a call. A burst that comes back within
 * the window finds its pages still there.
 *
 * Calls that magazines serve are not seen here. So while a window may end in a surplus
 * magazines are told to send the next call to the map (caches_call), and it begins
 * anew, once, when enough pages have become idle.
 *
 * While the system calls run, the run is lent out of the map, as if used, and
 * the lock is free.
 */
#include "cpu_alloc.h"
#include "os.h"
#include "state.h"

#define WINDOW_CALLS 256
#define SURPLUS_PAGES 16 /* fewer are not worth the system calls */
#define STEP_PAGES 64	 /* at most, in one allocation */
#define STEP_SEEN 1024	 /* pages looked at, at most, in one allocation */

static struct state *const state = &cpu_alloc_state;

void trim_tick(void)
{
	struct surplus *surplus = &state->surplus;
	const uint32_t idle = state->pages.idle;

	if (idle >= SURPLUS_PAGES && surplus->idle_low < SURPLUS_PAGES && !surplus->begun_anew) {
		surplus->begun_anew = true;
		surplus->calls = 0;
		surplus->idle_low = idle;
		caches_call_all();
	}
	if (surplus->idle_low > idle)
		surplus->idle_low = idle;
	if (++surplus->calls == WINDOW_CALLS) {
		surplus->due = surplus->idle_low >= SURPLUS_PAGES ? surplus->idle_low : 0;
		surplus->below = state->pages.top;
		surplus->idle_low = idle;
		surplus->calls = 0;
		surplus->begun_anew = false;
	}
}

bool trim_is_due(void)
{
	return state->surplus.due > 0;
}

bool trim_is_near(void)
{
	return trim_is_due() || state->surplus.idle_low >= SURPLUS_PAGES;
}

static void drop_own(void *context, void *address, size_t bytes)
{
	(void)context;
	os_discard(address, bytes);
}

/* Give pages @first to @end - 1 back. Both locks are held; the inner one is dropped meanwhile. */
static bool give_back(uint32_t first, uint32_t end)
{
	const uint32_t start = first * state->pages.units_per_page;
	const uint32_t beyond = end * state->pages.units_per_page;
	const size_t bytes = units_to_bytes(beyond - start);
	bool gone;

	map_lend(&state->map, start, beyond);
	lock_drop(&state->lock);
	gone = areas_discard(&state->areas, units_to_bytes(start), bytes);
	if (!lock_take(&state->lock))
		return false;
	if (gone) {
		pages_mark_fresh(&state->pages, first, end);
		state->counters.given_back_bytes += bytes;
	}
	map_return(&state->map);
	map_idle_pages(&state->map, start, beyond, os_page_size(), drop_own, NULL);
	objects_idle(&state->objects, start, beyond, os_page_size(), drop_own);
	return gone;
}

void trim_step(void)
{
	struct surplus *surplus = &state->surplus;
	uint32_t first, end;

	if (!lock_try(&state->trim_lock))
		return;
	if (!lock_take(&state->lock) || surplus->due == 0) {
		/* Nobody to take it from, or another thread was faster. */
	} else if (pages_find_idle(&state->pages, &surplus->below,
				   surplus->due < STEP_PAGES ? surplus->due : STEP_PAGES, STEP_SEEN,
				   &first)) {
		end = surplus->below;
		surplus->due -= surplus->due < end - first ? surplus->due : end - first;
		surplus->below = first; /* before the lock is dropped */
		give_back(first, end);
	} else if (surplus->below == 0) {
		surplus->due = 0;
	}
	lock_drop(&state->lock);
	lock_drop(&state->trim_lock);
}

/* Both locks are held. */
static size_t trim_all(void)
{
	uint32_t below = UINT32_MAX, first;
	const uint32_t top = state->pages.top;
	size_t bytes = 0;

	caches_trim();
	while (pages_find_idle(&state->pages, &below, UINT32_MAX, UINT32_MAX, &first)) {
		if (give_back(first, below))
			bytes += units_to_bytes((below - first) * state->pages.units_per_page);
		if (!lock_is_mine(&state->lock))
			return bytes;
		below = first;
	}
	if (top) /* no object was ever above, so no metadata was written */
		map_idle_pages(&state->map, 0, top * state->pages.units_per_page, os_page_size(),
			       drop_own, NULL);
	return bytes;
}

size_t cpu_alloc_trim(void)
{
	size_t bytes = 0;

	if (!lock_take(&state->trim_lock))
		return 0;
	if (lock_take(&state->lock)) {
		if (state->ready)
			bytes = trim_all();
		lock_drop(&state->lock);
	}
	lock_drop(&state->trim_lock);
	return bytes;
}
