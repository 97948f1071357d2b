/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Who is compared: this library, the C library, jemalloc where it is installed,
 * librseq's pools where they were at build time. All are called through the
 * linker's tables, or a pointer, which costs the same.
 *
 * jemalloc is opened at run time, beside the C library's malloc(). It needs
 * GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384 for its thread-local memory.
 */
#ifndef ALLOCATORS_H
#define ALLOCATORS_H

#include "crew.h"

#include <cpu_alloc.h>
#include <stdlib.h>

#ifdef HAVE_LIBRSEQ
#include <rseq/mempool.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* NOTHING: what a benchmark costs by itself. */
enum allocator { LIBRARY, LIBC, JEMALLOC, POOL, NOTHING, ALLOCATORS };

extern const char *const allocator_names[ALLOCATORS];

/* Make one ready for objects of @size. False if it is not there. */
bool allocator_use(enum allocator who, size_t size);

extern struct jemalloc {
	void *(*take)(size_t size, int flags);
	void (*give)(void *ptr, size_t size, int flags);
} jemalloc;

#ifdef HAVE_LIBRSEQ
extern struct rseq_mempool *allocator_pool;
#endif

/* With a constant @who, these two are one call. */
static ALWAYS_INLINE void *take(enum allocator who, size_t size)
{
	void *ptr = (void *)64;

	if (who == LIBRARY)
		ptr = cpu_alloc(size, GFP_KERNEL, size % 8 ? 4 : 8);
	else if (who == LIBC)
		ptr = malloc(size);
	else if (who == JEMALLOC)
		ptr = jemalloc.take(size, 0);
#ifdef HAVE_LIBRSEQ
	else if (who == POOL)
		ptr = rseq_mempool_percpu_malloc(allocator_pool);
#endif
	if (!ptr)
		fail(allocator_names[who]);
	return ptr;
}

static ALWAYS_INLINE void give(enum allocator who, void *ptr, size_t size)
{
	if (who == LIBRARY)
		cpu_free(ptr, size);
	else if (who == LIBC)
		free(ptr);
	else if (who == JEMALLOC)
		jemalloc.give(ptr, size, 0);
#ifdef HAVE_LIBRSEQ
	else if (who == POOL)
		rseq_mempool_percpu_free(ptr);
#endif
}

#endif
