/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One operation in a traced child, disturbed at one instruction; or stepped
 * through from its first to its last.
 *
 *	this_cpu_add_64:	leaq, movq rseq_cs, [cmpl, jl, ..., addq], ret
 *					way	    section
 *	aborted: its stub, then cpu_alloc_op_slow()
 *				..., movq rseq_cs, [cmpl, jl, ..., addq], ret
 *				way		   section
 *
 * What an operation does if all its attempts are aborted is found by stepping
 * through it; each attempt is a way to a section, and the section. A trial aborts
 * some attempts at the first instruction of their sections, and disturbs the
 * next one at a chosen place.
 */
#ifndef INJECT_TRIAL_H
#define INJECT_TRIAL_H

#include "operations.h"
#include "sections.h"

#define MAX_ATTEMPTS 64
#define MAX_WAY 512 /* instructions before a section */

struct attempt {
	struct section *section;
	uintptr_t way[MAX_WAY]; /* without the first, which is an abort stub or the symbol */
	size_t way_length;
};

/* An operation under abort after abort. */
struct path {
	struct attempt attempts[MAX_ATTEMPTS];
	size_t attempt_count;
};

enum disturbance {
	ABORT,	/* by the trap alone */
	SIGNAL, /* one whose handler does an operation on the same field */
	MOVE,	/* to another CPU */
	LIST,	/* no disturbance: see trial_instructions() */
};

struct trial {
	const struct operation *operation;
	const struct operation *in_handler; /* may be another */
	bool meets;			    /* comparison: with what the handler writes */
	enum disturbance disturbance;
	const struct path *path;
	size_t attempt;
	uintptr_t place; /* where the attempt is disturbed; its section's end is the last */
};

/* Makes the object, the child's tasks and the child. Returns false, and errno, if it cannot. */
bool trial_set_up(void);
void trial_tear_down(void);

/* Can the child be moved to another CPU, and is that CPU's area another one? */
bool trial_can_move(void);

/*
 * Step through @operation. Returns NULL if it ended, and was done once, on the
 * area for strays; or what is wrong. *@path is what it did.
 */
const char *trial_step_through(const struct operation *operation, struct path *path);

/* Up to @room instructions of the section of an attempt. Returns their number; 0: it cannot. */
size_t trial_instructions(const struct operation *operation, const struct path *path,
			  size_t attempt, uintptr_t *places, size_t room);

/* Is there no attempt after the one to be disturbed? Then an abort ends on the area for strays. */
bool trial_is_last(const struct trial *trial);

/*
 * Returns NULL if it went as it should: one abort if the place was inside the
 * section, none outside; and each operation was done exactly once. Or what is wrong.
 */
const char *trial_run(const struct trial *trial);

#endif
