/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The area as it was at the peak of a replay, which remembered its history. */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "replay.h"

#include <cpu_alloc.h>

/* On standard output, in at most 80 columns. */
void picture_map(const struct replay *replay);

/* As SVG into the file @path. False: that could not be written, and has been told. */
bool picture_svg(const struct replay *replay, const char *path);

/* Units of a row, @least times a power of two, such that @rows of them reach up to @end. */
static inline uint32_t picture_row_units(uint32_t end, uint32_t least, uint32_t rows)
{
	while (least * (uint64_t)rows < end)
		least *= 2;
	return least;
}

/* At least one, be it empty. */
static inline uint32_t picture_rows(uint32_t end, uint32_t row_units)
{
	return end ? (end + row_units - 1) / row_units : 1;
}

static inline uint64_t picture_bytes(uint32_t units)
{
	return units * CPU_ALLOC_UNIT;
}

#endif
