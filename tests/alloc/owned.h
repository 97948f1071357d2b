/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Objects that belong to somebody, and books about them.
 *
 *	owned_make()	cpu_alloc(), then take: mark the units, write every instance
 *	owned_drop()	leave: check every instance, unmark; then cpu_free()
 *
 * A unit that is taken already belongs to two objects at once; an instance that holds
 * something else was written by another owner: no two values are the same. What is
 * wrong is noted, the first of it, and told later, since both may be called in
 * signal handlers.
 *
 * Whoever makes and drops objects keeps books; at a quiet point, where nobody is
 * inside of the library, their sum has to agree with the statistics and the map.
 */
#ifndef ALLOC_OWNED_H
#define ALLOC_OWNED_H

#include "modes.h"

struct owned {
	char *ptr; /* NULL: there is none */
	size_t size;
	uint64_t value;
};

struct books {
	uint64_t allocs, frees, eagain, enomem;
	uint64_t bytes; /* live, in whole units; of one who frees what others made it may be
			   negative */
};

/* What is asked for. */
struct request {
	size_t size, align;
	gfp_t flags;
};

/* Before the first object, with the options of this process, or NULL. */
void owned_set_up(const char *options);

/* False, and errno, if there was no object to be had: owned->ptr is NULL then. */
bool owned_make(struct owned *owned, struct books *books, struct request request);

/* Nothing happens if there is none. */
void owned_drop(struct owned *owned, struct books *books);

/* The parts of both that are not the library's. */
void owned_take(struct owned *owned, struct books *books, struct request request, void *ptr);
void owned_leave(struct owned *owned, struct books *books);

/* One more of the misuses that there should be. */
void owned_expect_misuse(void);

/* Is every instance as its owner left it? */
bool owned_is_intact(const struct owned *owned);

/* How many there are; in a child of fork() some of them belong to threads that it has not. */
uint64_t owned_objects(void);

/*
 * From now on EAGAIN is always allowed: in a child that came into being while others, or
 * the call that it interrupts, were inside of the library.
 */
void owned_allow_eagain(void);

/*
 * In a child made by fork() while others were at it: what they had freed meanwhile may
 * still be marked as theirs, since memory is not copied in one moment. Contents are
 * compared all the same.
 */
void owned_forget_others(void);

/* Something is wrong, which was not seen by the above. Async-signal-safe. */
void owned_note(const char *wrong, const void *ptr, size_t size);

/* In a child process: say what was noted, and leave. */
void must_be_well(void);

static inline void books_add(struct books *sum, const struct books *books)
{
	sum->allocs += books->allocs;
	sum->frees += books->frees;
	sum->eagain += books->eagain;
	sum->enomem += books->enomem;
	sum->bytes += books->bytes;
}

/*
 * At a quiet point, in a child process: the statistics are those of @books, the map
 * is sound and has what is live or cached. Trims, and then nothing is cached.
 */
void must_balance(const struct books *books);
void must_balance_trimmed(const struct books *books); /* only that; the map is not checked */

/* All was freed: the whole of an area can be had in one piece. */
void must_be_empty(const struct books *books);

#endif
