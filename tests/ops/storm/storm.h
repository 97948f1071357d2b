/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A storm: more threads than CPUs do the same operations on the same counters,
 * while a timer of each interrupts it after some microseconds with a handler that
 * does them, too; threads are moved from CPU to CPU by themselves and by
 * the thread that started them, which interrupts sections from outside. Some
 * threads are strays.
 *
 *	worker:		step, step, step, ...		side[0]
 *	its handler:	    step			side[1]
 *
 * Each side keeps books of its own, so that their sum is exact although the one
 * interrupts the other. What the instances hold in the end must agree with them.
 *
 * A timer is set again by the interrupted thread, not by its handler: so however
 * slow the machine is, the thread comes on between two signals.
 */
#ifndef STORM_H
#define STORM_H

#include "modes.h"

enum { W8, W16, W32, W64, WIDTHS };
#define EACH_WIDTH(X)                                                                              \
	X(8)                                                                                       \
	X(16)                                                                                      \
	X(32)                                                                                      \
	X(64)

/* Neighbours in one cache line: who writes more than its own width is found out. */
struct counters {
	uint8_t v8, after8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64, after64;
};

struct side {
	uint64_t sum[WIDTHS];	/* added, and so on */
	uint64_t chain[WIDTHS]; /* see chain_link() */
	uint64_t steps, bad;	/* bad: what must never be seen was seen */
	uint64_t random;
	int number; /* of the worker */
	bool handler;
};

struct storm {
	const char *name;
	void (*step)(struct side *side);
	bool pinned;	/* threads stay on their CPUs */
	bool no_strays; /* all threads are known */
};

/* A test's start: the mode, and one allocation, by which it is decided. */
static inline struct mode storm_mode(int argc, char **argv)
{
	must(CPU_ALLOC(int, GFP_KERNEL));
	return mode_of(argc, argv);
}

/* Returns the books of all sides together. */
struct side storm_run(const struct storm *storm);

/* Was this thread interrupted since its step began, or just before? Once at most. */
bool storm_was_interrupted(void);

/* The time that tests give themselves; nothing is measured by it. */
int64_t storm_now_ms(void);

/*
 * In a child that a step made by fork(): from now on it is alone, and interrupted
 * by a timer of its own. Runs @steps steps. Returns its books.
 */
struct side storm_alone(int steps);

static inline uint64_t next_random(struct side *side)
{
	uint64_t x = side->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return side->random = x;
}

/* Any two values differ in it, and sums of it tell which values they are of. */
static inline uint64_t fingerprint(uint64_t value)
{
	value = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 29;
}

/*
 * Every step of an instance turns an old value into a new one. If none is lost,
 * and none is done twice, then each value that came in is taken out once, or is
 * there in the end: over all steps and instances
 *
 *	fingerprints of new ones - of old ones = of those in the end - of the first
 */
static inline void chain_link(struct side *side, int width, uint64_t old, uint64_t new)
{
	side->chain[width] += fingerprint(new) - fingerprint(old);
}

/* Fingerprints of what there is in the end, less those of the zeros of the start. */
#define CHAIN_END(width)                                                                           \
	static inline uint64_t chain_end_##width(const struct counters *c)                         \
	{                                                                                          \
		uint64_t end = 0;                                                                  \
                                                                                                   \
		cpu_alloc_for_each (i)                                                             \
			end += fingerprint(CPU_PTR(c, i)->v##width) - fingerprint(0);              \
		return end;                                                                        \
	}
EACH_WIDTH(CHAIN_END)
#undef CHAIN_END

/* The books of all sides against the counters. */
static inline void ok_sums(const char *name, const struct side *all, struct counters *c)
{
#define OK_SUM(width)                                                                              \
	ok((uint##width##_t)all->sum[W##width] == cpu_sum(c->v##width), "%s, %d bits: exact sum",  \
	   name, width);
	EACH_WIDTH(OK_SUM)
#undef OK_SUM
}

static inline void ok_chains(const char *name, const struct side *all, struct counters *c)
{
#define OK_CHAIN(width)                                                                            \
	ok(all->chain[W##width] == chain_end_##width(c),                                           \
	   "%s, %d bits: what was put in was taken out once", name, width);
	EACH_WIDTH(OK_CHAIN)
#undef OK_CHAIN
}

#endif
