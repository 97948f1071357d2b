/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a thread of the replay does with one object, through the public interface. */
#ifndef TOOLS_WORK_H
#define TOOLS_WORK_H

#include "objects.h"
#include "replay.h"
#include "stopwatch.h"

/* One thread, and what it has to tell. */
struct worker {
	struct replay *replay; /* shared: corruptions is counted by all */
	unsigned int number;
	uint64_t clock_ns; /* that reading the clock twice takes */
	struct stopwatch alloc, free;
	uint64_t remote_frees; /* of what another thread allocated */
};

/* Allocate it and write the pattern; its ptr is NULL if that failed. */
void work_alloc(struct worker *worker, struct object *object);

/* Check the pattern and free it; nothing if its allocation failed. */
void work_free(struct worker *worker, struct object *object);

#endif
