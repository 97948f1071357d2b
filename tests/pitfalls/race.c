/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * For ThreadSanitizer: a thread adds to all instances by the book, another writes
 * them as if it owned them. Nothing orders the two but a flag that orders nothing.
 */
#include <cpu_alloc.h>
#include <pthread.h>
#include <unistd.h>

static uint64_t *counter;
static int added;

static void *by_the_book(void *unused)
{
	(void)unused;
	for (int i = 0; i < 1000; i++)
		this_cpu_inc(*counter);
	__atomic_store_n(&added, 1, __ATOMIC_RELAXED);
	return NULL;
}

int main(void)
{
	pthread_t thread;

	alarm(60);
	counter = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	if (!counter || pthread_create(&thread, NULL, by_the_book, NULL))
		return 2;
	while (!__atomic_load_n(&added, __ATOMIC_RELAXED))
		;
	cpu_alloc_for_each (i)
		*CPU_PTR(counter, i) = 0;
	pthread_join(thread, NULL);
	return 0;
}
