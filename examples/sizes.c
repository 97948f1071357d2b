/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Arrays on every CPU, what happens when there is no room, and the statistics.
 *
 *	sizes [BYTES]	allocate objects of BYTES (default 1000) until the area is full
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cpu_alloc.h>

#define OBJECTS_MAX 100000

static char *objects[OBJECTS_MAX];

/* Returns the number of live objects. */
static uint64_t show_statistics(const char *when)
{
	struct cpu_alloc_stats stats;

	if (cpu_alloc_stats(&stats, sizeof(stats))) {
		perror("sizes: cpu_alloc_stats");
		exit(1);
	}
	printf("\n%s\n", when);
#define SHOW(name, text) printf("  %-20s %12" PRIu64 "  %s\n", #name, stats.name, text);
	CPU_ALLOC_STATS(SHOW)
#undef SHOW
	return stats.objects;
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	int n = 0;

	/* Before the first use. The environment variable CPU_ALLOC would do as well. */
	if (cpu_alloc_setup("percpu=1M")) {
		perror("sizes: cpu_alloc_setup");
		return 1;
	}
	while (n < OBJECTS_MAX && (objects[n] = CPU_ALLOC_ARRAY(char, bytes, GFP_KERNEL)))
		n++;
	if (n < OBJECTS_MAX && errno != ENOMEM) {
		perror("sizes: cpu_alloc");
		return 1;
	}
	printf("%d objects of %zu bytes fit into an area of 1 MiB\n", n, bytes);
	show_statistics("full");

	while (n > 0)
		CPU_FREE_ARRAY(objects[--n], bytes);
	cpu_alloc_trim();
	return show_statistics("empty, and trimmed") == 0 ? 0 : 1;
}
