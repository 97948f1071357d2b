/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random runs of the map beside its twin: every call of map.h, on maps of one
 * unit up to millions.
 *
 *	map-random [SEED [SHAPE]]
 *
 * Phases of a few hundred steps differ in fill level, sizes and alignments.
 * Of the steps, the percentage is done that effort.h tells.
 */
#include "effort.h"
#include "pair.h"
#include "random.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shape {
	const char *name;
	uint32_t units_max; /* the map starts smaller and grows up to this */
	uint32_t steps;
	uint32_t check_every; /* steps; the checks cost O(units) */
};

static const struct shape shapes[] = {
	{"1 unit", 1, 2000, 1},
	{"2 units", 2, 5000, 1},
	{"7 units", 7, 20000, 1},
	{"64 units", 64, 30000, 1},
	{"65 units", 65, 30000, 1},
	{"511 units", 511, 20000, 1},
	{"one leaf", 512, 20000, 1},
	{"513 units", 513, 20000, 1},
	{"three leaves", 3 * 512, 8000, 1},
	{"one node", 4096, 10000, 5},
	{"one node and a unit", 4097, 10000, 5},
	{"some nodes", 20011, 20000, 50},
	{"two levels and a leaf", 33000, 6000, 50},
	{"1 MiB", 262144, 3000, 300},
	{"12 MiB", 3000017, 200, 100},
};

struct object {
	uint32_t unit, n;
};

/* How sizes are drawn, and how alignments are: one of each a phase. */
enum sizes { ONES, SMALL, KERNEL, PAGES, ANY, SIZES };
enum aligns { UNALIGNED, NATURAL, ALIGNED, ALIGNS };

struct run {
	struct pair pair;
	const struct shape *shape;
	uint64_t random;
	struct object *live;
	uint32_t live_count;
	uint32_t target; /* units that this phase wants used */
	enum sizes sizes;
	enum aligns aligns;
};

static uint32_t below(struct run *run, uint32_t n)
{
	return random_below(&run->random, n);
}

static void new_phase(struct run *run)
{
	static const uint8_t percents[] = {0, 5, 40, 80, 97, 100, 120};
	uint32_t percent = percents[below(run, sizeof(percents))];

	run->target = (uint32_t)((uint64_t)run->pair.map.units * percent / 100);
	run->sizes = (enum sizes)below(run, SIZES);
	run->aligns = (enum aligns)below(run, ALIGNS);
}

static uint32_t draw_size(struct run *run)
{
	static const uint16_t kernel[] = {1, 1,	 2,  2,	 2,  4,	 4,   6,  8,
					  8, 16, 22, 32, 64, 96, 256, 512};

	if (below(run, 100) == 0) /* no map is as large; sums of it wrap around */
		return UINT32_MAX - below(run, below(run, 2) ? 100 : 5000);
	switch (run->sizes) {
	case ONES:
		return 1;
	case SMALL:
		return 1 + below(run, 9);
	case KERNEL:
		return kernel[below(run, sizeof(kernel) / sizeof(kernel[0]))];
	case PAGES:
		return 1 + below(run, 2100);
	default:
		return 1 + below(run, 1 + run->pair.map.units / (1 + below(run, 40)));
	}
}

static uint32_t draw_order(struct run *run, uint32_t n)
{
	uint32_t natural = (uint32_t)__builtin_ctz(n);

	switch (run->aligns) {
	case UNALIGNED:
		return 0;
	case NATURAL:
		return natural < MAP_ORDERS ? natural : MAP_ORDERS - 1;
	default:
		return below(run, MAP_ORDERS);
	}
}

static void add_live(struct run *run, uint32_t unit, uint32_t n)
{
	run->live[run->live_count++] = (struct object){unit, n};
}

static struct object remove_live(struct run *run, uint32_t i)
{
	struct object object = run->live[i];

	run->live[i] = run->live[--run->live_count];
	return object;
}

static bool step_alloc(struct run *run)
{
	uint32_t n = draw_size(run);

	if (!pair_alloc(&run->pair, n, draw_order(run, n)))
		return false;
	if (run->pair.unit != MAP_NONE)
		add_live(run, run->pair.unit, n);
	return true;
}

static bool step_alloc_batch(struct run *run)
{
	uint32_t n = draw_size(run);
	uint32_t count = below(run, PAIR_BATCH_MAX + 1);

	if (!pair_alloc_batch(&run->pair, n, draw_order(run, n), count))
		return false;
	for (uint32_t i = 0; i < run->pair.batched; i++)
		add_live(run, run->pair.batch[i], n);
	return true;
}

static bool step_free(struct run *run)
{
	struct object object;

	if (!run->live_count)
		return true;
	object = remove_live(run, below(run, run->live_count));
	return pair_free(&run->pair, object.unit, object.n);
}

/* Would free(@unit, @n) free an object? Then it is no misuse. */
static bool is_object(struct run *run, uint32_t unit, uint32_t n)
{
	uint32_t real;

	return twin_look(&run->pair.twin, unit, &real) == MAP_OBJECT && real == n;
}

/* Objects of one size, neighbours often; twice the same now and then; what is no object. */
static bool step_free_batch(struct run *run)
{
	struct pair *pair = &run->pair;
	uint32_t i, n, count = 1 + below(run, PAIR_BATCH_MAX);

	if (!run->live_count)
		return true;
	i = below(run, run->live_count);
	n = run->live[i].n;
	pair->batched = 0;
	for (uint32_t tries = 0; tries < 300 && pair->batched < count && i < run->live_count;
	     tries++)
		if (run->live[i].n == n)
			pair->batch[pair->batched++] = remove_live(run, i).unit;
		else
			i++;
	if (pair->batched < count && below(run, 4) == 0) {
		pair->batch[pair->batched] = pair->batch[below(run, pair->batched)];
		pair->batched++;
	}
	if (pair->batched < count && below(run, 4) == 0) {
		pair->batch[pair->batched] = below(run, pair->map.units + 3);
		pair->batched += !is_object(run, pair->batch[pair->batched], n);
	}
	return pair_free_batch(pair, n);
}

/* A free that has to be refused, and has to leave every byte of the map as it is. */
static bool refused(struct run *run, uint32_t unit, uint32_t n)
{
	struct pair *pair = &run->pair;
	bool snapshot = pair->memory_bytes <= 1 << 16;
	struct map before = pair->map;
	void *memory = snapshot ? malloc(pair->memory_bytes) : NULL;
	bool right;

	if (snapshot)
		memcpy(memory, pair->memory, pair->memory_bytes);
	right = pair_free(pair, unit, n);
	before.visits = pair->map.visits;
	if (right && ((snapshot && memcmp(memory, pair->memory, pair->memory_bytes)) ||
		      memcmp(&before, &pair->map, sizeof(before)))) {
		snprintf(pair->wrong, sizeof(pair->wrong), "a refused free changed the map");
		right = false;
	}
	free(memory);
	return right;
}

static bool step_misuse(struct run *run)
{
	uint32_t unit = below(run, run->pair.map.units + 2), n = draw_size(run);

	if (run->live_count && below(run, 2)) {
		struct object object = run->live[below(run, run->live_count)];

		unit = object.unit + (below(run, 2) ? below(run, object.n) : 0);
		n = object.n + below(run, 3) - 1;
	}
	if (below(run, 20) == 0)
		unit = UINT32_MAX - below(run, 3);
	if (below(run, 20) == 0)
		n = UINT32_MAX - below(run, 3);
	return is_object(run, unit, n) || refused(run, unit, n);
}

static bool step_grow(struct run *run)
{
	uint32_t units = run->pair.map.units;
	uint32_t rest = run->shape->units_max - units;

	if (!rest)
		return true;
	return pair_grow(&run->pair, units + 1 + below(run, below(run, 4) ? (rest + 7) / 8 : rest));
}

/* A range that is likely to be free: from a random unit on, halved until it is. */
static struct map_range draw_free(struct run *run, uint32_t most)
{
	uint32_t start = below(run, run->pair.map.units);
	uint32_t rest = run->pair.map.units - start;
	uint32_t n = 1 + below(run, rest < most ? rest : most);

	while (n && !twin_is_free(&run->pair.twin, start, start + n))
		n /= 2;
	return (struct map_range){start, start + n};
}

static bool step_lend(struct run *run)
{
	struct map_range range;

	if (run->pair.twin.lent.end)
		return pair_return(&run->pair);
	range = draw_free(run, below(run, 2) ? 20 : 3000);
	return range.start == range.end || pair_lend(&run->pair, range.start, range.end);
}

static bool step_take(struct run *run)
{
	const struct map_range range = draw_free(run, below(run, 2) ? 20 : 3000);

	if (range.start == range.end)
		return true;
	add_live(run, range.start, range.end - range.start);
	return pair_take(&run->pair, range.start, range.end);
}

static bool step_is_free(struct run *run)
{
	struct map_range range = draw_free(run, 2000);
	uint32_t more = below(run, 2);

	if (range.end + more > run->pair.map.units)
		more = 0;
	return range.start == range.end + more ||
	       pair_is_free(&run->pair, range.start, range.end + more);
}

static bool step_drop(struct run *run)
{
	static const uint16_t pages[] = {64, 256, 1024, 4096};
	uint32_t units = run->pair.map.units;
	uint32_t start = below(run, units);
	uint32_t end = start + 1 + below(run, units - start);

	if (below(run, 4) == 0) {
		start = 0;
		end = units;
	}
	return pair_drop(&run->pair, start, end, pages[below(run, 4)]);
}

static bool step(struct run *run)
{
	uint32_t dice = below(run, 100);
	bool filling = run->pair.map.used_units < run->target;
	bool take = below(run, 4) ? filling : !filling;

	if (dice < 70)
		return take ? step_alloc(run) : step_free(run);
	if (dice < 82)
		return take ? step_alloc_batch(run) : step_free_batch(run);
	if (dice < 90)
		return step_misuse(run);
	if (dice < 92)
		return step_is_free(run);
	if (dice < 94)
		return take ? step_take(run) : true;
	if (dice < 97)
		return step_lend(run);
	if (dice < 98)
		return step_drop(run);
	return step_grow(run);
}

static bool run_steps(struct run *run, uint32_t steps)
{
	struct pair *pair = &run->pair;

	for (uint32_t i = 1; i <= steps; i++) {
		if (below(run, 300) == 0)
			new_phase(run);
		if (!step(run)) {
			diag("step %u: %s", i, pair->wrong);
			return false;
		}
		if (i % run->shape->check_every)
			continue;
		if (!pair_counts(pair) || !pair_check(pair) ||
		    (i % 64 == 0 && !pair_look_all(pair, false))) {
			diag("after step %u: %s", i, pair->wrong);
			return false;
		}
	}
	return true;
}

static void test_shape(const struct shape *shape, uint64_t seed, uint32_t effort)
{
	struct run run = {.shape = shape, .random = random_seed(seed)};

	pair_init(&run.pair, shape->units_max);
	run.live = malloc(sizeof(run.live[0]) * shape->units_max);
	pair_grow(&run.pair, (shape->units_max + 1) / 2);
	new_phase(&run);
	ok(run_steps(&run, shape->steps * effort / 100), "%s, seed %llu", shape->name,
	   (unsigned long long)seed);
	free(run.live);
	pair_fini(&run.pair);
}

int main(int argc, char **argv)
{
	uint32_t effort = test_effort();
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (argc < 3 || !strcmp(argv[2], shapes[i].name))
			test_shape(&shapes[i], seed, effort);
	return tap_done();
}
