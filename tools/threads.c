/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The threads: a semaphore sets each thread going, one for all counts who is done. */
#include "threads.h"
#include "message.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define MASK_CPUS 8192 /* what Linux can be built for, at the most */

struct thread {
	struct threads *threads;
	unsigned int number;
	pthread_t thread;
	sem_t go;
};

/* Signals may interrupt it. */
static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		;
}

static size_t first_item(const struct thread *member)
{
	const struct threads *threads = member->threads;

	return (member->number + threads->count - threads->turn % threads->count) % threads->count;
}

static void *serve(void *argument)
{
	struct thread *member = argument;
	struct threads *threads = member->threads;

	for (;;) {
		wait_for(&member->go);
		if (threads->ended)
			return NULL;
		for (size_t i = first_item(member); i < threads->items; i += threads->count)
			threads->function(threads->context, member->number, i);
		sem_post(&threads->done);
	}
}

void threads_share(struct threads *threads, uint64_t turn, size_t items)
{
	const unsigned int needed = items < threads->count ? (unsigned int)items : threads->count;

	threads->turn = turn;
	threads->items = items;
	for (unsigned int i = 0; i < needed; i++)
		sem_post(&threads->members[(turn + i) % threads->count].go);
	for (unsigned int i = 0; i < needed; i++)
		wait_for(&threads->done);
}

/* Returns 0, or what errno would be. */
static int start_member(struct threads *threads, const cpu_set_t *cpu)
{
	struct thread *member = &threads->members[threads->started];
	int error;

	*member = (struct thread){.threads = threads, .number = threads->started};
	sem_init(&member->go, 0, 0);
	error = pthread_create(&member->thread, NULL, serve, member);
	if (error)
		return error;
	threads->started++;
	return pthread_setaffinity_np(member->thread, CPU_ALLOC_SIZE(MASK_CPUS), cpu);
}

/* The first CPU of @allowed from number @cpu on, and then from 0. */
static size_t find_cpu(const cpu_set_t *allowed, size_t cpu)
{
	while (!CPU_ISSET_S(cpu, CPU_ALLOC_SIZE(MASK_CPUS), allowed))
		cpu = (cpu + 1) % MASK_CPUS;
	return cpu;
}

static int start_members(struct threads *threads)
{
	cpu_set_t *allowed = CPU_ALLOC(MASK_CPUS), *one = CPU_ALLOC(MASK_CPUS);
	const size_t size = CPU_ALLOC_SIZE(MASK_CPUS);
	size_t cpu = 0;
	int error = 0;

	if (!allowed || !one)
		out_of_memory();
	if (sched_getaffinity(0, size, allowed) != 0)
		error = errno;
	while (!error && threads->started < threads->count) {
		cpu = find_cpu(allowed, cpu);
		CPU_ZERO_S(size, one);
		CPU_SET_S(cpu, size, one);
		error = start_member(threads, one);
		cpu = (cpu + 1) % MASK_CPUS;
	}
	CPU_FREE(allowed);
	CPU_FREE(one);
	return error;
}

bool threads_start(struct threads *threads, unsigned int count, thread_function *function,
		   void *context)
{
	int error;

	*threads = (struct threads){.count = count, .function = function, .context = context};
	threads->members = reallocate(NULL, count, sizeof(*threads->members));
	sem_init(&threads->done, 0, 0);
	error = start_members(threads);
	if (!error)
		return true;
	complain("cannot start %u threads: %s", count, strerror(error));
	threads_stop(threads);
	return false;
}

void threads_stop(struct threads *threads)
{
	threads->ended = true;
	for (unsigned int i = 0; i < threads->started; i++)
		sem_post(&threads->members[i].go);
	for (unsigned int i = 0; i < threads->started; i++)
		pthread_join(threads->members[i].thread, NULL);
	free(threads->members);
}
