/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counters on every CPU: any number of threads count, bound to no CPU, and
 * nothing is lost. Each addition is one step on the running CPU, without a lock
 * or an atomic instruction. Anybody adds them up.
 */
#include <pthread.h>
#include <stdio.h>

#include <cpu_alloc.h>

#define WORKERS 8
#define REQUESTS 1000000

struct hits {
	uint64_t requests, bytes;
};

static struct hits *hits; /* a CPU pointer: stands for one struct on each CPU */

static void *serve(void *unused)
{
	(void)unused;
	for (int i = 0; i < REQUESTS; i++) {
		this_cpu_inc(hits->requests);
		this_cpu_add(hits->bytes, 100);
	}
	return NULL;
}

int main(void)
{
	pthread_t workers[WORKERS];
	uint64_t requests, bytes;

	hits = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
	if (!hits) {
		perror("hits");
		return 1;
	}
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i], NULL, serve, NULL)) {
			fprintf(stderr, "hits: cannot start a worker\n");
			return 1;
		}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);

	requests = cpu_sum(hits->requests);
	bytes = cpu_sum(hits->bytes);
	printf("%d workers: %ju requests, %ju bytes (%s)\n", WORKERS, (uintmax_t)requests,
	       (uintmax_t)bytes, cpu_alloc_path());
	CPU_FREE(hits);
	return requests == (uint64_t)WORKERS * REQUESTS && bytes == 100 * requests ? 0 : 1;
}
