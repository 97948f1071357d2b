/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Patterns that are hard on a search, see patterns.h. */
#include "patterns.h"

#include <stdlib.h>

#define WHOLE (1U << 30) /* longer than any map: cut off at its end */

/* The same for the same unit, whatever was asked before. */
static uint32_t scatter(uint32_t unit)
{
	return unit * 2654435761U ^ (unit * 40503U) >> 7;
}

static struct pattern_run every(uint32_t unit, uint32_t period)
{
	(void)unit;
	return (struct pattern_run){1, period - 1};
}

static struct pattern_run blocks(uint32_t unit, uint32_t size)
{
	(void)unit;
	return (struct pattern_run){size, size};
}

static struct pattern_run odd_pairs(uint32_t unit, uint32_t parameter)
{
	(void)parameter;
	return (struct pattern_run){unit ? 2 : 1, 2};
}

/*
 * Holes of @n to 2 @n - 2 units, none of which holds an aligned @n: a hole ends
 * before the first multiple of @n in it has @n units behind it.
 */
static struct pattern_run misaligned(uint32_t unit, uint32_t n)
{
	const uint32_t used = (unit + 1) % n ? 1 : 2;
	const uint32_t to_multiple = n - (unit + used) % n;

	return (struct pattern_run){used, n + scatter(unit) % to_multiple};
}

/* Holes that grow, the longest at the end. */
static struct pattern_run staircase(uint32_t unit, uint32_t step)
{
	return (struct pattern_run){1, 1 + unit / step};
}

/* A fine comb on even steps of a coarse one, nearly whole steps on the odd ones. */
static struct pattern_run comb_in_comb(uint32_t unit, uint32_t step)
{
	const uint32_t rest = step - unit % step;

	return (struct pattern_run){1, unit / step % 2 && rest > 1 ? rest - 1 : 1};
}

/* Checkered, and the only larger hole of each leaf is its last. */
static struct pattern_run last_of_leaf(uint32_t unit, uint32_t parameter)
{
	const uint32_t rest = MAP_LEAF_UNITS - unit % MAP_LEAF_UNITS;

	(void)parameter;
	return (struct pattern_run){1, rest > 1 && rest <= 6 ? rest - 1 : 1};
}

/* Used but for one small hole in each thousand units or so. */
static struct pattern_run nearly_full(uint32_t unit, uint32_t parameter)
{
	return (struct pattern_run){1 + scatter(unit) % parameter, 1 + scatter(unit) / 64 % 5};
}

static struct pattern_run nearly_empty(uint32_t unit, uint32_t parameter)
{
	return (struct pattern_run){1 + scatter(unit) % 3,
				    parameter + scatter(unit) / 64 % parameter};
}

static struct pattern_run one_hole(uint32_t unit, uint32_t at)
{
	return unit ? (struct pattern_run){1, 0} : (struct pattern_run){at, WHOLE};
}

static struct pattern_run full(uint32_t unit, uint32_t size)
{
	(void)unit;
	return (struct pattern_run){size, 0};
}

const struct pattern patterns[] = {
	{"one used in 2: checkered", every, 2, 2},
	{"one used in 3", every, 3, 3},
	{"one used in 7", every, 7, 7},
	{"one used in 63", every, 63, 63},
	{"one used in 511", every, 511, 511},
	{"one used in 512", every, 512, 512},
	{"one used in 513", every, 513, 513},
	{"one used in 4095", every, 4095, 4095},
	{"one used in 4096", every, 4096, 4096},
	{"one used in 4097", every, 4097, 4097},
	{"one used in 32768", every, 32768, 32768},
	{"blocks of 8", blocks, 8, 16},
	{"blocks of 512", blocks, 512, 1024},
	{"blocks of 1023", blocks, 1023, 2046},
	{"blocks of 4096", blocks, 4096, 8192},
	{"odd two-unit holes", odd_pairs, 0, 4},
	{"holes of 4 to 6, no aligned 4", misaligned, 4, 5},
	{"holes of 64 to 126, no aligned 64", misaligned, 64, 65},
	{"holes of 512 to 1022, no aligned 512", misaligned, 512, 513},
	{"holes of 4 to 8 KiB, no aligned 4 KiB", misaligned, 1024, 1025},
	{"growing holes", staircase, 8192, 64},
	{"a comb in a comb of 512", comb_in_comb, 512, 4},
	{"a comb in a comb of 4096", comb_in_comb, 4096, 4},
	{"a comb in a comb of 5000", comb_in_comb, 5000, 4},
	{"checkered, a larger hole last", last_of_leaf, 0, 2},
	{"nearly full", nearly_full, 2000, 500},
	{"nearly empty", nearly_empty, 100000, 100000},
	{"one hole from 1 on", one_hole, 1, WHOLE},
	{"one hole from 1025 on", one_hole, 1025, WHOLE},
	{"full of 6 units each", full, 6, 6},
	{"full of 1000 units each", full, 1000, 1000},
};

const uint32_t pattern_count = sizeof(patterns) / sizeof(patterns[0]);

static uint32_t lay(struct map *map, uint32_t unit, uint32_t n, uint32_t end)
{
	if (n > end - unit)
		n = end - unit;
	if (n && map_alloc(map, n, 0) != unit)
		abort();
	return unit + n;
}

/*
 * Gaps are laid as objects, and freed when all is full. The last unit stays
 * used, so that a gap before it is a hole and does not lower the frontier.
 */
void pattern_build(const struct pattern *pattern, struct map *map)
{
	const uint32_t last = map->units - 1;
	uint32_t n, unit = 0;

	while (unit <= last) {
		const struct pattern_run run = pattern->next(unit, pattern->parameter);

		unit = lay(map, unit, run.used, map->units);
		if (unit < last)
			unit = lay(map, unit, run.gap, last);
	}
	for (unit = 0; unit < last;) {
		const struct pattern_run run = pattern->next(unit, pattern->parameter);

		unit += run.used;
		if (unit >= last || !run.gap)
			continue;
		if (map_look(map, unit, &n) != MAP_OBJECT || map_free(map, unit, n) != MAP_OBJECT)
			abort();
		unit += n;
	}
}
