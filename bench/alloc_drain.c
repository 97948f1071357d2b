/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Giving back what the magazines of two CPUs hold.
 *
 *	alloc-drain
 *
 * Two threads on two CPUs, one after the other, allocate objects of all sizes that
 * magazines hold, and free them. Then one of them calls cpu_alloc_trim(). One object
 * of each page stays, so that no page is idle: what the call takes is the drain,
 * and not the system calls that give pages back. A second call shows what it takes
 * when magazines are empty.
 */
#include "bench.h"
#include "crew.h"

#include <cpu_alloc.h>

#define CLASSES 64 /* of 1 to 64 units */
#define OBJECTS 64 /* of each class */
#define PAGE 4096
#define PAGES 4096 /* of the area; the program needs a tenth */
#define TARGET_NS 5000

static void *objects[2][CLASSES + 1][OBJECTS];
static bool page_has_keeper[PAGES];
static double full_ns, empty_ns;
static size_t given_back;

static size_t size_of(size_t units)
{
	return CPU_ALLOC_UNIT * units;
}

/* Free @ptr, or keep it as the one of its page. */
static void free_or_keep(void *ptr, size_t size)
{
	bool *keeper = &page_has_keeper[cpu_alloc_offset(ptr) / PAGE];

	if (*keeper)
		cpu_free(ptr, size);
	else
		*keeper = true;
}

/* By thread *@argument. */
static uint64_t allocate(long thread, void *argument)
{
	if (thread != *(const long *)argument)
		return 0;
	for (size_t units = 1; units <= CLASSES; units++)
		for (int i = 0; i < OBJECTS; i++) {
			void *ptr = cpu_alloc(size_of(units), GFP_KERNEL, 4);

			if (!ptr || cpu_alloc_offset(ptr) >= PAGES * PAGE)
				fail("alloc-drain: cpu_alloc");
			objects[thread][units][i] = ptr;
		}
	return 0;
}

static uint64_t release(long thread, void *argument)
{
	if (thread != *(const long *)argument)
		return 0;
	for (size_t units = 1; units <= CLASSES; units++)
		for (int i = 0; i < OBJECTS; i++)
			free_or_keep(objects[thread][units][i], size_of(units));
	return 0;
}

static uint64_t drain(long thread, void *argument)
{
	double start;

	(void)argument;
	if (thread)
		return 0;
	start = now_ns();
	given_back += cpu_alloc_trim();
	full_ns = now_ns() - start;
	start = now_ns();
	cpu_alloc_trim();
	empty_ns = now_ns() - start;
	return 0;
}

static struct cpu_alloc_stats stats_now(void)
{
	struct cpu_alloc_stats stats;

	cpu_alloc_stats(&stats, sizeof(stats));
	return stats;
}

/* No allocation comes after the first free: it could empty what is full. */
static void fill(void)
{
	for (long thread = 0; thread < 2; thread++)
		crew_do(allocate, &thread);
	for (long thread = 0; thread < 2; thread++)
		crew_do(release, &thread);
}

static void measure(void)
{
	struct rounds full, empty, cached;

	for (int round = -2; round < ROUNDS; round++) { /* at first pages get their keepers */
		double bytes;

		fill();
		bytes = (double)stats_now().cached_bytes;
		if (round == 0)
			given_back = 0;
		crew_do(drain, NULL);
		if (round < 0)
			continue;
		full.value[round] = full_ns;
		empty.value[round] = empty_ns;
		cached.value[round] = bytes;
	}
	report(full, "ns", '<', TARGET_NS, "drain", "two CPUs all classes");
	report(empty, "ns", 0, 0, "drain", "two CPUs nothing cached");
	report(cached, "bytes", 0, 0, "drain", "two CPUs all classes cached before");
	report(exactly((double)given_back), "bytes", 0, 0, "drain", "given back to the system");
	report(exactly((double)stats_now().own_bytes), "bytes", 0, 0, "metadata", "own_bytes");
}

int main(void)
{
	if (crew_cpus() < 2)
		return 0;
	crew_gather(2);
	measure();
	crew_dismiss();
	return 0;
}
