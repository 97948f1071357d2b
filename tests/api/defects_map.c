/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The defects of the 2008 allocator that lay in its bitmap: 1, 27, 28 and 29. By
 * the map alone, built so that it counts the nodes and words that it visits.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/map.h"
#include "tap.h"

#define UNITS 131072U /* 512 KB: the area in which a search took 60 to 140 ms */
#define FEW 1000U     /* visits of a search: more than any needs, far less than a scan */

/* A map whose memory ends where a page begins that nobody may touch. */
static struct map *new_map(uint32_t units)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (map_memory_bytes(units) + 7) & ~7UL;
	size_t whole = (bytes + page - 1) / page * page;
	char *memory = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	struct map *map = calloc(1, sizeof(*map));

	if (!map || memory == MAP_FAILED || mprotect(memory + whole, page, PROT_NONE) != 0)
		abort();
	map_init(map, memory + whole - bytes, units);
	map_grow(map, units);
	return map;
}

/* Fill it unit by unit, check, free it all. A write outside ends the test. */
static void defect_1(uint32_t units)
{
	struct map *map = new_map(units);
	bool good = true;

	for (uint32_t unit = 0; unit < units; unit++)
		good &= map_alloc(map, 1, 0) == unit;
	good &= map_alloc(map, 1, 0) == MAP_NONE && !map_check(map);
	for (uint32_t unit = 0; unit < units; unit++)
		good &= map_free(map, unit, 1) == MAP_OBJECT;
	good &= map->used_units == 0 && !map_check(map) && map_alloc(map, units, 0) == 0;
	ok(good, "defect 1: a map of %u units stays within its memory", units);
	free(map);
}

/* Full, unit by unit. */
static struct map *full_map(void)
{
	struct map *map = new_map(UNITS);

	for (uint32_t n = 0; n < UNITS; n++)
		map_alloc(map, 1, 0);
	return map;
}

/* It is the unit @expected that @n units are found at, after some but few visits. */
static bool finds(struct map *map, uint32_t n, uint32_t expected, uint64_t *most)
{
	const uint64_t before = map->visits;
	const uint32_t unit = map_alloc(map, n, 0);
	const uint64_t visits = map->visits - before;

	*most = visits > *most ? visits : *most;
	return unit == expected && visits > 0 && visits < FEW;
}

/* Every other unit used: 2008 probed each hole, from the first, for every object. */
static void defect_27(void)
{
	struct map *map = full_map();
	uint64_t most = 0;
	bool good = true;

	for (uint32_t n = 1; n < UNITS - 1; n += 2)
		map_free(map, n, 1);
	for (uint32_t n = UNITS / 2; n < UNITS - 1000; n += 1000)
		map_free(map, n, 1);
	for (uint32_t n = UNITS / 2; n < UNITS - 2000; n += 1000)
		good &= finds(map, 3, n - 1, &most);
	ok(good, "defect 27: no scan in a checkered map: %u visits", (unsigned int)most);
	map->visits = 0;
	good = map_alloc(map, 8192, 0) == MAP_NONE && map->visits < FEW;
	ok(good, "defect 27: nor to find that nothing fits");
	free(map);
}

/* One hole at the bottom: for anything larger 2008 scanned all that is full above it. */
static void defect_28(void)
{
	struct map *map = full_map();
	uint64_t most = 0;
	bool good = true;

	map_free(map, 0, 1);
	for (uint32_t n = UNITS / 2; n < UNITS - 1000; n += 1000) {
		map_free(map, n, 1);
		map_free(map, n + 1, 1);
	}
	for (uint32_t n = UNITS / 2; n < UNITS - 2000; n += 1000)
		good &= finds(map, 2, n, &most);
	ok(good, "defect 28: a hole at the bottom costs nothing: %u visits", (unsigned int)most);
	free(map);
}

static void defect_29(void)
{
	struct map *map = full_map();
	uint64_t most = 0;
	bool good;

	for (uint32_t n = 1; n < UNITS - 2; n++)
		map_free(map, n, 1);
	map_free(map, UNITS - 1, 1);
	map->visits = 0;
	good = map_alloc(map, UNITS - 3, 0) == 1 && map->visits < UNITS / 16;
	most = map->visits;
	map->visits = 0;
	good &= map_free(map, 1, UNITS - 3) == MAP_OBJECT && map->visits < UNITS / 16;
	ok(good, "defect 29: bits are set by the word: %u and %u visits for %u units",
	   (unsigned int)most, (unsigned int)map->visits, UNITS - 3);
	free(map);
}

int main(void)
{
	const uint32_t units[] = {1, 31, 32, 33, 511, 512, 513, 1000, 4096, 4097, 100000, UNITS};

	for (size_t n = 0; n < sizeof(units) / sizeof(*units); n++)
		defect_1(units[n]);
	defect_27();
	defect_28();
	defect_29();
	return tap_done();
}
