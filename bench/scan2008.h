/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The algorithm of 2008, to measure the map against: a bitmap of used units, a
 * hint below which nothing is free, and a linear search. Written anew, and
 * mended where the original lost without need:
 *
 *   - a probe for the end of a hole stops where the object would end;
 *   - the search goes on behind the used unit that it ran into, and steps to
 *     the next aligned unit, instead of trying unit by unit;
 *   - bits are set and cleared a word at a time; the original did one by one.
 *
 * As then, the caller tells the size when it frees, and is believed if the first
 * and the last of the units are used.
 */
#ifndef SCAN2008_H
#define SCAN2008_H

#include <stdint.h>

#define SCAN_NONE UINT32_MAX

struct scan {
	uint64_t *used; /* a bit a unit */
	uint32_t units;
	uint32_t hint; /* all units below are used */
};

void scan_init(struct scan *scan, uint32_t units);
void scan_fini(struct scan *scan);
void scan_mark(struct scan *scan, uint32_t unit, uint32_t n); /* used, no questions asked */
uint32_t scan_alloc(struct scan *scan, uint32_t n, uint32_t order);
void scan_free(struct scan *scan, uint32_t unit, uint32_t n);

#endif
