/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every operation as a real symbol, and what it should do, said a second time:
 * on an integer that is wide enough for all of them.
 */
#ifndef INJECT_OPERATIONS_H
#define INJECT_OPERATIONS_H

#include "cpu_alloc.h"

#include <stdbool.h>

typedef cpu_alloc_u128 wide;

/* Arguments and results of a call, cut to the operation's width. */
struct call {
	wide value, expected; /* expected: also a result, of try_cmpxchg */
	wide result;
};

struct operation {
	const char *name; /* the symbol */
	unsigned int bits;
	void (*symbol)(void);
	void (*call)(void *handle, struct call *call);
	void (*model)(wide *field, struct call *call);
};

extern const struct operation operations[];
extern const size_t operation_count;

const struct operation *operation_named(const char *name);

/* Does it compare the field with what is expected? */
bool operation_compares(const struct operation *operation);

/* What is of @value in a field of the operation. */
wide operation_cut(const struct operation *operation, wide value);

/* Do to *@field, and to *@call, what the operation should. */
void operation_apply(const struct operation *operation, wide *field, struct call *call);

#endif
