/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which area a thread works on: CPU number, concurrency id, and how it is read. */
#ifndef CPU_ALLOC_INDEX_H
#define CPU_ALLOC_INDEX_H

#include <stdbool.h>

bool index_rseq_registered(void); /* the C library has registered this thread */
bool index_cid_available(void);	  /* the kernel writes concurrency ids */
const char *index_path(void);	  /* in words: which path is active */

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
