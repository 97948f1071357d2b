/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The clock, and sums of what was read on it. */
#include "stopwatch.h"

#include <time.h>

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t measure_clock(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t start = now_ns(), ns = now_ns() - start;

		if (ns < least)
			least = ns;
	}
	return least;
}

void stop_watch(struct stopwatch *watch, uint64_t start, uint64_t clock_ns)
{
	uint64_t ns = now_ns() - start;

	watch->ns += ns > clock_ns ? ns - clock_ns : 0;
	watch->calls++;
}

void add_watch(struct stopwatch *sum, const struct stopwatch *watch)
{
	sum->ns += watch->ns;
	sum->calls += watch->calls;
}

double mean_ns(const struct stopwatch *watch)
{
	return watch->calls ? (double)watch->ns / (double)watch->calls : 0;
}
