/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The map and the scan of 2008 behind one interface, and a heap of live objects
 * on either: the same calls in the same order give both the same state, since
 * both place at the lowest address that fits. Calls go through a pointer; that
 * costs both the same nanosecond or two.
 */
#ifndef HEAP_H
#define HEAP_H

#include "core/map.h"
#include "scan2008.h"

#include <stdbool.h>

enum engine { MAP, SCAN, ENGINES };

struct object {
	uint32_t unit, n;
};

struct heap {
	enum engine engine;
	struct map map;
	void *memory; /* the map's */
	struct scan scan;
	uint32_t (*alloc)(struct heap *heap, uint32_t n, uint32_t order);
	void (*free)(struct heap *heap, uint32_t unit, uint32_t n);
	struct object *live;
	uint32_t live_count;
	uint64_t random;
	uint64_t places; /* a hash of all placements: must be the same for both */
};

void heap_init(struct heap *heap, enum engine engine, uint32_t units, uint32_t live_max);
void heap_fini(struct heap *heap);

/* Take one more object; aborts if there is no room. */
void heap_add(struct heap *heap, uint32_t n, uint32_t order);

/* Put what the engine has just placed into the list; aborts if it has not. */
void heap_put(struct heap *heap, struct object object);

/* Take the live object at @i out of the list, not out of the engine; the last one moves there. */
struct object heap_pick(struct heap *heap, uint32_t i);

/* Free the live object at @i. */
void heap_remove(struct heap *heap, uint32_t i);

/* Make @to, a scan, the same as @from, a map: objects, random numbers, hash. */
void heap_mirror(struct heap *to, const struct heap *from);

/* Aborts if the two have placed differently. */
void heap_compare(const struct heap *a, const struct heap *b);

#endif
