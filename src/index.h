/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which area a thread works on: CPU number, concurrency id, and how it is read. */
#ifndef CPU_ALLOC_INDEX_H
#define CPU_ALLOC_INDEX_H

#include "cpu_alloc.h"

#include <stdbool.h>

/* As decided: operations use critical sections; areas go by concurrency id. */
bool index_by_sections(void);
static inline bool index_by_cid(void)
{
	return cpu_alloc_index_offset != cpu_alloc_known_offset;
}

/*
 * For a thread that is not known: register it, where that is our job. Returns
 * whether it is known now. Async-signal-safe.
 */
bool index_register_thread(void);

/*
 * Runs before all constructors of the program. It stands above, in state.c, and
 * is called from index.c so that whoever links the inline functions' part of
 * the archive gets what sets it up.
 */
void index_at_load(void);

/*
 * Decide how the index is read, from then on and for the whole process. False
 * if concurrency ids are asked for and cannot be had: CPU numbers it is then.
 */
bool index_decide(bool use_rseq, bool use_cid);

#endif
