/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which area a thread works on. The C library registers each thread with the
 * kernel, which then keeps the number of its CPU, and its concurrency id, in a
 * structure at a constant offset from the thread pointer:
 *
 *	cpu_id	4	the CPU; negative while the thread is not registered
 *	mm_cid	24	the concurrency id; 0 while it is not registered
 *
 * The inline functions of cpu_alloc.h read ints at two offsets that are decided
 * here, once for the process.
 */
#include "index.h"
#include "cpu_alloc.h"

#include <sched.h>
#include <sys/auxv.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_GLIBC_RSEQ 1
#else /* before glibc 2.35 */
#define HAVE_GLIBC_RSEQ 0
#define __rseq_offset 0
#define __rseq_size 0U
#endif

#define RSEQ_CPU_ID 4
#define RSEQ_MM_CID 24
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

/* The header declares the offsets const, so that operations need not reload them. */
ptrdiff_t known_offset __asm__("cpu_alloc_known_offset") __attribute__((visibility("default")));
ptrdiff_t index_offset __asm__("cpu_alloc_index_offset") __attribute__((visibility("default")));

/* What the offsets lead to where restartable sequences are not used. */
static _Thread_local int never_known __attribute__((tls_model("initial-exec"))) = -1;

static enum { BY_GETCPU, BY_CPU_ID, BY_MM_CID } path;

static const char *const path_names[] = {
	[BY_GETCPU] = "getcpu(), areas by CPU number",
	[BY_CPU_ID] = "restartable sequences, areas by CPU number",
	[BY_MM_CID] = "restartable sequences, areas by concurrency id",
};

bool index_rseq_registered(void)
{
	return HAVE_GLIBC_RSEQ && __rseq_size > 0 &&
	       cpu_alloc_thread_int(__rseq_offset + RSEQ_CPU_ID) >= 0;
}

bool index_cid_available(void)
{
	return index_rseq_registered() &&
	       getauxval(AT_RSEQ_FEATURE_SIZE) >= RSEQ_MM_CID + sizeof(int);
}

const char *index_path(void)
{
	return path_names[path];
}

bool index_decide(bool use_rseq, bool use_cid)
{
	const bool cid = use_rseq && use_cid && index_cid_available();

	if (use_rseq && index_rseq_registered()) {
		path = cid ? BY_MM_CID : BY_CPU_ID;
		known_offset = __rseq_offset + RSEQ_CPU_ID;
		index_offset = __rseq_offset + (cid ? RSEQ_MM_CID : RSEQ_CPU_ID);
	} else {
		path = BY_GETCPU;
		known_offset = index_offset =
			(const char *)&never_known - cpu_alloc_thread_pointer();
	}
	return cid == use_cid;
}

int cpu_alloc_index_slow(void)
{
	return path == BY_MM_CID ? -1 : sched_getcpu();
}

/* Sorted before the constructors of priority 101 of a statically linked program. */
__attribute__((section(".init_array.00001"),
	       used)) static void (*const at_load)(void) = index_at_load;
