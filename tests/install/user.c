/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A program against the installed library, C and C++. Its constructor is among
 * the first to run; its exit status is the number of what went wrong.
 */
#include <pthread.h>

#include <cpu_alloc.h>

#define THREADS 4
#define ROUNDS 1000

struct hits {
	uint64_t requests[THREADS]; /* a slot for each thread: none is lost if one is moved */
	unsigned char pad[40];
};

static struct hits *early;
static int early_index;

/* The index comes first: it must not need the allocation to be right. */
__attribute__((constructor(101))) static void before_main(void)
{
	early_index = cpu_alloc_index();
	early = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
	if (early)
		THIS_CPU(early)->requests[0]++;
}

static void *count(void *argument)
{
	uint64_t *slot = (uint64_t *)argument; /* a CPU pointer, to this thread's slot */

	for (int i = 0; i < ROUNDS; i++)
		++*THIS_CPU(slot);
	return NULL;
}

static uint64_t sum(struct hits *hits)
{
	uint64_t requests = 0;

	cpu_alloc_for_each (i)
		for (int slot = 0; slot < THREADS; slot++)
			requests += CPU_PTR(hits, i)->requests[slot];
	return requests;
}

int main(void)
{
	pthread_t thread[THREADS];
	struct cpu_alloc_stats stats;

	if (!early || sum(early) != 1 || early_index < 0 || early_index >= cpu_alloc_nr())
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, count, &early->requests[i]))
			return 2;
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (sum(early) != 1 + THREADS * ROUNDS)
		return 3;
	CPU_FREE(early);
	if (cpu_alloc_stats(&stats, sizeof(stats)) || stats.frees != 1 || stats.misuses != 0)
		return 4;
	return 0;
}
