/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "allocators.h"

#include <dlfcn.h>
#include <stdio.h>

const char *const allocator_names[ALLOCATORS] = {
	[LIBRARY] = "cpu_alloc", [LIBC] = "malloc",	[JEMALLOC] = "jemalloc",
	[POOL] = "rseq_mempool", [NOTHING] = "nothing",
};

struct jemalloc jemalloc;

/* Its names of its own, which are not those of the C library. */
static bool open_jemalloc(void)
{
	static bool tried;
	void *library;

	if (tried)
		return jemalloc.give;
	tried = true;
	library = dlopen("libjemalloc.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		printf("# no jemalloc: %s\n", dlerror());
		return false;
	}
	jemalloc.take = (__typeof__(jemalloc.take))dlsym(library, "mallocx");
	jemalloc.give = (__typeof__(jemalloc.give))dlsym(library, "sdallocx");
	return jemalloc.take && jemalloc.give;
}

#ifdef HAVE_LIBRSEQ
struct rseq_mempool *allocator_pool;

/* A pool of objects of one size, for every size that was asked for. */
static bool open_pool(size_t size)
{
	static struct rseq_mempool *pools[257];
	struct rseq_mempool_attr *attr;

	if (!pools[size]) {
		attr = rseq_mempool_attr_create();
		if (!attr || rseq_mempool_attr_set_percpu(attr, RSEQ_MEMPOOL_STRIDE, 0))
			fail("rseq_mempool_attr");
		pools[size] = rseq_mempool_create("bench", size, attr);
		rseq_mempool_attr_destroy(attr);
	}
	allocator_pool = pools[size];
	return allocator_pool;
}
#else
static bool open_pool(size_t size)
{
	(void)size;
	return false;
}
#endif

bool allocator_use(enum allocator who, size_t size)
{
	switch (who) {
	case JEMALLOC:
		return open_jemalloc();
	case POOL:
		return open_pool(size);
	default:
		return true;
	}
}
