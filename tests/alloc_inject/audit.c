/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Where each object is, see audit.h. */
#include "audit.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

static struct state *const state = &cpu_alloc_state;

static unsigned char *places; /* of each unit: in how many an object is that begins there */

static bool is_object(uint32_t unit, uint32_t *units)
{
	return unit < state->map.frontier && map_look(&state->map, unit, units) == MAP_OBJECT;
}

static void look_at_slots(struct audit *audit, const struct magazine *magazine, uint32_t units)
{
	const uint32_t n = magazine_n(magazine);

	for (uint32_t k = 0; k < n; k++) {
		const uint32_t unit = magazine->slot[k] & ~MAGAZINE_FRESH;
		uint32_t found;

		if (!is_object(unit, &found) || found != units)
			audit->wrong = "a slot has no object of its class";
		else
			places[unit]++;
		audit->cached++;
		audit->held_units += units;
	}
}

static void look_at_magazines(struct audit *audit)
{
	for (int i = DEPOT; caches_are_there() && i < state->nr; i++)
		for (uint32_t units = 1; units <= SMALL_UNITS; units++)
			if (state->caches.use[i].classes >> (units - 1) & 1)
				look_at_slots(audit, magazine_at(&state->magazines, i, units),
					      units);
}

static bool is_pending(uint32_t unit)
{
	return state->objects.pending[0][unit / 64] >> unit % 64 & 1;
}

/* One unit, which may be an object's first. Returns how many units it is about. */
static uint32_t look_at_unit(struct audit *audit, uint32_t unit)
{
	const bool live = state_owner(object_read(&state->objects, unit)) != OWNER_NOBODY;
	const bool pending = is_pending(unit);
	uint32_t units = 1;
	int n;

	if (!is_object(unit, &units)) {
		if (live || pending)
			audit->wrong = "no object is live, or pending";
		return 1;
	}
	n = places[unit] + live + pending;
	audit->units += units;
	audit->live += live;
	audit->pending += pending;
	audit->held_units += pending ? units : 0;
	audit->nowhere += n == 0;
	if (n > 1)
		audit->wrong = "an object is in two places";
	return units;
}

static void compare_counts(struct audit *audit)
{
	const struct caches_count count = caches_count();

	if (count.objects != audit->cached + audit->pending || count.units != audit->held_units)
		audit->wrong = "what is cached is not what the statistics say";
	if (state->map.objects != audit->live + audit->nowhere + count.objects ||
	    state->map.used_units != audit->units)
		audit->wrong = "the map has another number of objects, or units";
	audit->balance = (int64_t)(state->counters.allocs + count.allocs - state->counters.frees -
				   count.frees);
}

bool audit_now(struct audit *audit)
{
	uint32_t top;

	if (!places)
		places = malloc(state->map.units_max);
	if (!places)
		abort();
	if (!lock_try(&state->lock))
		return false;
	*audit = (struct audit){0};
	top = (uint32_t)state->counters.top_units; /* no object was ever above */
	memset(places, 0, top);
	look_at_magazines(audit);
	for (uint32_t unit = 0; unit < top;)
		unit += look_at_unit(audit, unit);
	compare_counts(audit);
	lock_drop(&state->lock);
	return true;
}
