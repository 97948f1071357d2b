/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The naive twin: what map.h promises, done in the plainest way that there is.
 * One byte a unit, no bits, no summary, no frontier, every search a scan from
 * unit 0. It is the oracle of the tests and shares no code with the map; it
 * takes from map.h the words of the interface only.
 *
 * Its calls are those of map.h, and mean the same.
 */
#ifndef TWIN_H
#define TWIN_H

#include "core/map.h"

struct twin {
	uint8_t *state; /* of each unit, enum twin_state */
	uint32_t units, units_max;
	struct map_range lent;
	uint32_t used_units, objects;
};

enum twin_state {
	TWIN_FREE,
	TWIN_WAS, /* free, and the last object that started here is gone */
	TWIN_START,
	TWIN_INSIDE,
};

void twin_init(struct twin *twin, uint32_t units_max);
void twin_fini(struct twin *twin);
void twin_copy(struct twin *to, const struct twin *from); /* of the same units_max */
void twin_grow(struct twin *twin, uint32_t units);

uint32_t twin_alloc(struct twin *twin, uint32_t n, uint32_t order);
uint32_t twin_alloc_batch(struct twin *twin, uint32_t n, uint32_t order, uint32_t *units,
			  uint32_t count);
void twin_take(struct twin *twin, uint32_t start, uint32_t end);
enum map_verdict twin_look(const struct twin *twin, uint32_t unit, uint32_t *n);
enum map_verdict twin_free(struct twin *twin, uint32_t unit, uint32_t n);
uint32_t twin_free_batch(struct twin *twin, uint32_t n, uint32_t *units, uint32_t count);

uint32_t twin_largest_free(const struct twin *twin);
bool twin_is_free(const struct twin *twin, uint32_t start, uint32_t end);
uint32_t twin_next_object(const struct twin *twin, uint32_t unit, uint32_t *n);
void twin_lend(struct twin *twin, uint32_t start, uint32_t end);
void twin_return(struct twin *twin);

#endif
