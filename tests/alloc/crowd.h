/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A crowd: more threads than CPUs take the same steps, while a timer of each, and
 * signals from the one who started them, interrupt it with a handler that takes them,
 * too; and they are moved from CPU to CPU, by themselves and from outside. Some
 * are strays, which the library does not know.
 *
 *	member:		step, step, step, ...		side[0]
 *	its handler:	    step			side[1]
 *
 * Now and then all stand still, outside of the library: a quiet point.
 *
 * A timer is set again by the interrupted thread, not by its handler: so however
 * slow the machine is, the thread comes on between two signals.
 */
#ifndef ALLOC_CROWD_H
#define ALLOC_CROWD_H

#include "owned.h"

#include <time.h>

#define CROWD_MOST 16	/* members, at most */
#define CROWD_SLOTS 352 /* of a side */

struct side {
	int number; /* of the member */
	bool handler;
	uint64_t random;
	struct books books;
	struct owned *slot[CROWD_SLOTS]; /* each points to one, which may be none */
};

struct crowd {
	void (*step)(struct side *side);
	void (*meanwhile)(void); /* done over and over by the one who started them; or NULL */
	void (*quiet)(void);	 /* done by the same at each quiet point; or NULL */
	struct books *books;	 /* of the same, or NULL */
	int quiet_points;	 /* within the time that it takes */
	int ms;			 /* it takes so long, if TEST_SECONDS does not say how long */
};

/*
 * In a child process: run the crowd. At each quiet point, and when all have dropped
 * what they had, the books are compared with the statistics.
 */
void crowd_run(const struct crowd *crowd);

/* All books together, at a quiet point or when it is over. */
struct books crowd_books(void);

/* How many there will be, of two sides each. */
int crowd_members(void);

/* The @n-th slot of all of them, at a quiet point; NULL behind the last. */
struct owned *crowd_slot(size_t n);

/* By a member: all shall stand still soon. */
void crowd_want_quiet(void);

/* In a child that a member has made by fork(): it goes on without the others. */
void crowd_leave(void);

static inline int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long it shall take: as long as TEST_SECONDS says, or @ms. In a child: no longer. */
static inline int64_t test_ms(int ms)
{
	const char *seconds = getenv("TEST_SECONDS");
	const int64_t wanted = seconds ? 1000 * (int64_t)atoi(seconds) : ms;

	alarm(CHILD_SECONDS + (unsigned int)(wanted / 1000));
	return wanted;
}

/* One check, made in a child; what it says is told. */
static inline void crowd_child(const char *name, int (*function)(const void *),
			       const void *argument)
{
	const struct outcome o = run_child(function, argument);

	ok_outcome(&o, name);
	if (exited(&o, 0))
		diag_lines("", o.out);
}

static inline uint64_t next_random(uint64_t *random)
{
	uint64_t x = *random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *random = x;
}

#endif
