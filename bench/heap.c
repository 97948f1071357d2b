/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Live objects on the map or on the scan of 2008, see heap.h. */
#include "heap.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t map_engine_alloc(struct heap *heap, uint32_t n, uint32_t order)
{
	return map_alloc(&heap->map, n, order);
}

static void map_engine_free(struct heap *heap, uint32_t unit, uint32_t n)
{
	map_free(&heap->map, unit, n);
}

static uint32_t scan_engine_alloc(struct heap *heap, uint32_t n, uint32_t order)
{
	return scan_alloc(&heap->scan, n, order);
}

static void scan_engine_free(struct heap *heap, uint32_t unit, uint32_t n)
{
	scan_free(&heap->scan, unit, n);
}

void heap_init(struct heap *heap, enum engine engine, uint32_t units, uint32_t live_max)
{
	*heap = (struct heap){.engine = engine, .random = random_seed(1)};
	heap->live = calloc(live_max, sizeof(heap->live[0]));
	if (!heap->live)
		abort();
	if (engine == SCAN) {
		heap->alloc = scan_engine_alloc;
		heap->free = scan_engine_free;
		scan_init(&heap->scan, units);
		return;
	}
	heap->alloc = map_engine_alloc;
	heap->free = map_engine_free;
	heap->memory = calloc(1, map_memory_bytes(units));
	if (!heap->memory)
		abort();
	map_init(&heap->map, heap->memory, units);
	map_grow(&heap->map, units);
}

void heap_fini(struct heap *heap)
{
	if (heap->engine == SCAN)
		scan_fini(&heap->scan);
	free(heap->memory);
	free(heap->live);
}

void heap_put(struct heap *heap, struct object object)
{
	if (object.unit == MAP_NONE)
		abort();
	heap->places = heap->places * 31 + object.unit;
	heap->live[heap->live_count++] = object;
}

void heap_add(struct heap *heap, uint32_t n, uint32_t order)
{
	heap_put(heap, (struct object){heap->alloc(heap, n, order), n});
}

struct object heap_pick(struct heap *heap, uint32_t i)
{
	const struct object object = heap->live[i];

	heap->live[i] = heap->live[--heap->live_count];
	return object;
}

void heap_remove(struct heap *heap, uint32_t i)
{
	const struct object object = heap_pick(heap, i);

	heap->free(heap, object.unit, object.n);
}

void heap_mirror(struct heap *to, const struct heap *from)
{
	memcpy(to->live, from->live, from->live_count * sizeof(from->live[0]));
	to->live_count = from->live_count;
	to->random = from->random;
	to->places = from->places;
	for (uint32_t i = 0; i < from->live_count; i++)
		scan_mark(&to->scan, from->live[i].unit, from->live[i].n);
}

void heap_compare(const struct heap *a, const struct heap *b)
{
	if (a->places == b->places)
		return;
	fprintf(stderr, "the map and the scan have placed differently\n");
	abort();
}
