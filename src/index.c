/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which area a thread works on, and whether by critical sections: decided here,
 * once for the process, and left in two offsets for the inline functions.
 *
 *	path		known_offset			index_offset
 *	rseq, cpu	cpu_id of what is registered	the same
 *	rseq, cid	cpu_id of what is registered	mm_cid
 *	atomic		cpu_id of what is not, -1	the same
 */
#include "index.h"
#include "cpu_alloc.h"
#include "rseq.h"

#include <sched.h>

/* The header declares the offsets const, so that operations need not reload them. */
ptrdiff_t known_offset __asm__("cpu_alloc_known_offset") __attribute__((visibility("default")));
ptrdiff_t index_offset __asm__("cpu_alloc_index_offset") __attribute__((visibility("default")));

static enum rseq_owner owner;
static const char *path = "atomic: nothing is decided yet";

bool index_by_sections(void)
{
	return owner != RSEQ_NOBODY;
}

const char *cpu_alloc_path(void)
{
	return path;
}

bool index_decide(bool use_rseq, bool use_cid)
{
	static const char *const names[][2] = {
		[RSEQ_LIBC] = {"rseq: areas by CPU number", "rseq: areas by concurrency id"},
		[RSEQ_OURS] = {"rseq: own registration, areas by CPU number",
			       "rseq: own registration, areas by concurrency id"},
	};
	const char *objection = use_rseq ? rseq_objection() : "atomic: rseq=off";
	ptrdiff_t offset = 0;
	bool cid;

	owner = objection ? RSEQ_NOBODY : rseq_register(&offset);
	if (owner == RSEQ_NOBODY)
		offset = rseq_never_offset();
	cid = use_cid && owner != RSEQ_NOBODY && rseq_has_cid();
	known_offset = offset + RSEQ_CPU_ID;
	index_offset = offset + (cid ? RSEQ_MM_CID : RSEQ_CPU_ID);
	if (owner != RSEQ_NOBODY)
		path = names[owner][cid];
	else
		path = objection ? objection : "atomic: no restartable sequences here";
	return cid == use_cid;
}

bool index_register_thread(void)
{
	ptrdiff_t offset;

	return owner != RSEQ_NOBODY && rseq_register(&offset) == owner;
}

int cpu_alloc_index_slow(void)
{
	if (index_register_thread())
		return cpu_alloc_thread_int(cpu_alloc_index_offset);
	return index_by_cid() ? -1 : sched_getcpu();
}

/* Sorted before the constructors of priority 101 of a statically linked program. */
__attribute__((section(".init_array.00001"),
	       used)) static void (*const at_load)(void) = index_at_load;
