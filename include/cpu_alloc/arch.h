/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The door to the architecture. In front of it stands what all of them use:
 * the two offsets by which a thread finds its area.
 *
 * Included by cpu_alloc.h.
 */
#ifndef CPU_ALLOC_ARCH_H
#define CPU_ALLOC_ARCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * ThreadSanitizer does not see into assembly: its programs work by atomic
 * instructions. (The library sees its run-time and stays off sections, too.)
 * Nor does sparse.
 */
#define CPU_ALLOC_SECTIONS 1
#if defined(__SANITIZE_THREAD__) || defined(__CHECKER__)
#undef CPU_ALLOC_SECTIONS
#define CPU_ALLOC_SECTIONS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef CPU_ALLOC_SECTIONS
#define CPU_ALLOC_SECTIONS 0
#endif
#endif

/* Inlined wherever anything is; without optimisation one copy a file, for debuggers. */
#ifdef __OPTIMIZE__
#define __cpu_alloc_inline static inline __attribute__((always_inline))
#else
#define __cpu_alloc_inline static inline
#endif

__extension__ typedef unsigned __int128 cpu_alloc_u128;

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * The offsets are from the thread pointer: of an int that is negative where
 * restartable sequences do not know the thread (cpu_id of the structure that
 * the kernel keeps, or of one that it does not know), and of the int that holds
 * the index. Set before any constructor of the program runs, and constant from
 * then on, but for cpu_alloc_setup(): so operations need not reload them.
 */
extern const ptrdiff_t cpu_alloc_known_offset;
extern const ptrdiff_t cpu_alloc_index_offset;

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

/* clang-format off */
/*
 * What belongs to a critical section besides its instructions: the descriptor, for
 * labels 1 (start), 2 (end) and 3 (abort), which is defined here, and the abort stub
 * behind the @signature that the kernel asks for.
 *
 * Both have a symbol that names the operation. The descriptor lies in memory that
 * is read-only after relocation. "?" makes them members of the COMDAT group that
 * the function is in, so that they come and go together; a section each, so that
 * linkers can drop them (--gc-sections) with the function.
 */
#define CPU_ALLOC_DESCRIPTOR(name, signature, on_abort)                        \
	".pushsection .data.rel.ro.cpu_alloc_rseq_cs.%=, \"aw?\", @progbits\n\t" \
	".balign 32\n"                                                         \
	"cpu_alloc_rseq_cs." name ".%=:\n\t"                                   \
	".long 0, 0\n\t"                                                       \
	".quad 1f, 2f - 1f, 3f\n\t"                                            \
	".popsection\n\t"                                                      \
	".pushsection .text.unlikely.cpu_alloc_rseq_abort.%=, \"ax?\", @progbits\n\t" \
	signature "\n"                                                         \
	"3:\n"                                                                 \
	"cpu_alloc_rseq_abort." name ".%=:\n\t"                                \
	on_abort "\n\t"                                                        \
	".popsection\n"
/* clang-format on */

#if defined(__x86_64__)
#include "arch/x86_64.h"
#elif defined(__aarch64__)
#include "arch/aarch64.h"
#else
#include "arch/generic.h"
#endif

#endif
