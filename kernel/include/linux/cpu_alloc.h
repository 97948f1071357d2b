/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc: small objects that every processor has its own instance of.
 *
 * What cpu_alloc() returns is a percpu pointer like that of alloc_percpu(): this_cpu_*(),
 * per_cpu_ptr() and all else that the kernel has for these work on it. Objects lie side by
 * side, at the lowest address that fits, in a few allocations of the kernel's percpu
 * allocator (blocks, of 32 KiB each). They are found and freed in logarithmic time, and
 * every free is checked.
 *
 *	struct hits { u64 requests, bytes; };
 *
 *	struct hits __percpu *hits = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
 *
 *	this_cpu_inc(hits->requests);
 *	pr_info("%llu bytes here\n", this_cpu_read(hits->bytes));
 *	CPU_FREE(hits);
 */
#ifndef _LINUX_CPU_ALLOC_H
#define _LINUX_CPU_ALLOC_H

#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/types.h>

#define CPU_ALLOC_UNIT 4	  /* bytes: sizes are rounded up to it */
#define CPU_ALLOC_MAX_SIZE 32768U /* bytes of one object */
#define CPU_ALLOC_MAX_ALIGN 4096U

/**
 * cpu_alloc() - allocate an object on every possible processor
 * @size: bytes of one instance, up to CPU_ALLOC_MAX_SIZE; for 0 the result is ZERO_SIZE_PTR
 * @gfp: see below
 * @align: of every instance: a power of two up to CPU_ALLOC_MAX_ALIGN; 0, 1 and 2 mean 4
 *
 * With all of GFP_KERNEL another block may be taken, up to the parameter percpu=: the caller
 * must be able to sleep. That is looked at; if it cannot, there is one warning, and no
 * block. With less (GFP_NOFS and GFP_NOIO too, also by memalloc_nofs_save() and
 * memalloc_noio_save()), memory comes from the blocks that there are; a worker takes the
 * next before the last runs out.
 *
 * %__GFP_ZERO clears every instance, and so does init_on_alloc=1; else they are undefined.
 * What was never in use is known to be zero, not looked at. %__GFP_NOWARN keeps a failure
 * out of the log. Other bits change nothing: nothing is charged to a cgroup, and it may
 * fail whatever they say.
 *
 * Context: any but NMI if not GFP_KERNEL; but not with locks of the scheduler or of
 * workqueues held, and not from a probe of the events cpu_alloc:*.
 *
 * Cost: interrupts are off for one search, logarithmic in the area. Clearing happens
 * outside of that, but by the caller, on all possible CPUs.
 *
 * Return: the percpu pointer; NULL if @size or @align is none of the above, if there is
 * no room, or none for a caller that must not sleep (/proc/cpu_alloc counts which).
 */
void __percpu *cpu_alloc(size_t size, gfp_t gfp, size_t align);

/**
 * cpu_free() - free an object
 * @ptr: from cpu_alloc(), or NULL or ZERO_SIZE_PTR, which do nothing
 * @size: as it was allocated; another number of units is a misuse
 *
 * Misuse (double free, wrong size, a pointer into an object or of somebody else) changes
 * nothing, is counted, and gives one warning for each kind, with what is wrong.
 *
 * Context: any but NMI, and a probe of the events cpu_alloc:*. Interrupts are off for a time
 * logarithmic in the area.
 */
void cpu_free(void __percpu *ptr, size_t size);

/* All one needs to know of it; a row each in /proc/cpu_alloc. Bytes are of one CPU. */
#define CPU_ALLOC_STATS(X)                                                                         \
	X(cpu_bytes, "live objects: a gauge")                                                      \
	X(peak_bytes, "the most that live objects ever had")                                       \
	X(top_bytes, "the highest byte ever in use, counted from the area's start")                \
	X(objects, "live objects")                                                                 \
	X(allocs, "successful allocations")                                                        \
	X(frees, "successful frees")                                                               \
	X(failed_einval, "allocations refused: bad size or alignment")                             \
	X(failed_enomem, "allocations refused: no room")                                           \
	X(failed_eagain, "allocations refused: no room without sleeping")                          \
	X(misuses, "frees refused")                                                                \
	X(area_bytes, "limit of the area, percpu=")                                                \
	X(committed_bytes, "of the area: in blocks that have been taken")                          \
	X(largest_free_bytes, "largest free run, growth up to area_bytes included")                \
	X(own_bytes, "the map, once for all CPUs")

struct cpu_alloc_stats {
#define CPU_ALLOC_STATS_MEMBER(name, text) u64 name;
	CPU_ALLOC_STATS(CPU_ALLOC_STATS_MEMBER)
#undef CPU_ALLOC_STATS_MEMBER
};

/**
 * cpu_alloc_stats() - read the statistics
 * @stats: written; the figures belong to one moment
 *
 * Context: any but NMI.
 */
void cpu_alloc_stats(struct cpu_alloc_stats *stats);

/*
 * CPU_ALLOC(type, gfp)			allocate, typed and aligned for the type
 * CPU_ALLOC_ARRAY(type, n, gfp)	an array of n
 * CPU_FREE(ptr)			free what CPU_ALLOC() gave
 * CPU_FREE_ARRAY(ptr, n)		free what CPU_ALLOC_ARRAY() gave
 * CPU_PTR(ptr, cpu)			the instance of a CPU
 * THIS_CPU(ptr)			that of the running one: preemption is off
 * __THIS_CPU(ptr)			the same, unchecked
 */
#define CPU_ALLOC(type, gfp) CPU_ALLOC_ARRAY(type, 1, gfp)
#define CPU_ALLOC_ARRAY(type, n, gfp)                                                              \
	((typeof(type) __percpu *)cpu_alloc(array_size(n, sizeof(type)), gfp, __alignof__(type)))
#define CPU_FREE(ptr) CPU_FREE_ARRAY(ptr, 1)
#define CPU_FREE_ARRAY(ptr, n) cpu_free(ptr, array_size(n, sizeof(*(ptr))))
#define CPU_PTR(ptr, cpu) per_cpu_ptr(ptr, cpu)
#define THIS_CPU(ptr) this_cpu_ptr(ptr)
#define __THIS_CPU(ptr) raw_cpu_ptr(ptr)

#endif
