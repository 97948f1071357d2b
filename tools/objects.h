/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The objects of a trace that are live, found by the names that the trace gives them. */
#ifndef TOOLS_OBJECTS_H
#define TOOLS_OBJECTS_H

#include "trace.h"

struct object {
	struct trace_name name; /* first: the key of the table */
	uint64_t number;	/* its place among the trace's allocations, from 1 */
	uint64_t size;		/* bytes asked for */
	uint64_t align;
	void *ptr;	     /* the CPU pointer; NULL if the allocation failed */
	unsigned int thread; /* that allocated it */
};

/* Opened by setting it to zero. Lookups are logarithmic. */
struct objects {
	void *root;
	uint64_t count;
};

/* The object called @name, or NULL. */
struct object *objects_find(const struct objects *objects, struct trace_name name);

/* Any object, or NULL if there is none. */
struct object *objects_any(const struct objects *objects);

/* A new object, all zero but for @name, by which none may be known. */
struct object *objects_add(struct objects *objects, struct trace_name name);

/* Out of the table; its memory is then the caller's, to be freed by free(). */
void objects_remove(struct objects *objects, struct object *object);

#endif
