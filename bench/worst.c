/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The dearest single call in a map of 64 MiB, in every adversarial pattern, for
 * objects up to 4 KiB.
 *
 * One call is too short to time against the noise of a machine. So a sequence of
 * calls is repeated from the same state, which a copy of the map's memory brings
 * back: it does the same work each time. Of each call counts its quickest
 * repetition, of the sequence the slowest such call. The clock's own time, some
 * 20 ns, is in it.
 */
#include "bench.h"
#include "patterns.h"
#include "random.h"

#include <string.h>

#define UNITS (1U << 24)
#define REPETITIONS 9
#define CALLS_MAX 60000U
#define SIZE_MAX_UNITS 1024U
#define TARGET_NS 5000

struct timing {
	float ns;
	uint16_t n, order; /* order MAP_ORDERS: a free */
};

struct field {
	struct map map, map_saved;
	void *memory, *memory_saved;
	struct timing call[CALLS_MAX];
	uint32_t calls;
	uint64_t random;
};

static void record(struct field *field, double start, uint32_t n, uint32_t order)
{
	const float ns = (float)(now_ns() - start);
	struct timing *call = &field->call[field->calls++];

	if (field->calls == CALLS_MAX)
		abort();
	if (call->ns > 0 && call->ns <= ns)
		return;
	*call = (struct timing){ns, (uint16_t)n, (uint16_t)order};
}

static uint32_t timed_alloc(struct field *field, uint32_t n, uint32_t order)
{
	const double start = now_ns();
	const uint32_t unit = map_alloc(&field->map, n, order);

	record(field, start, n, order);
	return unit;
}

static void timed_free(struct field *field, uint32_t unit, uint32_t n)
{
	const double start = now_ns();

	map_free(&field->map, unit, n);
	record(field, start, n, MAP_ORDERS);
}

/* Each size at each alignment, taken and given back. */
static void every_size(struct field *field)
{
	for (uint32_t n = 1; n <= SIZE_MAX_UNITS; n++)
		for (uint32_t order = 0; order < MAP_ORDERS; order++) {
			const uint32_t unit = timed_alloc(field, n, order);

			if (unit != MAP_NONE)
				timed_free(field, unit, n);
		}
}

/* Objects of the pattern itself are freed, anywhere, and others allocated. */
static void churn(struct field *field)
{
	for (uint32_t i = 0; i < 10000; i++) {
		const uint32_t unit = random_below(&field->random, UNITS);
		uint32_t n;

		if (map_look(&field->map, unit, &n) == MAP_OBJECT && n <= SIZE_MAX_UNITS)
			timed_free(field, unit, n);
		n = 1 + random_below(&field->random, i % 2 ? SIZE_MAX_UNITS : 8);
		timed_alloc(field, n, random_below(&field->random, MAP_ORDERS));
	}
}

static void repeat(struct field *field, size_t bytes)
{
	field->map_saved = field->map;
	memcpy(field->memory_saved, field->memory, bytes);
	memset(field->call, 0, sizeof(field->call));
	for (int i = 0; i < REPETITIONS; i++) {
		field->map = field->map_saved;
		memcpy(field->memory, field->memory_saved, bytes);
		field->calls = 0;
		field->random = random_seed(7);
		every_size(field);
		churn(field);
	}
}

static const struct timing *slowest(const struct field *field)
{
	const struct timing *worst = &field->call[0];

	for (uint32_t i = 1; i < field->calls; i++)
		if (field->call[i].ns > worst->ns)
			worst = &field->call[i];
	return worst;
}

static double worst_of_pattern(const struct pattern *pattern, struct field *field)
{
	const size_t bytes = map_memory_bytes(UNITS);
	const struct timing *worst;

	memset(field->memory, 0, bytes);
	map_init(&field->map, field->memory, UNITS);
	map_grow(&field->map, UNITS);
	pattern_build(pattern, &field->map);
	repeat(field, bytes);
	worst = slowest(field);
	if (worst->order == MAP_ORDERS)
		report(exactly(worst->ns), "ns", '<', TARGET_NS, "worst call",
		       "%s; free of %u bytes", pattern->name, 4 * worst->n);
	else
		report(exactly(worst->ns), "ns", '<', TARGET_NS, "worst call",
		       "%s; alloc of %u bytes aligned to %u", pattern->name, 4 * worst->n,
		       4U << worst->order);
	return worst->ns;
}

int main(void)
{
	static struct field field;
	double worst = 0;

	field.memory = malloc(map_memory_bytes(UNITS));
	field.memory_saved = malloc(map_memory_bytes(UNITS));
	if (!field.memory || !field.memory_saved)
		abort();
	for (uint32_t i = 0; i < pattern_count; i++) {
		const double ns = worst_of_pattern(&patterns[i], &field);

		if (ns > worst)
			worst = ns;
	}
	report(exactly(worst), "ns", '<', TARGET_NS, "worst call", "any pattern");
	return 0;
}
