/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc - one pointer that stands for one object on every processor.
 *
 *	struct hits { uint64_t requests, bytes; };
 *
 *	struct hits *hits = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
 *
 *	this_cpu_inc(hits->requests);		// on the running CPU, in one step
 *
 *	sum = cpu_sum(hits->requests);		// over all of them
 *
 *	CPU_FREE(hits);
 *
 * What cpu_alloc() returns is a CPU pointer, or handle. It stands for all
 * instances of the object and is never dereferenced: it points into a region
 * of its own that cannot be read, so that a stray *hits faults at once.
 *
 *	 base         base + S      base + 2S     base + 3S
 *	 | handles    | area -1     | area 0      | area 1     | ...
 *	 | unreadable | for strays  | CPU 0       | CPU 1      |
 *
 * All areas have the same layout, S (CPU_ALLOC_STRIDE) bytes apart, hence the
 * instance of CPU i lies at handle + (i + 2) * S: no table, no memory access.
 *
 * Unless a function says otherwise it may be called from any thread, before
 * main() from the first constructor on, and in both processes after fork(). One
 * copy of the library serves a process: not the archive here and the shared library
 * there.
 */
#ifndef CPU_ALLOC_H
#define CPU_ALLOC_H

#if !defined(__cplusplus) && !defined(__CHECKER__) &&                                              \
	(!defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L)
#error "cpu_alloc.h needs C11 or C++11"
#endif

#include <sched.h> /* before ours: it has a CPU_ALLOC and a CPU_FREE of its own */
#include <stddef.h>
#include <stdint.h>

#include "cpu_alloc/arch.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define CPU_ALLOC_VERSION_MAJOR 0
#define CPU_ALLOC_VERSION_MINOR 1

/*
 * The annotation of a CPU pointer: `struct hits __percpu *hits`. Optional.
 * With it sparse, and clang in C++, warn where the pointer is dereferenced.
 * (In C clang has no way to name the type without the annotation again.)
 */
#ifndef __percpu
#if defined(__CHECKER__)
#define __percpu __attribute__((noderef, address_space(__percpu)))
#elif defined(__clang__) && defined(__cplusplus)
#define __percpu __attribute__((noderef))
#else
#define __percpu
#endif
#endif

#ifdef __CHECKER__
#define __cpu_alloc_force __attribute__((force))
#else
#define __cpu_alloc_force
#endif

/*
 * How an allocation may go about its work. No mode counts as GFP_NOWAIT;
 * GFP_KERNEL goes with no other mode.
 */
typedef unsigned int gfp_t;

#define GFP_KERNEL ((gfp_t)0x01) /* may wait for the lock and call the system */
#define GFP_NOWAIT ((gfp_t)0x02) /* neither; EAGAIN when not possible right now */
#define GFP_ATOMIC ((gfp_t)0x04) /* the same, and has a reserve: for signal handlers */
#define __GFP_ZERO ((gfp_t)0x08) /* every byte of every instance reads zero */

/* What an allocation of no bytes gives. Never dereferenced; free ignores it. */
#define ZERO_SIZE_PTR ((void *)16)

#define CPU_ALLOC_UNIT ((size_t)4)	   /* the grain of the map, in bytes */
#define CPU_ALLOC_MAX_ALIGN ((size_t)4096) /* the largest alignment, in bytes */

/*
 * cpu_alloc - allocate one object with an instance on every CPU.
 * @size:  bytes of one instance; rounded up to whole units of 4. 0 gives
 *         ZERO_SIZE_PTR.
 * @flags: a mode, and __GFP_ZERO if wanted. Without it the contents are those
 *         that the last object left there.
 * @align: of every instance's address: a power of two up to
 *         CPU_ALLOC_MAX_ALIGN; 0, 1 and 2 mean one unit.
 *
 * Objects lie side by side at the lowest address that fits, and share cache
 * lines with their neighbours on the same CPU. @align = 64 with a size that is
 * a multiple of 64 gives an object lines of its own.
 *
 * Objects of up to 256 bytes, aligned to 8 at most, come from a short stack of free
 * ones that each CPU has, its magazine, refilled in batches. Others, and all where
 * there are no restartable sequences, by one lock. Up to 256 bytes an even number of
 * units is aligned to 8, whatever @align says: a class serves all.
 *
 * Returns the CPU pointer, or NULL and errno:
 *	EINVAL	bad alignment or flags (reported, see on_error=)
 *	ENOMEM	no room: the area is full, @size exceeds it, or the system
 *		has no memory or address space (reported). With GFP_KERNEL all
 *		that magazines held was looked through
 *	EAGAIN	GFP_NOWAIT and GFP_ATOMIC only: not now, a GFP_KERNEL call would
 *		be needed to take the lock, to grow the area, to set it up, or
 *		to empty other CPUs' magazines. Any mode in a child made by
 *		_Fork() or clone(), if the lock was taken at that moment
 *
 * Thread-safe, fork-safe: other threads' objects that were in their hands at that
 * moment are lost to the child. GFP_NOWAIT and GFP_ATOMIC do not wait, make no system
 * call (but write() in a report), and may be called in a signal handler, also one that
 * interrupted cpu_alloc() or cpu_free(). Where a class of size was asked for by
 * GFP_ATOMIC, the others leave the last few objects of its magazines to it.
 * Cost: from the magazine about 45 instructions, none locked. Else a search that is
 * logarithmic in the area, plus one bit per unit of the object, for a batch at once. Plus
 * a look at every instance if __GFP_ZERO meets used memory.
 */
void *cpu_alloc(size_t size, gfp_t flags, size_t align);

/*
 * cpu_free - free what cpu_alloc() returned.
 * @ptr:  a CPU pointer; NULL and ZERO_SIZE_PTR are ignored.
 * @size: the size that it was allocated with (a size that rounds up to the
 *        same number of units passes).
 *
 * Whatever is wrong - a foreign, interior, misaligned, freed or instance
 * pointer, another size - is reported with pointer, size and reason, counted,
 * and changes nothing: also while the object waits in a magazine, and of two
 * frees at once one succeeds, the other is reported. (What was freed and is
 * allocated again is live: a free by its old owner cannot be told from that by its new
 * one.)
 *
 * Never fails, never waits, keeps errno. Thread-safe, fork-safe, async-signal-safe:
 * no system call but membarrier(), where an object was allocated on another CPU
 * whose objects have not been freed elsewhere before, and write() in a report.
 * Cost: on the CPU where the object was allocated about 45 instructions, none locked;
 * elsewhere one locked instruction, or membarrier(), which interrupts that CPU. Where
 * there are no restartable sequences a locked instruction, and the lock if it is free.
 */
void cpu_free(void *ptr, size_t size);

/*
 * cpu_alloc_bulk, cpu_free_bulk - @n objects of one size at once.
 * @ptrs: an array of @n CPU pointers, written or read. A free ignores NULL and
 *	  ZERO_SIZE_PTR in it.
 *
 * All or nothing, in one hold of the lock (but for waiting while pages go back to
 * the system). Side by side, as far as there is room. Past the per-CPU caches:
 * for many at once.
 *
 * cpu_alloc_bulk() returns 0, or -1 and errno as cpu_alloc() has it: then no object
 * was allocated, and the contents of @ptrs are undefined. cpu_free_bulk() returns 0, or
 * -1 and EINVAL: one of the pointers, which is reported as by cpu_free(), must not be
 * freed, and none was. It never waits, as cpu_free(). Thread-, signal- and fork-safe
 * as cpu_alloc() and cpu_free(). Cost: per object that of the map; with @n in the
 * thousands others wait for the lock meanwhile.
 */
int cpu_alloc_bulk(size_t size, gfp_t flags, size_t align, size_t n, void **ptrs);
int cpu_free_bulk(size_t size, size_t n, void **ptrs);

/*
 * cpu_alloc_trim - give all memory back that can be given back now.
 *
 * All magazines are emptied. Whole pages of the areas that hold no object, and pages of
 * the library's own metadata that describe only free memory, go back to the system on
 * all CPUs.
 * (cpu_alloc(GFP_KERNEL) does this in small steps for pages that stay free.)
 * A double free into memory that went back reads "not an object".
 *
 * Returns the bytes given back of one area. Thread-safe; not for signal
 * handlers. Cost: membarrier(), the time of freeing what magazines held, and a system call
 * per CPU for each run of free pages.
 */
size_t cpu_alloc_trim(void);

/*
 * cpu_alloc_setup - set options before the first use of the library.
 * @options: a comma-separated list, as in the environment variable CPU_ALLOC:
 *	percpu=SIZE	size of each area: 4K up to CPU_ALLOC_STRIDE - 1M; K, M
 *			and G are understood; rounded up to a page. Default 16M
 *	index=cpu|cid	areas by CPU number or by concurrency id
 *	rseq=auto|off	whether restartable sequences may be used
 *	on_error=warn|abort
 *			what a report of misuse does. Default: warn, 16 times
 *	thp=on|off	whether areas may use huge pages. Default: off
 *	cpus=N		raise the number of CPUs, up to 4096, to simulate a
 *			larger machine
 *
 * The call wins over the environment, item by item; a later call over an
 * earlier. Returns 0, or -1 and errno: EINVAL for a bad item, which is
 * reported by name (nothing of @options is taken then), or EBUSY after the
 * first use. Thread-safe; not for signal handlers.
 *
 * index= and rseq= change what the inline functions below read. A compiler may
 * read it early: make the call in a function that does not use them itself, and
 * before other threads do; or use the environment.
 */
int cpu_alloc_setup(const char *options);

/*
 * cpu_alloc_nr - the number of areas, the one for strays not counted: the
 * highest possible CPU number + 1, or what cpus= says. A number that no CPU
 * has, has an area that nobody writes. Constant once called. Async-signal-safe
 * after the first cpu_alloc().
 */
int cpu_alloc_nr(void);

/* Run the next statement for every index @i (an int, declared here), -1 first. */
#define cpu_alloc_for_each(i)                                                                      \
	for (int i = -1, cpu_alloc_end_##i = cpu_alloc_nr(); i < cpu_alloc_end_##i; i++)

/*
 * cpu_alloc_offset - where in each area the object @ptr lies, in bytes.
 * Returns SIZE_MAX if @ptr is not a CPU pointer. Async-signal-safe.
 */
size_t cpu_alloc_offset(const void *ptr);

/*
 * cpu_alloc_index - the number of the CPU that this thread runs on right now, or
 * with index=cid its concurrency id. Stale as soon as the thread can be moved.
 * Works on every thread; async-signal-safe. Two loads for a thread that
 * restartable sequences know; else it is made known, or getcpu() is called. With
 * index=cid a thread that cannot be made known has index -1. (Such a thread's
 * this_cpu operations go to -1 in any case.)
 *
 * __cpu_alloc_index() - the same in one load, for a thread that stays on its
 * CPU. With index=cid only for a thread that restartable sequences know.
 */
static inline int cpu_alloc_index(void);
static inline int __cpu_alloc_index(void);

/*
 * Statistics. Gauges tell how it is now, counters only rise. Bytes are those
 * of one area, in whole units, except where the text says "all".
 */
#define CPU_ALLOC_STATS(X)                                                                         \
	X(cpu_bytes, "live objects: a gauge")                                                      \
	X(peak_bytes, "the most that live and cached objects ever had")                            \
	X(top_bytes, "the highest byte ever in use, counted from the area's start")                \
	X(cached_bytes, "free objects in magazines, or waiting for the lock")                      \
	X(objects, "live objects")                                                                 \
	X(allocs, "successful allocations")                                                        \
	X(frees, "successful frees")                                                               \
	X(failed_einval, "allocations refused: bad alignment or flags")                            \
	X(failed_enomem, "allocations refused: no room")                                           \
	X(failed_eagain, "allocations refused: not now")                                           \
	X(misuses, "frees refused")                                                                \
	X(area_bytes, "limit of an area, percpu=")                                                 \
	X(committed_bytes, "of an area: writable at present")                                      \
	X(largest_free_bytes, "largest free run, growth up to area_bytes included")                \
	X(given_back_bytes, "given back to the system so far: a counter")                          \
	X(resident_bytes, "all areas: backed by physical memory; UINT64_MAX if not known")         \
	X(own_bytes, "all: address space of the library's metadata")

struct cpu_alloc_stats {
	uint64_t size; /* how many bytes of this structure were written */
#define CPU_ALLOC_STATS_MEMBER(name, text) uint64_t name;
	CPU_ALLOC_STATS(CPU_ALLOC_STATS_MEMBER)
#undef CPU_ALLOC_STATS_MEMBER
};

/*
 * cpu_alloc_stats - read the statistics.
 * @s: written, never read.
 * @n: sizeof(*s): at most that many bytes are written, so that the structure
 *     can grow from release to release.
 *
 * The figures belong to one moment, but for resident_bytes, which is read from
 * /proc/self/smaps afterwards. What a thread is just freeing counts as live. Returns 0, or
 * -1 and errno: EINVAL if @n does not hold the first member, EAGAIN as cpu_alloc() in a
 * child that cannot take the lock. Thread-safe; not for signal handlers.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* one name for both, as stat() has, in C++ too */
int cpu_alloc_stats(struct cpu_alloc_stats *s, size_t n);
#pragma GCC diagnostic pop

int cpu_alloc_index_slow(void);			 /* of a thread that is not known */
void cpu_alloc_free_set(void *ptr, size_t size); /* CPU_FREE of a cpu_set_t */

static inline int cpu_alloc_thread_int(ptrdiff_t offset)
{
	return *(const volatile int *)(cpu_alloc_thread_pointer() + offset);
}

static inline int __cpu_alloc_index(void)
{
	const int i = cpu_alloc_thread_int(cpu_alloc_index_offset);

	return __builtin_expect(i >= 0, 1) ? i : cpu_alloc_index_slow();
}

static inline int cpu_alloc_index(void)
{
	if (__builtin_expect(cpu_alloc_thread_int(cpu_alloc_known_offset) < 0, 0))
		return cpu_alloc_index_slow();
	return cpu_alloc_thread_int(cpu_alloc_index_offset);
}

/* The byte count of an array; SIZE_MAX, which no area holds, if there is none. */
static inline size_t cpu_alloc_array_size(size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? SIZE_MAX : bytes;
}

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

/*
 * CPU_ALLOC(type, flags)		allocate, typed and aligned for the type
 * CPU_ALLOC_ARRAY(type, n, flags)	an array of n
 * CPU_FREE(ptr)			free what CPU_ALLOC() gave
 * CPU_FREE_ARRAY(ptr, n)		free what CPU_ALLOC_ARRAY() gave
 *
 * CPU_ALLOC(n) with one argument, and CPU_FREE() of a cpu_set_t (or void) that
 * is no CPU pointer, remain what <sched.h> makes of them. A type whose name has
 * a comma, as in C++, needs a typedef.
 *
 * CPU_PTR(ptr, i)	the instance of index i, -1 (strays) to cpu_alloc_nr() - 1
 * THIS_CPU(ptr)	the instance of the running CPU, on any thread
 * __THIS_CPU(ptr)	the same in one load, see __cpu_alloc_index()
 *
 * Another CPU's instance may be read at any time and written before the object
 * is published. The address is computed as an integer, so that no compiler
 * draws conclusions from the bounds of the object behind the handle.
 */
#undef CPU_ALLOC
#undef CPU_FREE
#define CPU_ALLOC(...)                                                                             \
	__cpu_alloc_third(__VA_ARGS__, __cpu_alloc_type, __cpu_alloc_set, 0)(__VA_ARGS__)
#define __cpu_alloc_third(first, second, third, ...) third
#define __cpu_alloc_set(count) __sched_cpualloc(count)
#define __cpu_alloc_type(type, flags) __cpu_alloc_typed(type, sizeof(type), flags)
#define CPU_ALLOC_ARRAY(type, n, flags)                                                            \
	__cpu_alloc_typed(type, cpu_alloc_array_size((n), sizeof(type)), flags)
#define CPU_FREE_ARRAY(ptr, n)                                                                     \
	cpu_free(__cpu_alloc_untyped(ptr), cpu_alloc_array_size((n), sizeof(*(ptr))))

#define THIS_CPU(ptr) CPU_PTR(ptr, cpu_alloc_index())
#define __THIS_CPU(ptr) CPU_PTR(ptr, __cpu_alloc_index())

#define __cpu_alloc_address(ptr, i)                                                                \
	((uintptr_t)(ptr) + ((uintptr_t)(ptrdiff_t)(i) + 2) * CPU_ALLOC_STRIDE)

#ifdef __cplusplus

extern "C++" { /* for those who include this in extern "C" */

#define __cpu_alloc_typed(type, bytes, flags)                                                      \
	(static_cast<__typeof__(type) *>(cpu_alloc((bytes), (flags), __alignof__(type))))
#define __cpu_alloc_untyped(ptr) reinterpret_cast<void *>((uintptr_t)(ptr))
#define CPU_PTR(ptr, i) (__cpu_alloc_handle<__typeof__(ptr)>::at(__cpu_alloc_address(ptr, i)))
#define CPU_FREE(ptr) __cpu_alloc_handle<__typeof__(ptr)>::free((uintptr_t)(ptr))

/* By the type of a handle, bare of qualifiers and annotation. */
template <class P> struct __cpu_alloc_handle;
template <class T> struct __cpu_alloc_handle<T *> {
	static T *at(uintptr_t address)
	{
		return reinterpret_cast<T *>(address);
	}
	static void free(uintptr_t ptr)
	{
		cpu_free(reinterpret_cast<void *>(ptr), sizeof(T));
	}
};
template <class T> struct __cpu_alloc_handle<T *const> : __cpu_alloc_handle<T *> {
};
template <class T> struct __cpu_alloc_handle<T *volatile> : __cpu_alloc_handle<T *> {
};
template <class T, size_t n> struct __cpu_alloc_handle<T[n]> : __cpu_alloc_handle<T *> {
};
template <> struct __cpu_alloc_handle<decltype(nullptr)> : __cpu_alloc_handle<void *> {
};
template <> struct __cpu_alloc_handle<decltype(__null)> : __cpu_alloc_handle<void *> {
};
template <> inline void __cpu_alloc_handle<cpu_set_t *>::free(uintptr_t ptr)
{
	cpu_alloc_free_set(reinterpret_cast<void *>(ptr), sizeof(cpu_set_t));
}
template <> inline void __cpu_alloc_handle<void *>::free(uintptr_t ptr)
{
	cpu_alloc_free_set(reinterpret_cast<void *>(ptr), 1);
}

} /* extern "C++" */

#else

#define __cpu_alloc_typed(type, bytes, flags)                                                      \
	((__typeof__(type) __percpu * __cpu_alloc_force)                                           \
		 cpu_alloc((bytes), (flags), __alignof__(type)))
#define __cpu_alloc_untyped(ptr) ((void *)(uintptr_t)(ptr))
#ifdef __CHECKER__
#define CPU_PTR(ptr, i)                                                                            \
	((__typeof__(*(ptr)) __attribute__((force, address_space(0))) *)__cpu_alloc_address(ptr, i))
#else
#define CPU_PTR(ptr, i) ((__typeof__(1 ? (ptr) : (ptr)))__cpu_alloc_address(ptr, i))
#endif
#define CPU_FREE(ptr)                                                                              \
	_Generic((ptr), cpu_set_t *: cpu_alloc_free_set, void *: cpu_alloc_free_set,               \
		 default: cpu_free)(__cpu_alloc_untyped(ptr), sizeof(*(ptr)))

#endif /* __cplusplus */

#include "cpu_alloc/ops.h"

#endif /* CPU_ALLOC_H */
