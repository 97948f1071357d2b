/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One count by many threads, each on a CPU of its own: in one atomic counter for
 * all, in locked counters a line apart, by this_cpu_inc, in thread-local counters.
 *
 *	ops-threads		1, 2, 4, 8 and 16 threads, as far as there are CPUs
 *
 * A figure is the time of one increment as a thread sees it, on average over
 * the threads. On a busy machine, threads that wait for their CPUs do not disturb
 * each other: the one atomic counter looks cheaper than it is.
 */
#include "bench.h"

#include <cpu_alloc.h>
#include <pthread.h>
#include <sched.h>

#define MAX_THREADS 16
#define COUNTS_SHARED 200000 /* increments a thread and round */
#define COUNTS 2000000

enum { SHARED, PRIVATE, THIS_CPU, THREAD_LOCAL, CONTENDERS };

static const char *const names[] = {"one atomic counter", "locked counters a line apart",
				    "this_cpu_inc", "thread-local counters"};

static uint64_t shared __attribute__((aligned(128)));
static struct {
	uint64_t count;
} __attribute__((aligned(128))) private[MAX_THREADS];
static __thread uint64_t thread_local_count __attribute__((tls_model("initial-exec")));
static uint64_t *count;

static cpu_set_t allowed;
static pthread_barrier_t barrier;
static double elapsed[CONTENDERS][ROUNDS][MAX_THREADS];

static void *fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The compiler may not make one step of two. */
#define REPEAT(times, step)                                                                        \
	for (long i = 0; i < (times); i++) {                                                       \
		step;                                                                              \
		__asm__ volatile("" : : : "memory");                                               \
	}

/* This thread's time: while another program has its CPU, it stands still. */
static double thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The ns of one increment. */
static double time_contender(int contender, long thread)
{
	const long counts = contender == SHARED ? COUNTS_SHARED : COUNTS;
	uint64_t *const counter = count;
	const double start = thread_ns();

	switch (contender) {
	case SHARED:
		REPEAT(counts, __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED));
		break;
	case PRIVATE:
		REPEAT(counts, __atomic_fetch_add(&private[thread].count, 1, __ATOMIC_RELAXED));
		break;
	case THIS_CPU:
		REPEAT(counts, this_cpu_inc(*counter));
		break;
	default:
		REPEAT(counts, thread_local_count++);
	}
	return (thread_ns() - start) / (double)counts;
}

/* The CPU for the thread of this number: the next one that the program may use. */
static int cpu_of(long thread)
{
	int cpu = 0;

	for (;; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed) && !thread--)
			return cpu;
}

static void *work(void *argument)
{
	const long thread = (long)argument;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu_of(thread), &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fail("ops-threads: affinity");
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < CONTENDERS; i++) {
			pthread_barrier_wait(&barrier);
			elapsed[i][round][thread] = time_contender(i, thread);
		}
	return NULL;
}

static void run_threads(long threads)
{
	pthread_t thread[MAX_THREADS];

	if (pthread_barrier_init(&barrier, NULL, (unsigned int)threads))
		fail("ops-threads: barrier");
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)i))
			fail("ops-threads: thread");
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
}

static struct rounds mean_of(double rounds[][MAX_THREADS], long threads)
{
	struct rounds mean;

	for (int round = 0; round < ROUNDS; round++) {
		mean.value[round] = 0;
		for (long i = 0; i < threads; i++)
			mean.value[round] += rounds[round][i] / (double)threads;
	}
	return mean;
}

static void measure(long threads)
{
	struct rounds rounds[CONTENDERS];

	run_threads(threads);
	for (int i = 0; i < CONTENDERS; i++) {
		rounds[i] = mean_of(elapsed[i], threads);
		report(rounds[i], "ns", 0, 0, "count", "threads=%ld %s", threads, names[i]);
	}
	report(ratio(&rounds[SHARED], &rounds[THIS_CPU]), "times", threads == 16 ? '>' : 0, 150,
	       "count", "threads=%ld one atomic counter/this_cpu_inc", threads);
	report(ratio(&rounds[PRIVATE], &rounds[THIS_CPU]), "times", 0, 0, "count",
	       "threads=%ld locked counters a line apart/this_cpu_inc", threads);
	report(ratio(&rounds[THIS_CPU], &rounds[THREAD_LOCAL]), "times", 0, 0, "count",
	       "threads=%ld this_cpu_inc/thread-local counters", threads);
}

int main(void)
{
	count = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	if (!count)
		fail("ops-threads: CPU_ALLOC");
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		fail("ops-threads: affinity");
	for (long threads = 1; threads <= MAX_THREADS && threads <= CPU_COUNT(&allowed);
	     threads *= 2)
		measure(threads);
	return 0;
}
