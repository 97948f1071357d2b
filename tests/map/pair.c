/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A map and its twin side by side, see pair.h. */
#include "pair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIR_PAGE 4096U /* the map's memory begins at a multiple of this */

__attribute__((format(printf, 3, 4))) static bool expect(struct pair *pair, bool equal,
							 const char *format, ...)
{
	va_list arguments;

	if (equal || pair->wrong[0])
		return !pair->wrong[0];
	va_start(arguments, format);
	vsnprintf(pair->wrong, sizeof(pair->wrong), format, arguments);
	va_end(arguments);
	return false;
}

void pair_init(struct pair *pair, uint32_t units_max)
{
	*pair = (struct pair){.memory_bytes = map_memory_bytes(units_max)};
	if (posix_memalign(&pair->memory, PAIR_PAGE, pair->memory_bytes))
		abort();
	memset(pair->memory, 0, pair->memory_bytes);
	map_init(&pair->map, pair->memory, units_max);
	twin_init(&pair->twin, units_max);
}

void pair_fini(struct pair *pair)
{
	twin_fini(&pair->twin);
	free(pair->memory);
}

/* The map points into its memory: the copy keeps its own pointers, all else comes over. */
void pair_copy(struct pair *to, const struct pair *from)
{
	struct map map = from->map;

	map.bits = to->map.bits;
	memcpy(map.level, to->map.level, sizeof(map.level));
	to->map = map;
	memcpy(to->memory, from->memory, from->memory_bytes);
	twin_copy(&to->twin, &from->twin);
	memcpy(to->wrong, from->wrong, sizeof(to->wrong));
}

bool pair_grow(struct pair *pair, uint32_t units)
{
	map_grow(&pair->map, units);
	twin_grow(&pair->twin, units);
	return expect(pair, pair->map.units == units, "grown to %u", units);
}

bool pair_alloc(struct pair *pair, uint32_t n, uint32_t order)
{
	uint32_t twin = twin_alloc(&pair->twin, n, order);

	pair->unit = map_alloc(&pair->map, n, order);
	return expect(pair, pair->unit == twin, "alloc(%u, %u) gave %u, not %u", n, order,
		      pair->unit, twin);
}

bool pair_alloc_batch(struct pair *pair, uint32_t n, uint32_t order, uint32_t count)
{
	uint32_t units[PAIR_BATCH_MAX];
	uint32_t taken = twin_alloc_batch(&pair->twin, n, order, units, count);

	pair->batched = map_alloc_batch(&pair->map, n, order, pair->batch, count);
	return expect(pair, pair->batched == taken, "alloc_batch(%u, %u, %u) took %u, not %u", n,
		      order, count, pair->batched, taken) &&
	       expect(pair, !memcmp(units, pair->batch, taken * sizeof(units[0])),
		      "alloc_batch(%u, %u, %u) at %u, not %u", n, order, count, pair->batch[0],
		      units[0]);
}

bool pair_free(struct pair *pair, uint32_t unit, uint32_t n)
{
	enum map_verdict twin = twin_free(&pair->twin, unit, n);

	pair->verdict = map_free(&pair->map, unit, n);
	return expect(pair, pair->verdict == twin, "free(%u, %u) says %d, not %d", unit, n,
		      (int)pair->verdict, (int)twin);
}

static int compare_units(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

bool pair_free_batch(struct pair *pair, uint32_t n)
{
	uint32_t units[PAIR_BATCH_MAX];
	uint32_t count = pair->batched;
	uint32_t refused;

	memcpy(units, pair->batch, count * sizeof(units[0]));
	refused = twin_free_batch(&pair->twin, n, units, count);
	pair->batched = map_free_batch(&pair->map, n, pair->batch, count);
	if (!expect(pair, pair->batched == refused, "free_batch(%u) of %u refused %u, not %u", n,
		    count, pair->batched, refused))
		return false;
	qsort(units, refused, sizeof(units[0]), compare_units);
	qsort(pair->batch, refused, sizeof(units[0]), compare_units);
	return expect(pair, !memcmp(units, pair->batch, refused * sizeof(units[0])),
		      "free_batch(%u) of %u refused others", n, count);
}

bool pair_take(struct pair *pair, uint32_t start, uint32_t end)
{
	if (!expect(pair, map_is_free(&pair->map, start, end), "%u to %u not free", start, end))
		return false;
	map_take(&pair->map, start, end);
	twin_take(&pair->twin, start, end);
	return true;
}

bool pair_lend(struct pair *pair, uint32_t start, uint32_t end)
{
	if (!expect(pair, map_is_free(&pair->map, start, end), "%u to %u not free", start, end))
		return false;
	map_lend(&pair->map, start, end);
	twin_lend(&pair->twin, start, end);
	return true;
}

bool pair_return(struct pair *pair)
{
	map_return(&pair->map);
	twin_return(&pair->twin);
	return !pair->wrong[0];
}

static void zero_pages(void *context, void *address, size_t bytes)
{
	struct pair *pair = context;
	size_t offset = (size_t)((char *)address - (char *)pair->memory);

	expect(pair, (uintptr_t)address % pair->page_bytes == 0 && bytes % pair->page_bytes == 0,
	       "idle pages at %p, %zu bytes", address, bytes);
	if (expect(pair, offset < pair->memory_bytes && pair->memory_bytes - offset >= bytes,
		   "idle pages outside of the map's memory"))
		memset(address, 0, bytes);
	pair->dropped_bytes += bytes;
}

bool pair_drop(struct pair *pair, uint32_t start, uint32_t end, uint32_t page_bytes)
{
	pair->dropped_bytes = 0;
	pair->page_bytes = page_bytes;
	map_idle_pages(&pair->map, start, end, page_bytes, zero_pages, pair);
	return !pair->wrong[0] && pair_look_all(pair, true);
}

bool pair_counts(struct pair *pair)
{
	const struct map *map = &pair->map;
	uint32_t largest = twin_largest_free(&pair->twin);

	return expect(pair, map->used_units == pair->twin.used_units, "%u units used, not %u",
		      map->used_units, pair->twin.used_units) &&
	       expect(pair, map->objects == pair->twin.objects, "%u objects, not %u", map->objects,
		      pair->twin.objects) &&
	       expect(pair, map_largest_free(map) == largest, "largest free run %u, not %u",
		      map_largest_free(map), largest);
}

bool pair_check(struct pair *pair)
{
	const char *broken = map_check(&pair->map);

	return expect(pair, !broken, "map_check: %s", broken);
}

bool pair_is_free(struct pair *pair, uint32_t start, uint32_t end)
{
	bool free = map_is_free(&pair->map, start, end);

	return expect(pair, free == twin_is_free(&pair->twin, start, end), "%u to %u: free is %d",
		      start, end, free);
}

static bool look(struct pair *pair, uint32_t unit, bool forget)
{
	uint32_t n = 0, twin_n = 0;
	enum map_verdict twin = twin_look(&pair->twin, unit, &twin_n);
	enum map_verdict map = map_look(&pair->map, unit, &n);

	if (forget && twin == MAP_FREED && map == MAP_FREE) {
		pair->twin.state[unit] = TWIN_FREE;
		return true;
	}
	return expect(pair, map == twin && (map != MAP_OBJECT || n == twin_n),
		      "unit %u looks like %d of %u, not %d of %u", unit, (int)map, n, (int)twin,
		      twin_n);
}

bool pair_look_all(struct pair *pair, bool forget)
{
	for (uint32_t unit = 0; unit < pair->twin.units; unit++)
		if (!look(pair, unit, forget))
			return false;
	return look(pair, pair->twin.units, false) && look(pair, UINT32_MAX, false);
}
