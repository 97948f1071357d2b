/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See lock.h. A word in user space and the kernel's futex: Drepper's "Futexes Are Tricky". */
#include "lock.h"
#include "cpu_alloc.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 1000 /* 20 to 50 microseconds; the lock is held for one or two */

/* Of the word, beside the mark. Never both: nobody sleeps while it is held briefly. */
#define SLEEPERS 1U
#define BRIEFLY 2U

void lock_watch(struct lock *lock, uint32_t *whole, void (*in_copy)(void))
{
	*whole = 1;
	lock->whole = whole;
	lock->in_copy = in_copy;
}

/* Differs from thread to thread, and stays the same in the child of a fork. Not 0. */
static uint32_t my_mark(void)
{
	return (uint32_t)((uintptr_t)cpu_alloc_thread_pointer() >> 4) << 3 | 4;
}

static bool holder_may_be_missing(const struct lock *lock)
{
	return lock->whole && !__atomic_load_n(lock->whole, __ATOMIC_RELAXED);
}

void lock_renew(struct lock *lock)
{
	if (lock->in_copy)
		lock->in_copy();
	if (lock->whole)
		__atomic_store_n(lock->whole, 1, __ATOMIC_RELAXED);
}

/* Whoever gets it knows that nobody who is not there holds it. */
static bool taken(struct lock *lock)
{
	if (holder_may_be_missing(lock))
		lock_renew(lock);
	return true;
}

static bool try_as(struct lock *lock, uint32_t mark)
{
	uint32_t unlocked = 0;

	return __atomic_compare_exchange_n(&lock->word, &unlocked, mark, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static bool try_if_free(struct lock *lock, uint32_t mark)
{
	return __atomic_load_n(&lock->word, __ATOMIC_RELAXED) == 0 && try_as(lock, mark) &&
	       taken(lock);
}

bool lock_try(struct lock *lock)
{
	return try_if_free(lock, my_mark());
}

bool lock_try_briefly(struct lock *lock)
{
	return try_if_free(lock, my_mark() | BRIEFLY);
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" : : : "memory");
#endif
}

/*
 * A signal ends the sleep too, and its handler may have left us in a copy: hence the
 * look. Time is limited for copies that were made while somebody slept.
 */
static void sleep_on(struct lock *lock, uint32_t word)
{
	static const struct timespec limit = {.tv_nsec = 100 * 1000 * 1000};

	if (word & BRIEFLY) {
		sched_yield();
		return;
	}
	if (!(word & SLEEPERS) &&
	    !__atomic_compare_exchange_n(&lock->word, &word, word | SLEEPERS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, word | SLEEPERS, &limit, NULL, 0);
}

bool lock_take(struct lock *lock)
{
	const int saved = errno;

	for (int n = 0; n < SPINS; n++) {
		if (lock_try(lock))
			return true;
		pause_briefly();
	}
	/* From here on others may sleep whom nobody else would wake. */
	while (!try_as(lock, my_mark() | SLEEPERS)) {
		const uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);

		if (holder_may_be_missing(lock))
			return false;
		if (word)
			sleep_on(lock, word);
	}
	errno = saved;
	return taken(lock);
}

bool lock_is_mine(const struct lock *lock)
{
	return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & ~(SLEEPERS | BRIEFLY)) ==
	       my_mark();
}

void lock_drop(struct lock *lock)
{
	const int saved = errno;

	if (!lock_is_mine(lock))
		return;
	if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) & SLEEPERS)
		syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved;
}
