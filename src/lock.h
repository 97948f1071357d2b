/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A lock that says who holds it, and that a waiting thread can give up.
 *
 * Why not a mutex of the C library: after a fork() in a signal handler, after _Fork()
 * or a raw clone(), the child may have a lock whose holder is not there. Waiting for
 * it would never end. Here a waiter sees that its process is such a copy, and fails.
 */
#ifndef CPU_ALLOC_LOCK_H
#define CPU_ALLOC_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lock {
	uint32_t word;	 /* 0: free; else the holder's mark, and two bits, see lock.c */
	uint32_t *whole; /* 0: this is a copy, and its holder may be missing. NULL: unknown */
	void (*in_copy)(void);
};

/*
 * Once at load time. @whole: a word that the kernel clears in copies of the process.
 * Whoever takes the lock first in a copy calls @in_copy; NULL: nothing is to be done.
 */
void lock_watch(struct lock *lock, uint32_t *whole, void (*in_copy)(void));

/* In the child of a fork() whose handlers have taken it: its holder is there. */
void lock_renew(struct lock *lock);

/* Take it if it is free. */
bool lock_try(struct lock *lock);

/*
 * The same for those who must not call the system, and hold it for a moment only:
 * nobody sleeps meanwhile, so nobody has to be woken. Async-signal-safe.
 */
bool lock_try_briefly(struct lock *lock);

/*
 * Wait for it: spins a little, then sleeps. False: its holder is in another process,
 * from which this one was copied. Not for signal handlers.
 */
bool lock_take(struct lock *lock);

/* Is it this thread that holds it? Async-signal-safe. */
bool lock_is_mine(const struct lock *lock);

/*
 * Nothing happens if it is not this thread's: it may have failed to take it again.
 * Async-signal-safe; a system call only if somebody sleeps.
 */
void lock_drop(struct lock *lock);

#endif
