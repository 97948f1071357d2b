/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the benchmarks share: the clock, rounds, medians, lines of CSV.
 *
 *	name,parameters,median,low,high,unit,target,met
 *
 * A figure is the median of its rounds; low and high are the quartiles. What is
 * compared runs in turns, a round each, in one process.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 15

/* The value of each round of one contender. */
struct rounds {
	double value[ROUNDS];
};

static inline double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Keeps a value alive that nobody reads. */
static inline void use_value(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

static inline int compare_doubles(const void *a, const void *b)
{
	const double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static inline void sort_rounds(struct rounds *rounds)
{
	qsort(rounds->value, ROUNDS, sizeof(rounds->value[0]), compare_doubles);
}

/*
 * One line of CSV. @relation is '<' if the median may be @target at most, '>' if
 * it has to be that at least, 0 if there is no target.
 */
__attribute__((format(printf, 6, 7))) static inline void report(struct rounds rounds,
								const char *unit, char relation,
								double target, const char *name,
								const char *parameters, ...)
{
	const double *value = rounds.value;
	const double middle = (sort_rounds(&rounds), value[ROUNDS / 2]);
	va_list arguments;

	printf("%s,\"", name); /* names of patterns have commas */
	va_start(arguments, parameters);
	vprintf(parameters, arguments);
	va_end(arguments);
	printf("\",%.4g,%.4g,%.4g,%s,", middle, value[ROUNDS / 4], value[ROUNDS - 1 - ROUNDS / 4],
	       unit);
	if (relation)
		printf("%c= %.4g,%s\n", relation, target,
		       (relation == '<' ? middle <= target : middle >= target) ? "yes" : "NO");
	else
		printf(",\n");
	fflush(stdout);
}

/* A figure that is what it is, without rounds. */
static inline struct rounds exactly(double value)
{
	struct rounds rounds;

	for (int i = 0; i < ROUNDS; i++)
		rounds.value[i] = value;
	return rounds;
}

/* How many times @a is of @b, round by round. */
static inline struct rounds ratio(const struct rounds *a, const struct rounds *b)
{
	struct rounds quotient;

	for (int i = 0; i < ROUNDS; i++)
		quotient.value[i] = a->value[i] / b->value[i];
	return quotient;
}

#endif
