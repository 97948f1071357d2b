/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What map_free() and map_look() say of a unit: each verdict, by name. */
#include "core/map.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define UNITS_MAX 5000U
#define UNITS 4500U /* of capacity */

static struct map map;
static uint64_t memory[UNITS_MAX] __attribute__((aligned(64)));

static const char *name(enum map_verdict verdict)
{
	static const char *const names[] = {"an object",     "a wrong size", "an interior unit",
					    "a double free", "free",	     "outside"};

	return names[verdict];
}

/* free(@unit, @n) is refused for this reason, and look(@unit) has the same opinion. */
static void refused(uint32_t unit, uint32_t n, enum map_verdict reason, const char *text)
{
	uint32_t real;
	const uint32_t used = map.used_units, objects = map.objects;
	const enum map_verdict verdict = map_free(&map, unit, n);
	const enum map_verdict look = map_look(&map, unit, &real);

	ok(verdict == reason && look == (reason == MAP_SIZE ? MAP_OBJECT : reason) &&
		   map.used_units == used && map.objects == objects && !map_check(&map),
	   "%s: %s", name(reason), text);
	if (verdict != reason)
		diag("free(%u, %u) says %s", unit, n, name(verdict));
}

static void empty_map(void)
{
	memset(memory, 0, sizeof(memory));
	if (map_memory_bytes(UNITS_MAX) > sizeof(memory))
		abort();
	map_init(&map, memory, UNITS_MAX);
	refused(0, 1, MAP_OUTSIDE, "a map without capacity");
	map_grow(&map, UNITS);
	refused(0, 1, MAP_FREE, "nothing was ever there");
	refused(UNITS - 1, 1, MAP_FREE, "the last unit");
	refused(UNITS, 1, MAP_OUTSIDE, "the first unit behind the capacity");
	refused(UINT32_MAX, 1, MAP_OUTSIDE, "the largest number");
	refused(MAP_NONE, 0, MAP_OUTSIDE, "what a failed alloc returns");
}

/* 0 to 9, 10 to 709, 710 to 714: the middle one lies in two leaves. */
static void live_objects(void)
{
	uint32_t n = 0;

	map_alloc(&map, 10, 0);
	map_alloc(&map, 700, 0);
	map_alloc(&map, 5, 0);
	ok(map_look(&map, 10, &n) == MAP_OBJECT && n == 700, "an object: its extent is known");
	refused(10, 699, MAP_SIZE, "one unit less");
	refused(10, 701, MAP_SIZE, "one unit more, into a neighbour");
	refused(10, 705, MAP_SIZE, "it and its neighbour at once");
	refused(10, 0, MAP_SIZE, "no unit");
	refused(10, UINT32_MAX, MAP_SIZE, "the largest number of units");
	refused(11, 699, MAP_INTERIOR, "the second unit and all to the end");
	refused(512, 1, MAP_INTERIOR, "the first unit of the next leaf");
	refused(709, 1, MAP_INTERIOR, "the last unit");
	refused(715, 1, MAP_FREE, "the unit behind the last object");
}

static void freed_objects(void)
{
	ok(map_free(&map, 10, 700) == MAP_OBJECT, "an object: freed");
	refused(10, 700, MAP_FREED, "at once");
	refused(10, 1, MAP_FREED, "with another size");
	refused(11, 1, MAP_FREE, "the second unit of what was an object");
	ok(map_free(&map, 0, 10) == MAP_OBJECT, "an object: its neighbour freed");
	refused(10, 700, MAP_FREED, "in the middle of a larger hole");
	ok(map_free(&map, 710, 5) == MAP_OBJECT, "an object: the topmost freed");
	refused(710, 5, MAP_FREED, "above all objects");
	refused(10, 700, MAP_FREED, "above all objects, freed before");
}

static void units_taken_again(void)
{
	ok(map_alloc(&map, 12, 0) == 0, "the units are taken again");
	refused(10, 700, MAP_INTERIOR, "a former object, now inside of another");
	refused(0, 10, MAP_SIZE, "a former object where another starts");
	refused(710, 5, MAP_FREED, "a former object that nobody has taken");
	ok(map_free(&map, 0, 12) == MAP_OBJECT, "an object: freed");
	refused(10, 700, MAP_FREE, "a former object, forgotten with the next one on its units");
	refused(0, 10, MAP_FREED, "the size of the one before");
}

static void batches(void)
{
	uint32_t units[6];

	ok(map_alloc_batch(&map, 4, 2, units, 3) == 3 && units[2] == 8, "a batch of three");
	units[3] = 4;
	units[4] = UNITS;
	units[5] = 5;
	ok(map_free_batch(&map, 4, units, 6) == 3, "a batch of six: three refused");
	ok(units[0] + units[1] + units[2] == 4 + UNITS + 5, "one twice, one outside, one interior");
	ok(map.objects == 0 && map.used_units == 0, "the others are gone");
	refused(4, 4, MAP_FREED, "freed in a batch");
}

static void zero(void *context, void *address, size_t bytes)
{
	(void)context;
	memset(address, 0, bytes);
}

static void growth_and_pages(void)
{
	refused(UNITS + 1, 1, MAP_OUTSIDE, "before the map grows");
	map_grow(&map, UNITS_MAX);
	refused(UNITS + 1, 1, MAP_FREE, "after the map has grown");
	refused(UNITS_MAX, 1, MAP_OUTSIDE, "the limit");
	refused(4, 4, MAP_FREED, "before its page of the map is dropped");
	map_idle_pages(&map, 0, UNITS_MAX, 64, zero, NULL);
	refused(4, 4, MAP_FREE, "after its page of the map is dropped");
}

int main(void)
{
	empty_map();
	live_objects();
	freed_objects();
	units_taken_again();
	batches();
	growth_and_pages();
	return tap_done();
}
