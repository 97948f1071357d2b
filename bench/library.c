/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The library as programs call it.
 *
 *	library zeroed [CPUS]	__GFP_ZERO with so many CPUs, or those that there
 *				are: on fresh memory, on recycled memory, beside
 *				a bare look at all CPUs
 */
#include "bench.h"
#include "random.h"

#include <cpu_alloc.h>
#include <string.h>

#define FRESH 2000     /* objects a round */
#define RECYCLED 1000U /* live objects */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *zeroed(void)
{
	void *ptr = cpu_alloc(8, GFP_KERNEL | __GFP_ZERO, 8);

	if (!ptr)
		fail("cpu_alloc");
	return ptr;
}

static double time_fresh(void)
{
	const double start = now_ns();

	for (int i = 0; i < FRESH; i++)
		zeroed();
	return (now_ns() - start) / FRESH;
}

/* Free some objects, in random order, and time their zeroed allocation. */
static double time_recycled(void **live, uint64_t *random)
{
	double start;

	for (uint32_t i = 0; i < RECYCLED / 2; i++) {
		const uint32_t victim = i + random_below(random, RECYCLED - i);
		void *ptr = live[victim];

		live[victim] = live[i];
		live[i] = ptr;
		cpu_free(ptr, 8);
	}
	start = now_ns();
	for (uint32_t i = 0; i < RECYCLED / 2; i++)
		live[i] = zeroed();
	return (now_ns() - start) / (RECYCLED / 2);
}

static double time_look(void **live)
{
	const int cpus = cpu_alloc_nr();
	const double start = now_ns();
	uint64_t sum = 0;

	for (uint32_t i = 0; i < RECYCLED / 2; i++)
		for (int cpu = -1; cpu < cpus; cpu++)
			sum += *(volatile uint64_t *)CPU_PTR(live[i], cpu);
	use_value(sum);
	return (now_ns() - start) / (RECYCLED / 2);
}

/* What two CPUs would have written, and nobody else. */
static void dirty(void **live)
{
	for (uint32_t i = 0; i < RECYCLED; i++)
		for (int cpu = 0; cpu < 2 && cpu < cpu_alloc_nr(); cpu++)
			*(uint64_t *)CPU_PTR(live[i], cpu) = i;
}

static void set_cpus(const char *cpus)
{
	char option[32];

	snprintf(option, sizeof(option), "cpus=%s", cpus);
	if (cpu_alloc_setup(option))
		fail(option);
}

static void measure_zeroed(void)
{
	const int cpus = cpu_alloc_nr();
	static void *live[RECYCLED];
	struct rounds fresh, recycled, look;
	uint64_t random = random_seed(3);

	for (uint32_t i = 0; i < RECYCLED; i++)
		live[i] = zeroed();
	for (int i = 0; i < ROUNDS; i++)
		fresh.value[i] = time_fresh();
	for (int i = -1; i < ROUNDS; i++) {
		double ns;

		dirty(live);
		ns = time_recycled(live, &random);
		if (i < 0)
			continue;
		recycled.value[i] = ns;
		look.value[i] = time_look(live);
	}
	report(fresh, "ns", 0, 0, "zeroed", "size=8 cpus=%d fresh", cpus);
	report(recycled, "ns", 0, 0, "zeroed", "size=8 cpus=%d recycled", cpus);
	report(look, "ns", 0, 0, "zeroed", "size=8 cpus=%d bare look", cpus);
	report(ratio(&recycled, &look), "times", cpus >= 64 ? '<' : 0, 1.5, "zeroed",
	       "size=8 cpus=%d recycled/bare look", cpus);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		set_cpus(argv[2]);
	if (argc >= 2 && !strcmp(argv[1], "zeroed"))
		measure_zeroed();
	return 0;
}
