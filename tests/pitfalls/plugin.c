/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A library that adds: by a section of its own, or with BY_SYMBOL by the function
 * in cpu_alloc's library. For unload.c and copies.c, which builds two with
 * different PREFIXes.
 */
#include <cpu_alloc.h>

#ifndef PREFIX
#define PREFIX plugin
#endif
#define NAME(prefix, name) NAME_(prefix, name)
#define NAME_(prefix, name) prefix##_##name

struct pair {
	uint64_t first, second;
} __attribute__((aligned(16)));

void NAME(PREFIX, add)(struct pair *pair);
void NAME(PREFIX, leave)(void);

void NAME(PREFIX, add)(struct pair *pair)
{
#ifdef BY_SYMBOL
	this_cpu_add2_64(&pair->first, 1, 1);
#else
	this_cpu_add2(*pair, 1, 1);
#endif
}

/* What cpu_alloc_rseq_clear() is for. */
void NAME(PREFIX, leave)(void)
{
	cpu_alloc_rseq_clear();
}
