/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * libFuzzer: bytes become calls of the map, and of its naive twin beside it.
 * Any difference, broken invariant or failed assertion of the map is a crash.
 *
 * The first bytes make the map's size; then each call takes one byte that says
 * which, and some that say with what. Sizes near those of leaves and nodes are
 * likely, since that is where borders are.
 */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>

#define UNITS_MAX 4200U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
};

static uint32_t next_byte(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

/* 0 to @n - 1. */
static uint32_t next_below(struct input *input, uint32_t n)
{
	const uint32_t high = next_byte(input);

	return (high << 8 | next_byte(input)) % n;
}

/* A size from 1 on: mostly small, or beside a power of two; or so large that sums wrap around. */
static uint32_t next_size(struct input *input)
{
	const uint32_t byte = next_byte(input);

	if (byte < 128)
		return 1 + byte % 16;
	if (byte == 255)
		return UINT32_MAX - next_byte(input);
	return (1U << byte % 15) + next_byte(input) % 3;
}

/* An object near a place that the input names; a unit that is none if there are none above. */
static uint32_t next_object(struct input *input, const struct pair *pair, uint32_t *n)
{
	const uint32_t from = next_below(input, pair->twin.units);
	const uint32_t unit = twin_next_object(&pair->twin, from, n);

	return unit == MAP_NONE ? from : unit;
}

static bool free_object(struct pair *pair, struct input *input)
{
	uint32_t n = 1;
	const uint32_t unit = next_object(input, pair, &n);

	return pair_free(pair, unit, n);
}

static bool free_anything(struct pair *pair, struct input *input)
{
	const uint32_t unit = next_below(input, pair->map.units_max + 2);

	return pair_free(pair, unit, next_size(input));
}

/* The objects that follow one another in the map and have one size, and one unit more. */
static bool free_several(struct pair *pair, struct input *input)
{
	uint32_t n = 1, size = 1, count = next_byte(input) % PAIR_BATCH_MAX;
	uint32_t unit = next_object(input, pair, &size);

	pair->batched = 0;
	pair->batch[pair->batched++] = unit;
	while (pair->batched < count && unit < pair->twin.units) {
		unit = twin_next_object(&pair->twin, unit + 1, &n);
		if (unit != MAP_NONE && n == size)
			pair->batch[pair->batched++] = unit;
	}
	if (pair->batched < PAIR_BATCH_MAX)
		pair->batch[pair->batched++] = next_below(input, pair->map.units_max + 2);
	return pair_free_batch(pair, size);
}

static bool grow(struct pair *pair, struct input *input)
{
	const uint32_t rest = pair->map.units_max - pair->map.units;

	return pair_grow(pair, pair->map.units + next_below(input, rest + 1));
}

static struct map_range next_range(struct input *input, const struct pair *pair)
{
	const uint32_t start = next_below(input, pair->map.units);
	const uint32_t end = start + next_size(input);

	return (struct map_range){start, end < pair->map.units ? end : pair->map.units};
}

static bool lend_or_return(struct pair *pair, struct input *input)
{
	const struct map_range range = next_range(input, pair);

	if (pair->twin.lent.end)
		return pair_return(pair);
	return !twin_is_free(&pair->twin, range.start, range.end) ||
	       pair_lend(pair, range.start, range.end);
}

static bool take(struct pair *pair, struct input *input)
{
	const struct map_range range = next_range(input, pair);

	return !twin_is_free(&pair->twin, range.start, range.end) ||
	       pair_take(pair, range.start, range.end);
}

/* Ask for a range, or seldom drop the pages that tell of it: that takes long to compare. */
static bool ask_or_drop(struct pair *pair, struct input *input, bool dropping)
{
	const uint32_t start = next_below(input, pair->map.units);
	const uint32_t end = start + 1 + next_below(input, pair->map.units - start);

	if (dropping)
		return pair_drop(pair, start, end, 64U << next_byte(input) % 4);
	return pair_is_free(pair, start, end);
}

static bool one_call(struct pair *pair, struct input *input)
{
	const uint32_t call = next_byte(input);
	const uint32_t order = call / 16 % MAP_ORDERS;

	switch (call % 16) {
	case 0 ... 5:
		return pair_alloc(pair, next_size(input), order);
	case 6:
		return pair_alloc_batch(pair, next_size(input), order,
					next_byte(input) % (PAIR_BATCH_MAX + 1));
	case 7 ... 10:
		return free_object(pair, input);
	case 11:
		return free_several(pair, input);
	case 12:
		return free_anything(pair, input);
	case 13:
		return grow(pair, input);
	case 14:
		return order ? lend_or_return(pair, input) : take(pair, input);
	default:
		return ask_or_drop(pair, input, order == 0);
	}
}

/* Small maps meet their borders often and are quick; large ones have levels. */
static uint32_t next_map_size(struct input *input)
{
	static const uint16_t limits[16] = {8,	8,  12, 12, 16, 16,  24,   24,
					    40, 40, 64, 64, 80, 520, 1030, UNITS_MAX};

	return 1 + next_below(input, limits[next_byte(input) % 16]);
}

static void must(bool right, const struct pair *pair)
{
	if (right)
		return;
	fprintf(stderr, "%s\n", pair->wrong);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	const uint32_t units_max = next_map_size(&input);
	struct pair pair;

	pair_init(&pair, units_max);
	pair_grow(&pair, 1 + next_byte(&input) * (units_max - 1) / 255);
	while (input.left)
		must(one_call(&pair, &input), &pair);
	must(pair_counts(&pair) && pair_check(&pair) && pair_look_all(&pair, false), &pair);
	pair_fini(&pair);
	return 0;
}
