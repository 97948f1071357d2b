/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The algorithm of 2008, mended: see scan2008.h. */
#include "scan2008.h"

#include <stdbool.h>
#include <stdlib.h>

#define WORD 64U

void scan_init(struct scan *scan, uint32_t units)
{
	scan->used = calloc((units + WORD - 1) / WORD, sizeof(scan->used[0]));
	scan->units = units;
	scan->hint = 0;
	if (!scan->used)
		abort();
}

void scan_fini(struct scan *scan)
{
	free(scan->used);
}

/* The first unit from @unit up to @end - 1 whose bit, flipped by @flip, is one; else @end. */
static uint32_t next_bit(const struct scan *scan, uint32_t unit, uint32_t end, uint64_t flip)
{
	while (unit < end) {
		const uint64_t word = (scan->used[unit / WORD] ^ flip) >> unit % WORD;

		if (word) {
			unit += (uint32_t)__builtin_ctzll(word);
			return unit < end ? unit : end;
		}
		unit = (unit / WORD + 1) * WORD;
	}
	return end;
}

static uint32_t next_free(const struct scan *scan, uint32_t unit)
{
	return next_bit(scan, unit, scan->units, ~0ULL);
}

static uint32_t next_used(const struct scan *scan, uint32_t unit, uint32_t end)
{
	return next_bit(scan, unit, end, 0);
}

/* Flip the bits of @n units: from all free to all used, or back. */
static void flip(struct scan *scan, uint32_t unit, uint32_t n)
{
	while (n) {
		const uint32_t first = unit % WORD;
		const uint32_t some = n < WORD - first ? n : WORD - first;

		scan->used[unit / WORD] ^= ~0ULL >> (WORD - some) << first;
		unit += some;
		n -= some;
	}
}

void scan_mark(struct scan *scan, uint32_t unit, uint32_t n)
{
	flip(scan, unit, n);
}

uint32_t scan_alloc(struct scan *scan, uint32_t n, uint32_t order)
{
	const uint32_t mask = (1U << order) - 1;
	uint32_t unit = scan->hint = next_free(scan, scan->hint);

	for (;;) {
		uint32_t used;

		unit = (unit + mask) & ~mask;
		if (unit > scan->units || n > scan->units - unit)
			return SCAN_NONE;
		used = next_used(scan, unit, unit + n);
		if (used == unit + n)
			break;
		unit = next_free(scan, used);
	}
	flip(scan, unit, n);
	if (unit == scan->hint)
		scan->hint = unit + n;
	return unit;
}

static bool is_used(const struct scan *scan, uint32_t unit)
{
	return scan->used[unit / WORD] >> unit % WORD & 1;
}

void scan_free(struct scan *scan, uint32_t unit, uint32_t n)
{
	if (unit >= scan->units || n > scan->units - unit || !n || !is_used(scan, unit) ||
	    !is_used(scan, unit + n - 1))
		abort();
	flip(scan, unit, n);
	if (unit < scan->hint)
		scan->hint = unit;
}
