/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What calls of one function took, in nanoseconds. */
#ifndef TOOLS_STOPWATCH_H
#define TOOLS_STOPWATCH_H

#include <stdint.h>

struct stopwatch {
	uint64_t ns, calls;
};

uint64_t now_ns(void);

/* What reading the clock twice takes: no call is to be charged for it. */
uint64_t measure_clock(void);

/* One call, from @start until now. */
void stop_watch(struct stopwatch *watch, uint64_t start, uint64_t clock_ns);

void add_watch(struct stopwatch *sum, const struct stopwatch *watch);

/* 0 if there was no call. */
double mean_ns(const struct stopwatch *watch);

#endif
