/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Ways over an array of counters, for operations that take a nanosecond.
 *
 *	one		the same counter again and again
 *	in turn		one after the other, so many, so far apart
 *	random		1,024 adjacent ones, in an order that does not change
 *	fields		4 adjacent ones in 4 statements, without a loop between them
 *
 * What is compared differs in the operation alone: the loops are made by one
 * macro, and hidden from the optimiser in the same way. Where code lies in memory can
 * change such a loop by a third. So each loop exists PLACES times, shifted by 16
 * bytes (or what amounts to it), and a figure is the mean over all places. The
 * time at a place is the best of TURNS short turns: other programs' time is not
 * counted. Contenders alternate place by place.
 */
#ifndef WALK_H
#define WALK_H

#include "bench.h"
#include "random.h"

#include <stddef.h>

#define PLACES 4
#define TURNS 5
#define OPERATIONS 65536 /* a turn; divisible by the lengths of all walks */
#define RANDOM_COUNTERS 1024
#define LINE_WORDS 8					/* counters in a line of cache */
#define WALK_BYTES (RANDOM_COUNTERS * sizeof(uint64_t)) /* of the longest walk */

enum way { ONE, IN_TURN, RANDOM, FIELDS, WAYS };

struct walk {
	const char *name;
	enum way way;
	uint32_t counters; /* that are visited before the first comes again */
	uint32_t step;	   /* from one to the next, in counters */
};

static const struct walk walks[] = {
	{"one counter", ONE, 1, 0},
	{"4 in turn a line apart", IN_TURN, 4, LINE_WORDS},
	{"16 in turn a line apart", IN_TURN, 16, LINE_WORDS},
	{"64 in turn a line apart", IN_TURN, 64, LINE_WORDS},
	{"8 in turn adjacent", IN_TURN, 8, 1},
	{"random of 1024", RANDOM, RANDOM_COUNTERS, 1},
	{"4 adjacent fields", FIELDS, 4, 1},
};

#define WALK_COUNT (sizeof(walks) / sizeof(walks[0]))

/* The order in which the random walk goes. */
static uint32_t walk_order[RANDOM_COUNTERS];

/* @at: the first counter; @n: what to add. OPERATIONS operations. */
typedef void walk_loop(uint64_t *at, const struct walk *walk, uint64_t n);

struct contender {
	walk_loop *const (*loops)[PLACES]; /* for each way */
	uint64_t *counters;
};

/* The compiler knows neither what memory holds, nor that two operations might be one. */
#define WALK_STEP(operation, at, n)                                                                \
	do {                                                                                       \
		operation(at, n);                                                                  \
		__asm__ volatile("" : : : "memory");                                               \
	} while (0)

/* nop is 1 byte long on x86-64, 4 on aarch64: 20 of them are 16 or 20 bytes more than lines. */
#define WALK_PLACE(place)                                                                          \
	__asm__ volatile(".balign 64\n\t.rept 20 * " #place "\n\tnop\n\t.endr" : : : "memory")

#define WALK_LOOPS_AT(operation, place)                                                            \
	static __attribute__((noinline)) void operation##_one_##place(                             \
		uint64_t *at, const struct walk *walk, uint64_t n)                                 \
	{                                                                                          \
		(void)walk;                                                                        \
		WALK_PLACE(place);                                                                 \
		for (uint32_t i = 0; i < OPERATIONS; i++)                                          \
			WALK_STEP(operation, at, n);                                               \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) void operation##_in_turn_##place(                         \
		uint64_t *at, const struct walk *walk, uint64_t n)                                 \
	{                                                                                          \
		const size_t step = walk->step;                                                    \
		uint64_t *const end = at + walk->counters * step;                                  \
                                                                                                   \
		WALK_PLACE(place);                                                                 \
		for (uint32_t i = OPERATIONS / walk->counters; i; i--)                             \
			for (uint64_t *counter = at; counter != end; counter += step)              \
				WALK_STEP(operation, counter, n);                                  \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) void operation##_random_##place(                          \
		uint64_t *at, const struct walk *walk, uint64_t n)                                 \
	{                                                                                          \
		WALK_PLACE(place);                                                                 \
		for (uint32_t i = OPERATIONS / walk->counters; i; i--)                             \
			for (size_t k = 0; k < RANDOM_COUNTERS; k++)                               \
				WALK_STEP(operation, at + walk_order[k], n);                       \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) void operation##_fields_##place(                          \
		uint64_t *at, const struct walk *walk, uint64_t n)                                 \
	{                                                                                          \
		(void)walk;                                                                        \
		WALK_PLACE(place);                                                                 \
		for (uint32_t i = 0; i < OPERATIONS / 4; i++) {                                    \
			WALK_STEP(operation, at, n);                                               \
			WALK_STEP(operation, at + 1, n);                                           \
			WALK_STEP(operation, at + 2, n);                                           \
			WALK_STEP(operation, at + 3, n);                                           \
		}                                                                                  \
	}

#define WALK_PLACES(operation, way)                                                                \
	{                                                                                          \
		operation##_##way##_0, operation##_##way##_1, operation##_##way##_2,               \
			operation##_##way##_3                                                      \
	}

/* All loops around @operation(at, n), and a table of them. */
#define WALK_LOOPS(operation)                                                                      \
	WALK_LOOPS_AT(operation, 0)                                                                \
	WALK_LOOPS_AT(operation, 1)                                                                \
	WALK_LOOPS_AT(operation, 2)                                                                \
	WALK_LOOPS_AT(operation, 3)                                                                \
	static walk_loop *const operation##_loops[WAYS][PLACES] = {                                \
		[ONE] = WALK_PLACES(operation, one),                                               \
		[IN_TURN] = WALK_PLACES(operation, in_turn),                                       \
		[RANDOM] = WALK_PLACES(operation, random),                                         \
		[FIELDS] = WALK_PLACES(operation, fields),                                         \
	};

static inline void shuffle_order(void)
{
	uint64_t random = random_seed(5);

	for (uint32_t i = 0; i < RANDOM_COUNTERS; i++)
		walk_order[i] = i;
	for (uint32_t i = RANDOM_COUNTERS - 1; i; i--) {
		const uint32_t k = random_below(&random, i + 1), index = walk_order[i];

		walk_order[i] = walk_order[k];
		walk_order[k] = index;
	}
}

/* The ns of one operation. */
static inline double time_walk(walk_loop *loop, uint64_t *counters, const struct walk *walk)
{
	double best = 0;

	loop(counters, walk, 1);
	for (int turn = 0; turn < TURNS; turn++) {
		const double start = now_ns();
		double ns;

		loop(counters, walk, 1);
		ns = (now_ns() - start) / OPERATIONS;
		if (!turn || ns < best)
			best = ns;
	}
	return best;
}

/* All rounds of @n contenders over one walk. */
static inline void measure_walk(const struct walk *walk, const struct contender *contenders, int n,
				struct rounds *rounds)
{
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < n; i++)
			rounds[i].value[round] = 0;
		for (int place = 0; place < PLACES; place++)
			for (int i = 0; i < n; i++)
				rounds[i].value[round] +=
					time_walk(contenders[i].loops[walk->way][place],
						  contenders[i].counters, walk) /
					PLACES;
	}
}

#endif
