/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two threads add, allocate and free, under signals that add; then what memory is
 * writable. Its exit status is 0 if the sums are exact, and what was freed is in
 * magazines. For the drivers, which compile and link it in many ways, also as a
 * library that start.c calls.
 */
#include <pthread.h>

#include "adds.h"

int adds_main(void);

static void step(struct adds *to)
{
	this_cpu_inc(to->count);
	this_cpu_add2(to->pair, 1, 1);
	cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
}

static void *thread(void *rounds)
{
	*(uint64_t *)rounds = rounds_of(step);
	return NULL;
}

static void print_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096];

	while (maps && fgets(line, sizeof(line), maps))
		fputs(line, stdout);
	if (maps)
		fclose(maps);
}

/* The library's own sections do what they are for. */
static bool uses_magazines(uint64_t rounds)
{
	const bool by_sections = strncmp(cpu_alloc_path(), "rseq", 4) == 0 && cpu_fence_all() == 0;
	struct cpu_alloc_stats stats;

	if (cpu_alloc_stats(&stats, sizeof(stats)))
		return false;
	printf("%" PRIu64 " allocations, %" PRIu64 " frees, %" PRIu64 " bytes cached\n",
	       stats.allocs, stats.frees, stats.cached_bytes);
	return stats.allocs == rounds + 1 && stats.frees == rounds && stats.misuses == 0 &&
	       (stats.cached_bytes > 0) == by_sections;
}

int adds_main(void)
{
	uint64_t rounds[2], all;
	pthread_t other;

	adds = adds_new();
	if (pthread_create(&other, NULL, thread, &rounds[0]))
		return 4;
	thread(&rounds[1]);
	pthread_join(other, NULL);
	print_maps();
	all = rounds[0] + rounds[1];
	return adds_report(all) || !uses_magazines(all);
}

#ifndef AS_LIBRARY
int main(void)
{
	return adds_main();
}
#endif
