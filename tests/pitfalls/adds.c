/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two threads add, under signals that add; then what memory is writable. Its
 * exit status is 0 if the sums are exact. For the drivers, which compile and link
 * it in many ways, also as a library that start.c calls.
 */
#include <pthread.h>

#include "adds.h"

int adds_main(void);

static void step(struct adds *to)
{
	this_cpu_inc(to->count);
	this_cpu_add2(to->pair, 1, 1);
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

int adds_main(void)
{
	uint64_t rounds[2];
	pthread_t other;

	adds = adds_new();
	if (pthread_create(&other, NULL, thread, &rounds[0]))
		return 4;
	thread(&rounds[1]);
	pthread_join(other, NULL);
	print_maps();
	return adds_report(rounds[0] + rounds[1]);
}

#ifndef AS_LIBRARY
int main(void)
{
	return adds_main();
}
#endif
