/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A counter and a pair of counters that a thread and a signal handler, which
 * interrupts it some thousand times a second, add to. A section that is not aborted
 * loses what the handler added to the pair. In the common part of C and C++.
 */
#ifndef PITFALLS_ADDS_H
#define PITFALLS_ADDS_H

#include <cpu_alloc.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 100000 /* of each thread, at least */
#define SIGNALS 100   /* the same */
#define PERIOD_NS 50000
#define SECONDS 60 /* a program that takes longer hangs */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct pair {
	uint64_t first, second;
} __attribute__((aligned(16)));

struct adds {
	struct pair pair;
	uint64_t count;
};

static struct adds *adds;
static uint64_t signals;

static inline struct adds *adds_new(void)
{
	struct adds *made = CPU_ALLOC(struct adds, GFP_KERNEL | __GFP_ZERO);

	if (!made)
		exit(2);
	alarm(SECONDS);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return made;
}

static inline void adds_in_handler(int number)
{
	(void)number;
	this_cpu_inc(adds->count);
	this_cpu_add2(adds->pair, 1, 1);
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

/* Signals for this thread, until timer_delete(). */
static inline timer_t start_signals(void (*handler)(int))
{
	struct sigaction action;
	struct sigevent event;
	struct itimerspec period;
	timer_t timer;

	memset(&action, 0, sizeof(action));
	memset(&event, 0, sizeof(event));
	memset(&period, 0, sizeof(period));
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART;
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGUSR1;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	period.it_value.tv_nsec = period.it_interval.tv_nsec = PERIOD_NS;
	if (sigaction(SIGUSR1, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &period, NULL))
		exit(3);
	return timer;
}

/* Enough rounds of @step(), under signals that add too. Returns how many. */
static inline uint64_t rounds_of(void (*step)(struct adds *))
{
	const uint64_t enough = __atomic_load_n(&signals, __ATOMIC_RELAXED) + SIGNALS;
	timer_t timer = start_signals(adds_in_handler);
	uint64_t n = 0;

	while (n < ROUNDS || __atomic_load_n(&signals, __ATOMIC_RELAXED) < enough) {
		step(adds);
		n++;
	}
	timer_delete(timer);
	return n;
}

/* Print the path, and the sums beside what they have to be. Returns the exit status. */
static inline int adds_report(uint64_t rounds)
{
	const uint64_t expected = rounds + __atomic_load_n(&signals, __ATOMIC_RELAXED);
	const uint64_t count = cpu_sum(adds->count), first = cpu_sum(adds->pair.first),
		       second = cpu_sum(adds->pair.second);

	printf("path: %s\n", cpu_alloc_path());
	printf("count %" PRIu64 ", pair %" PRIu64 " %" PRIu64 ", each has to be %" PRIu64 "\n",
	       count, first, second, expected);
	return count == expected && first == expected && second == expected ? 0 : 1;
}

#endif
