/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Giving whole pages of freed memory back to the system, on all CPUs.
 *
 * A page is idle if no unit of it is used but it has been. Idle pages that were
 * idle throughout a window of WINDOW_CALLS allocations are surplus: whatever the
 * program does, it did without them. So many are given back in the calls that
 * follow, one run of at most STEP_PAGES a call. A burst that comes back within
 * the window finds its pages still there.
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

bool trim_is_due(void)
{
	struct surplus *surplus = &state->surplus;

	if (surplus->idle_low > state->pages.idle)
		surplus->idle_low = state->pages.idle;
	if (++surplus->calls == WINDOW_CALLS) {
		surplus->due = surplus->idle_low >= SURPLUS_PAGES ? surplus->idle_low : 0;
		surplus->below = state->pages.top;
		surplus->idle_low = state->pages.idle;
		surplus->calls = 0;
	}
	return surplus->due > 0;
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
	pthread_mutex_unlock(&state->lock);
	gone = areas_discard(&state->areas, units_to_bytes(start), bytes);
	pthread_mutex_lock(&state->lock);
	if (gone) {
		pages_mark_fresh(&state->pages, first, end);
		state->counters.given_back_bytes += bytes;
	}
	map_return(&state->map);
	map_idle_pages(&state->map, start, beyond, os_page_size(), drop_own, NULL);
	return gone;
}

void trim_step(void)
{
	struct surplus *surplus = &state->surplus;
	uint32_t first, end;

	if (pthread_mutex_trylock(&state->trim_lock) != 0)
		return;
	pthread_mutex_lock(&state->lock);
	if (surplus->due == 0) {
		/* Another thread was faster. */
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
	pthread_mutex_unlock(&state->lock);
	pthread_mutex_unlock(&state->trim_lock);
}

size_t cpu_alloc_trim(void)
{
	uint32_t below = UINT32_MAX, first, top;
	size_t bytes = 0;

	pthread_mutex_lock(&state->trim_lock);
	pthread_mutex_lock(&state->lock);
	top = state->pages.top;
	while (state->ready &&
	       pages_find_idle(&state->pages, &below, UINT32_MAX, UINT32_MAX, &first)) {
		if (give_back(first, below))
			bytes += units_to_bytes((below - first) * state->pages.units_per_page);
		below = first;
	}
	if (top) /* no object was ever above, so no metadata was written */
		map_idle_pages(&state->map, 0, top * state->pages.units_per_page, os_page_size(),
			       drop_own, NULL);
	pthread_mutex_unlock(&state->lock);
	pthread_mutex_unlock(&state->trim_lock);
	return bytes;
}
