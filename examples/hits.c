/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counters on every CPU: each worker counts on its own, anybody adds them up.
 *
 * A plain ++ is a load, an add and a store. It counts right only if nobody else
 * works on the same instance meanwhile: hence one worker for each CPU, bound to
 * it. Reading the others' instances needs no such care.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <cpu_alloc.h>

#define REQUESTS 1000000

struct hits {
	uint64_t requests, bytes;
};

static struct hits *hits; /* a CPU pointer: stands for one struct on each CPU */

static void *serve(void *unused)
{
	(void)unused;
	for (int i = 0; i < REQUESTS; i++) {
		struct hits *mine = __THIS_CPU(hits); /* the thread stays on its CPU */

		mine->requests++;
		mine->bytes += 100;
	}
	return NULL;
}

static pthread_t start_on(int cpu)
{
	pthread_attr_t attributes;
	pthread_t worker;
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET((size_t)cpu, &only);
	pthread_attr_init(&attributes);
	if (pthread_attr_setaffinity_np(&attributes, sizeof(only), &only) ||
	    pthread_create(&worker, &attributes, serve, NULL)) {
		fprintf(stderr, "hits: cannot start a worker on CPU %d\n", cpu);
		exit(1);
	}
	pthread_attr_destroy(&attributes);
	return worker;
}

int main(void)
{
	pthread_t workers[CPU_SETSIZE];
	struct hits sum = {0, 0};
	cpu_set_t allowed;
	int n = 0;

	hits = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
	if (!hits || sched_getaffinity(0, sizeof(allowed), &allowed)) {
		perror("hits");
		return 1;
	}
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed))
			workers[n++] = start_on(cpu);
	for (int i = 0; i < n; i++)
		pthread_join(workers[i], NULL);

	cpu_alloc_for_each (i) {
		sum.requests += CPU_PTR(hits, i)->requests;
		sum.bytes += CPU_PTR(hits, i)->bytes;
	}
	printf("%d workers: %ju requests, %ju bytes\n", n, (uintmax_t)sum.requests,
	       (uintmax_t)sum.bytes);
	CPU_FREE(hits);
	return sum.requests == (uint64_t)n * REQUESTS ? 0 : 1;
}
