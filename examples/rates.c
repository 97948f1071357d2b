/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Exact rates, without a reset: each is the difference of two sums, and every
 * request counts in one of them. A reset would lose what is counted meanwhile.
 *
 * Requests and bytes are added as a pair, in one step. Who reads both by
 * this_cpu_read2() never finds one without the other; sums may, as they look at
 * other CPUs' instances.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <cpu_alloc.h>

#define WORKERS 4
#define REQUESTS 3000000
#define BYTES 100 /* of a request */
#define ROUNDS 5
#define ROUND_US 5000

struct traffic {
	uint64_t requests, bytes;
} __attribute__((aligned(16)));

static struct traffic *traffic; /* a CPU pointer */

/* Returns NULL if no pair was found parted. */
static void *serve(void *unused)
{
	uint64_t requests, bytes, parted = 0;

	(void)unused;
	for (int i = 0; i < REQUESTS; i++) {
		this_cpu_add2(*traffic, 1, BYTES);
		this_cpu_read2(*traffic, &requests, &bytes);
		parted += bytes != BYTES * requests;
	}
	return parted ? traffic : NULL;
}

/* Returns the requests since the last call. */
static uint64_t show_rate(const char *when)
{
	static uint64_t last[2];
	uint64_t now[2], requests;

	cpu_sum_array(&traffic->requests, 2, now);
	requests = now[0] - last[0];
	printf("%s: %ju requests, %ju bytes\n", when, (uintmax_t)requests,
	       (uintmax_t)(now[1] - last[1]));
	last[0] = now[0];
	last[1] = now[1];
	return requests;
}

int main(void)
{
	pthread_t workers[WORKERS];
	uint64_t total = 0;
	void *parted = NULL;

	traffic = CPU_ALLOC(struct traffic, GFP_KERNEL | __GFP_ZERO);
	if (!traffic) {
		perror("rates");
		return 1;
	}
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i], NULL, serve, NULL)) {
			fprintf(stderr, "rates: cannot start a worker\n");
			return 1;
		}
	for (int round = 0; round < ROUNDS; round++) {
		usleep(ROUND_US);
		total += show_rate("in 5 ms");
	}
	for (int i = 0; i < WORKERS && !parted; i++)
		pthread_join(workers[i], &parted);
	total += show_rate("since");
	CPU_FREE(traffic);
	return !parted && total == (uint64_t)WORKERS * REQUESTS ? 0 : 1;
}
