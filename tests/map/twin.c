/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The naive twin, see twin.h. Plain on purpose: it has to be right, not fast. */
#include "twin.h"

#include <stdlib.h>
#include <string.h>

void twin_init(struct twin *twin, uint32_t units_max)
{
	*twin = (struct twin){.units_max = units_max};
	twin->state = calloc(units_max, 1);
	if (!twin->state)
		abort();
}

void twin_fini(struct twin *twin)
{
	free(twin->state);
}

void twin_copy(struct twin *to, const struct twin *from)
{
	uint8_t *state = to->state;

	memcpy(state, from->state, from->units_max);
	*to = *from;
	to->state = state;
}

void twin_grow(struct twin *twin, uint32_t units)
{
	twin->units = units;
}

static bool unit_free(const struct twin *twin, uint32_t unit)
{
	bool lent = unit >= twin->lent.start && unit < twin->lent.end;

	return twin->state[unit] <= TWIN_WAS && !lent;
}

/* How many free units follow one another from @unit on? No more than @limit are counted. */
static uint32_t run_from(const struct twin *twin, uint32_t unit, uint32_t limit)
{
	uint32_t n = 0;

	while (n < limit && unit + n < twin->units && unit_free(twin, unit + n))
		n++;
	return n;
}

static uint32_t first_fit(const struct twin *twin, uint32_t n, uint32_t align)
{
	uint32_t unit = 0;

	while (n <= twin->units && unit <= twin->units - n) {
		uint32_t run = run_from(twin, unit, n);

		if (run == n)
			return unit;
		/* unit + run is used: the next multiple of align behind it */
		unit = (unit + run) / align * align + align;
	}
	return MAP_NONE;
}

static void place(struct twin *twin, uint32_t unit, uint32_t n)
{
	memset(twin->state + unit, TWIN_INSIDE, n);
	twin->state[unit] = TWIN_START;
	twin->used_units += n;
	twin->objects++;
}

uint32_t twin_alloc(struct twin *twin, uint32_t n, uint32_t order)
{
	uint32_t unit = first_fit(twin, n, 1U << order);

	if (unit != MAP_NONE)
		place(twin, unit, n);
	return unit;
}

uint32_t twin_alloc_batch(struct twin *twin, uint32_t n, uint32_t order, uint32_t *units,
			  uint32_t count)
{
	uint32_t align = 1U << order;
	uint32_t unit = first_fit(twin, n, align);
	uint32_t taken = 0;

	if (unit == MAP_NONE)
		return 0;
	while (taken < count && run_from(twin, unit, n) == n) {
		place(twin, unit, n);
		units[taken++] = unit;
		unit += n;
		if (n % align)
			break;
	}
	return taken;
}

void twin_take(struct twin *twin, uint32_t start, uint32_t end)
{
	place(twin, start, end - start);
}

enum map_verdict twin_look(const struct twin *twin, uint32_t unit, uint32_t *n)
{
	uint32_t end = unit + 1;

	if (unit >= twin->units)
		return MAP_OUTSIDE;
	switch ((enum twin_state)twin->state[unit]) {
	case TWIN_FREE:
		return MAP_FREE;
	case TWIN_WAS:
		return MAP_FREED;
	case TWIN_INSIDE:
		return MAP_INTERIOR;
	case TWIN_START:
		break;
	}
	while (end < twin->units && twin->state[end] == TWIN_INSIDE)
		end++;
	*n = end - unit;
	return MAP_OBJECT;
}

/* An object start once freed is remembered; other starts inside were forgotten by place(). */
enum map_verdict twin_free(struct twin *twin, uint32_t unit, uint32_t n)
{
	uint32_t real;
	enum map_verdict verdict = twin_look(twin, unit, &real);

	if (verdict != MAP_OBJECT)
		return verdict;
	if (real != n)
		return MAP_SIZE;
	memset(twin->state + unit, TWIN_FREE, n);
	twin->state[unit] = TWIN_WAS;
	twin->used_units -= n;
	twin->objects--;
	return MAP_OBJECT;
}

uint32_t twin_free_batch(struct twin *twin, uint32_t n, uint32_t *units, uint32_t count)
{
	uint32_t refused = 0;

	for (uint32_t i = 0; i < count; i++)
		if (twin_free(twin, units[i], n) != MAP_OBJECT)
			units[refused++] = units[i];
	return refused;
}

uint32_t twin_largest_free(const struct twin *twin)
{
	uint32_t largest = 0;

	for (uint32_t unit = 0; unit < twin->units; unit++) {
		uint32_t run = run_from(twin, unit, twin->units);

		if (run > largest)
			largest = run;
		unit += run;
	}
	return largest;
}

bool twin_is_free(const struct twin *twin, uint32_t start, uint32_t end)
{
	return run_from(twin, start, end - start) == end - start;
}

uint32_t twin_next_object(const struct twin *twin, uint32_t unit, uint32_t *n)
{
	for (; unit < twin->units; unit++)
		if (twin_look(twin, unit, n) == MAP_OBJECT)
			return unit;
	return MAP_NONE;
}

void twin_lend(struct twin *twin, uint32_t start, uint32_t end)
{
	twin->lent = (struct map_range){start, end};
}

void twin_return(struct twin *twin)
{
	twin->lent = (struct map_range){0, 0};
}
