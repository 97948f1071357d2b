/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* cpu_alloc_stats(): the map's own figures and the counters, as bytes. */
#include "cpu_alloc.h"
#include "os.h"
#include "state.h"

#include <errno.h>
#include <string.h>

static struct state *const state = &cpu_alloc_state;

/* Room that growth would add counts as free already. */
static uint64_t largest_free_bytes(void)
{
	const size_t above = state->options.percpu - units_to_bytes(state->map.frontier);
	const size_t largest = state->ready ? units_to_bytes(map_largest_free(&state->map)) : 0;

	return above > largest ? above : largest;
}

/* At one moment: nothing has happened between two looks, or nothing can. */
static struct caches_count count_cached(void)
{
	const struct caches_count first = caches_count(), second = caches_count();
	struct caches_count now;
	bool closed;

	if (first.objects == second.objects && first.units == second.units &&
	    first.pops == second.pops)
		return second;
	closed = caches_close();
	now = caches_count();
	if (closed)
		caches_open();
	return now;
}

static struct cpu_alloc_stats read_stats(void)
{
	const struct counters *counters = &state->counters;
	const struct caches_count cached = state->ready ? count_cached() : (struct caches_count){0};

	return (struct cpu_alloc_stats){
		.cpu_bytes = units_to_bytes(state->map.used_units - cached.units),
		.peak_bytes = units_to_bytes(counters->peak_units),
		.top_bytes = units_to_bytes(counters->top_units),
		.cached_bytes = units_to_bytes(cached.units),
		.objects = state->map.objects - cached.objects,
		.allocs = __atomic_load_n(&counters->allocs, __ATOMIC_RELAXED) + cached.allocs,
		.frees = __atomic_load_n(&counters->frees, __ATOMIC_RELAXED) + cached.frees,
		.failed_einval = __atomic_load_n(&counters->failed_einval, __ATOMIC_RELAXED),
		.failed_enomem = __atomic_load_n(&counters->failed_enomem, __ATOMIC_RELAXED),
		.failed_eagain = __atomic_load_n(&counters->failed_eagain, __ATOMIC_RELAXED),
		.misuses = __atomic_load_n(&counters->misuses, __ATOMIC_RELAXED),
		.area_bytes = state->options.percpu,
		.committed_bytes = state->areas.committed,
		.largest_free_bytes = largest_free_bytes(),
		.given_back_bytes = counters->given_back_bytes,
		.own_bytes = state->own_bytes,
	};
}

static uint64_t resident_bytes(void)
{
	size_t bytes = 0;

	if (state_is_ready() && !os_resident_bytes(state->areas.base, areas_span(&state->areas),
						   CPU_ALLOC_STRIDE, state->areas.limit, &bytes))
		return UINT64_MAX;
	return bytes;
}

int cpu_alloc_stats(struct cpu_alloc_stats *s, size_t n)
{
	struct cpu_alloc_stats stats;

	if (n < sizeof(stats.size)) {
		errno = EINVAL;
		return -1;
	}
	if (!lock_take(&state->lock)) {
		errno = EAGAIN;
		return -1;
	}
	state_know_options();
	stats = read_stats();
	lock_drop(&state->lock);
	stats.resident_bytes = resident_bytes();
	stats.size = n < sizeof(stats) ? n : sizeof(stats);
	memcpy(s, &stats, stats.size);
	return 0;
}
