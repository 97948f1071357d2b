/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Patterns of used and free units that are hard on a search: for the test that
 * counts the map's work, and for the benchmark that times its worst call.
 */
#ifndef PATTERNS_H
#define PATTERNS_H

#include "core/map.h"

/* Used units, then free units; in turns, from unit 0 up to the map's end. */
struct pattern_run {
	uint32_t used, gap;
};

struct pattern {
	const char *name;
	struct pattern_run (*next)(uint32_t unit, uint32_t parameter);
	uint32_t parameter;
	uint32_t fine; /* the shortest period in units: how many objects a large map gets */
};

extern const struct pattern patterns[];
extern const uint32_t pattern_count;

/* Lay the pattern into an empty map that has all its capacity. */
void pattern_build(const struct pattern *pattern, struct map *map);

#endif
