/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The map's own memory: its size, that all of it is used and nothing behind it,
 * that it becomes resident no sooner than needed, and that it can be given back.
 */
#include "core/map.h"
#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE (1U << 24) /* units: 64 MiB */

static size_t page;

/* From 256 KiB on; an area of a few pages has a map of one page. */
static void metadata_is_small(void)
{
	double worst = 0;

	for (uint32_t units = 1 << 16; units <= MAP_UNITS_MAX; units += units / 16) {
		double ratio = (double)map_memory_bytes(units) / (4.0 * units);

		if (ratio > worst)
			worst = ratio;
	}
	ok(worst <= 0.10, "the map takes %.2f %% of an area at most", 100 * worst);
}

/* Single units to the last, then every second freed: ASan watches the ends of the memory. */
static bool fill(uint32_t units)
{
	void *memory = calloc(1, map_memory_bytes(units));
	struct map map;
	bool right = true;

	map_init(&map, memory, units);
	map_grow(&map, units);
	for (uint32_t unit = 0; unit < units; unit++)
		right &= map_alloc(&map, 1, 0) == unit;
	right &= map_alloc(&map, 1, 0) == MAP_NONE && map_largest_free(&map) == 0;
	for (uint32_t unit = 0; unit < units; unit += 2)
		right &= map_free(&map, unit, 1) == MAP_OBJECT;
	for (uint32_t unit = 0; unit < units; unit += 2)
		right &= map_alloc(&map, 1, 0) == unit;
	right &= map.used_units == units && !map_check(&map);
	free(memory);
	return right;
}

static void every_unit_is_used(void)
{
	static const uint32_t sizes[] = {1,    2,    63,   64,	  65,	 447,	448,
					 449,  511,  512,  513,	  1023,	 1025,	4095,
					 4096, 4097, 5121, 32767, 32768, 32769, 37000};
	bool right = true;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!fill(sizes[i])) {
			diag("%u units", sizes[i]);
			right = false;
		}
	ok(right, "defect 1: maps of many sizes filled to the last unit");
}

/* Unreadable pages on both sides, so that the kernel tells of it apart from its neighbours. */
static void *map_alone(size_t bytes)
{
	const size_t guarded = bytes + 2 * page;
	char *memory = mmap(NULL, guarded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory + page, bytes, PROT_READ | PROT_WRITE) ||
	    madvise(memory + page, bytes, MADV_NOHUGEPAGE))
		abort();
	return memory + page;
}

/* Pages of a mapping that have memory of their own. The shared zero page does not count. */
static size_t resident_pages(const void *memory, size_t bytes)
{
	const uintptr_t base = (uintptr_t)memory;
	char line[256];
	FILE *smaps = fopen("/proc/self/smaps", "r");
	uintptr_t start, end;
	size_t kib, sum = 0;
	bool here = false;

	if (!smaps)
		abort();
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			here = start >= base && start < base + bytes;
		if (here && sscanf(line, "Anonymous: %zu", &kib) == 1)
			sum += kib;
	}
	fclose(smaps);
	return sum * 1024 / page;
}

static void give_back(void *context, void *address, size_t bytes)
{
	(void)context;
	if (madvise(address, bytes, MADV_DONTNEED))
		abort();
}

/* Objects of 2 units side by side, every second one freed: all of the tree is written. */
static void comb(struct map *map, uint32_t units)
{
	for (uint32_t unit = 0; unit < units; unit += 2)
		if (map_alloc(map, 2, 1) != unit)
			abort();
	for (uint32_t unit = 0; unit < units; unit += 4)
		map_free(map, unit, 2);
}

static void free_comb(struct map *map, uint32_t units)
{
	for (uint32_t unit = 2; unit < units; unit += 4)
		map_free(map, unit, 2);
}

static void new_map(struct map *map, void *memory)
{
	madvise(memory, map_memory_bytes(LARGE), MADV_DONTNEED);
	map_init(map, memory, LARGE);
	map_grow(map, LARGE);
}

static void pages_come(void *memory)
{
	struct map map;
	size_t pages;

	new_map(&map, memory);
	for (uint32_t i = 0; i < 1000; i++)
		map_alloc(&map, 1 + i % 7, 0);
	pages = resident_pages(memory, map_memory_bytes(LARGE));
	ok(pages > 0 && pages <= 3, "1,000 small objects in a new map: %zu pages", pages);
}

/* Of each level, and of the bits, the two pages at the edges of the hole cannot go. */
static void pages_go(void *memory)
{
	const uint32_t used = LARGE / 4;
	size_t most, left, least;
	struct map map;

	new_map(&map, memory);
	comb(&map, used);
	map_alloc(&map, 3, 10);
	least = 2 * (map.top + 2);
	most = resident_pages(memory, map_memory_bytes(LARGE));
	ok(most >= 300, "a comb in a quarter of the map: %zu pages", most);
	free_comb(&map, used);
	map_idle_pages(&map, 0, used, page, give_back, NULL);
	left = resident_pages(memory, map_memory_bytes(LARGE));
	ok(left <= least, "a hole in its place: %zu pages", left);
	ok(map_alloc(&map, 1000, 3) == 0 && map_alloc(&map, used, 0) != MAP_NONE &&
		   map_look(&map, 2, &(uint32_t){0}) == MAP_INTERIOR,
	   "and it can be used");
}

int main(void)
{
	void *memory;

	page = (size_t)sysconf(_SC_PAGESIZE);
	memory = map_alone((map_memory_bytes(LARGE) + page - 1) / page * page);
	metadata_is_small();
	every_unit_is_used();
	pages_come(memory);
	pages_go(memory);
	return tap_done();
}
