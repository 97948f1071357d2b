/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Restartable sequences: whether they can be used, and the structure through which
 * the kernel tells a thread about itself, at the same distance from the thread
 * pointer in all threads:
 *
 *	cpu_id	 4	the CPU; negative while the thread is not registered
 *	rseq_cs	 8	the descriptor of the section that the thread entered last
 *	mm_cid	24	the concurrency id; 0 while it is not registered
 */
#ifndef CPU_ALLOC_RSEQ_H
#define CPU_ALLOC_RSEQ_H

#include <stdbool.h>
#include <stddef.h>

#define RSEQ_CPU_ID 4
#define RSEQ_MM_CID 24

enum rseq_owner { RSEQ_NOBODY, RSEQ_LIBC, RSEQ_OURS };

/*
 * Who has registered this thread, and where the structure is. If the C library
 * registers none, a structure of our own is registered for this thread now.
 * RSEQ_NOBODY if that cannot be. Async-signal-safe.
 */
enum rseq_owner rseq_register(ptrdiff_t *offset);

/*
 * Such a structure, of which the kernel never hears. It is what operations meet
 * where sections are not used: its cpu_id is -1 for ever.
 */
ptrdiff_t rseq_never_offset(void);

/* Does the kernel write concurrency ids? */
bool rseq_has_cid(void);

/*
 * Why sections must not be used even if threads are registered; NULL if they
 * may. rseq_broken_kernel() is the part that judges an aarch64 kernel's release.
 */
const char *rseq_objection(void);
bool rseq_broken_kernel(const char *release);

#endif
