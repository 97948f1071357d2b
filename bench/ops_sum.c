/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Sums over all CPUs, beside memcpy() of the same instances, all of which are
 * resident.
 *
 *	ops-sum [CPUS]		with so many CPUs, or those that there are
 */
#include "bench.h"

#include <cpu_alloc.h>
#include <string.h>

#define COUNTERS 10000
#define PASSES 20
#define SINGLE_PASSES 10000

static uint64_t sums[COUNTERS];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Counters with a value on every CPU, and for strays. */
static uint64_t *fill(void)
{
	uint64_t *counters = CPU_ALLOC_ARRAY(uint64_t, COUNTERS, GFP_KERNEL);

	if (!counters)
		fail("ops-sum: CPU_ALLOC_ARRAY");
	cpu_alloc_for_each (i)
		for (size_t k = 0; k < COUNTERS; k++)
			CPU_PTR(counters, i)[k] = k;
	return counters;
}

/* The bytes of counters that a second sums. */
static double sum_rate(uint64_t *counters, double bytes)
{
	const double start = now_ns();

	for (int pass = 0; pass < PASSES; pass++) {
		cpu_sum_array(counters, COUNTERS, sums);
		use_value(sums[0]);
	}
	return bytes * PASSES / (now_ns() - start);
}

static double copy_rate(const uint64_t *counters, double bytes)
{
	const double start = now_ns();

	for (int pass = 0; pass < PASSES; pass++)
		cpu_alloc_for_each (i) {
			memcpy(sums, CPU_PTR(counters, i), sizeof(sums));
			use_value(sums[0]);
		}
	return bytes * PASSES / (now_ns() - start);
}

/* The ns of one counter's sum: one after the other, so that each is on other lines. */
static double time_single(const uint64_t *counters)
{
	const double start = now_ns();

	for (size_t pass = 0; pass < SINGLE_PASSES; pass++)
		use_value(cpu_sum(counters[pass * 8 % COUNTERS]));
	return (now_ns() - start) / SINGLE_PASSES;
}

static void measure(int cpus)
{
	uint64_t *counters = fill();
	const double bytes = (double)sizeof(sums) * (cpus + 1);
	struct rounds sum, copy, single;

	for (int i = -1; i < ROUNDS; i++) {
		const double sum_now = sum_rate(counters, bytes);
		const double copy_now = copy_rate(counters, bytes);
		const double single_now = time_single(counters);

		if (i < 0)
			continue;
		sum.value[i] = sum_now;
		copy.value[i] = copy_now;
		single.value[i] = single_now;
	}
	report(sum, "GB/s", 0, 0, "sum", "counters=%d cpus=%d cpu_sum_array", COUNTERS, cpus);
	report(copy, "GB/s", 0, 0, "sum", "counters=%d cpus=%d memcpy", COUNTERS, cpus);
	report(ratio(&sum, &copy), "times", 0, 0, "sum", "counters=%d cpus=%d cpu_sum_array/memcpy",
	       COUNTERS, cpus);
	report(single, "ns", 0, 0, "sum", "counters=1 cpus=%d cpu_sum", cpus);
}

int main(int argc, char **argv)
{
	char option[32];

	if (argc > 1) {
		snprintf(option, sizeof(option), "cpus=%s", argv[1]);
		if (cpu_alloc_setup(option))
			fail(option);
	}
	measure(cpu_alloc_nr());
	return 0;
}
