/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The way of a traced child through one call, instruction by instruction, and how
 * to stop it at any of them in another run.
 *
 *	step	0	1	2	3	4	5	6	7
 *	pc	a	b	c	d	a	b	c	e
 *				[section]		[section]
 *
 * A trap inside a critical section aborts it. So the way is found with rseq_cs cleared
 * as soon as it is set: the kernel aborts no section that it does not point to. In the
 * other runs there are breakpoints only where the child shall stop, and outside of
 * sections on the way there: to stop at step 6, pass b once, wait for it a second time,
 * and go on to c.
 */
#ifndef ALLOC_WALK_H
#define ALLOC_WALK_H

#include "tracee.h"

#define WALK_STEPS 200000

/* A critical section, as the kernel reads of it. */
struct walk_section {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};

static inline bool walk_is_inside(const struct walk_section *section, uintptr_t pc)
{
	return pc - section->start < section->bytes;
}

/* After a step to @pc: is a section begun? It goes to *@section, and will not be aborted. */
void walk_note_section(const struct tracee *child, uintptr_t pc, struct walk_section *section);

struct step {
	uintptr_t pc;
	bool inside; /* a critical section */
};

struct walk {
	struct step step[WALK_STEPS];
	size_t steps;
};

/*
 * The child stands at a function's first instruction: let it go on to its return.
 * @sections: the process has critical sections. False if there is no end of it.
 */
bool walk_find(struct walk *walk, struct tracee *child, bool sections);

/* Is it the first time that the way comes by the place of @step? */
bool walk_is_first(const struct walk *walk, size_t step);

/*
 * The child stands at the way's first step. EVENT_TRAP: it stands at @step. Else it took
 * another way, and is through, or dead.
 */
enum event walk_to(const struct walk *walk, struct tracee *child, size_t step);

#endif
