/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "crew.h"
#include "bench.h"

#include <pthread.h>
#include <sched.h>

static struct {
	long threads;
	pthread_t thread[CREW_MAX];
	pthread_barrier_t barrier;
	crew_job *job; /* NULL: go home */
	void *argument;
	double deadline;
	struct {
		double start, end;
		uint64_t operations;
	} __attribute__((aligned(128))) member[CREW_MAX];
} crew;

_Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The CPUs that the program could use when it started; the first CREW_CPUS of them. */
static const cpu_set_t *allowed(void)
{
	static cpu_set_t set;

	if (CPU_COUNT(&set))
		return &set;
	if (sched_getaffinity(0, sizeof(set), &set))
		fail("crew: affinity");
	for (size_t cpu = CPU_SETSIZE; CPU_COUNT(&set) > CREW_CPUS; cpu--)
		CPU_CLR(cpu - 1, &set);
	return &set;
}

int crew_cpus(void)
{
	return CPU_COUNT(allowed());
}

long crew_threads(void)
{
	return crew.threads;
}

const char *crew_text(void)
{
	static char text[64];

	if (crew.threads > crew_cpus())
		snprintf(text, sizeof(text), "threads=%ld on %d CPUs", crew.threads, crew_cpus());
	else
		snprintf(text, sizeof(text), "threads=%ld", crew.threads);
	return text;
}

static size_t cpu_of(long thread)
{
	size_t cpu = 0;

	for (;; cpu++)
		if (CPU_ISSET(cpu, allowed()) && !thread--)
			return cpu;
}

static void take_place(long thread)
{
	cpu_set_t set = *allowed();

	if (crew.threads <= crew_cpus()) {
		CPU_ZERO(&set);
		CPU_SET(cpu_of(thread), &set);
	}
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fail("crew: affinity");
}

/* Coarse time is a load; it advances every few milliseconds. */
static double coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

bool crew_goes_on(void)
{
	return coarse_ns() < crew.deadline;
}

static void do_job(long thread)
{
	crew.member[thread].start = now_ns();
	crew.member[thread].operations = crew.job(thread, crew.argument);
	crew.member[thread].end = now_ns();
}

static void *work(void *argument)
{
	const long thread = (long)argument;

	take_place(thread);
	for (;;) {
		pthread_barrier_wait(&crew.barrier);
		if (!crew.job)
			return NULL;
		do_job(thread);
		pthread_barrier_wait(&crew.barrier);
	}
}

void crew_gather(long threads)
{
	crew.threads = threads;
	if (threads == 1) {
		take_place(0);
		return;
	}
	if (pthread_barrier_init(&crew.barrier, NULL, (unsigned int)threads + 1))
		fail("crew: barrier");
	for (long i = 0; i < threads; i++)
		if (pthread_create(&crew.thread[i], NULL, work, (void *)i))
			fail("crew: thread");
}

void crew_do(crew_job *job, void *argument)
{
	crew.job = job;
	crew.argument = argument;
	if (crew.threads == 1) {
		do_job(0);
		return;
	}
	pthread_barrier_wait(&crew.barrier);
	pthread_barrier_wait(&crew.barrier);
}

void crew_dismiss(void)
{
	if (crew.threads == 1)
		return;
	crew.job = NULL;
	pthread_barrier_wait(&crew.barrier);
	for (long i = 0; i < crew.threads; i++)
		pthread_join(crew.thread[i], NULL);
	pthread_barrier_destroy(&crew.barrier);
}

/* Of all threads. */
static double thread_ns(void)
{
	double sum = 0;

	for (long i = 0; i < crew.threads; i++)
		sum += crew.member[i].end - crew.member[i].start;
	return sum;
}

/* Of all CPUs, from the first thread's start to the last one's end. */
static double cpus_ns(void)
{
	double start = crew.member[0].start, end = crew.member[0].end;

	for (long i = 1; i < crew.threads; i++) {
		if (start > crew.member[i].start)
			start = crew.member[i].start;
		if (end < crew.member[i].end)
			end = crew.member[i].end;
	}
	return (end - start) * crew_cpus();
}

double crew_time(crew_job *job, void *argument, int ms)
{
	uint64_t operations = 0;

	crew.deadline = coarse_ns() + ms * 1e6;
	crew_do(job, argument);
	for (long i = 0; i < crew.threads; i++)
		operations += crew.member[i].operations;
	return (crew.threads > crew_cpus() ? cpus_ns() : thread_ns()) / (double)operations;
}
