/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads that share work. Each is bound to one of the CPUs that this process may
 * use, the next one in turn. Called by one thread only.
 */
#ifndef TOOLS_THREADS_H
#define TOOLS_THREADS_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MOST 4096

/* Do item number @item of a share, as thread number @member. */
typedef void thread_function(void *context, unsigned int member, size_t item);

struct threads {
	struct thread *members;
	unsigned int count, started;
	thread_function *function;
	void *context;
	sem_t done;    /* counts the members that have done their part */
	size_t items;  /* of the share that they are at */
	uint64_t turn; /* number @turn % count has its first item */
	bool ended;
};

/* @count threads that wait. False: they cannot be had, that has been told, and there are none. */
bool threads_start(struct threads *threads, unsigned int count, thread_function *function,
		   void *context);

/*
 * Have @items items done: item i by thread number (@turn + i) % count, each thread
 * its own in this order, and all threads at the same time. Returns when all are
 * done; what was written before the call is seen by all, and afterwards what they wrote.
 */
void threads_share(struct threads *threads, uint64_t turn, size_t items);

void threads_stop(struct threads *threads);

#endif
