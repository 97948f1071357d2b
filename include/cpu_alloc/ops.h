/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Operations on this CPU's instance, each in one step.
 *
 *	struct hits { uint64_t requests, bytes; };
 *	struct hits *hits = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
 *
 *	this_cpu_inc(hits->requests);		// any thread, any signal handler
 *	this_cpu_add(hits->bytes, n);
 *
 *	printf("%" PRIu64 " bytes\n", cpu_sum(hits->bytes));
 *
 * They take an lvalue that is reached through a CPU pointer: an integer (also
 * bool, an enum) or a pointer of 1, 2, 4 or 8 bytes, naturally aligned. It is
 * never evaluated, only its address is; other arguments are, once, before the step.
 * The names and the arithmetic are those of the Linux kernel.
 *
 *	this_cpu_read(v)			v
 *	this_cpu_write(v, x)			v = x
 *	this_cpu_add(v, n)			v += n
 *	this_cpu_sub(v, n)			v -= n
 *	this_cpu_inc(v)				v += 1
 *	this_cpu_dec(v)				v -= 1
 *	this_cpu_and(v, x)			v &= x
 *	this_cpu_or(v, x)			v |= x
 *	this_cpu_add_return(v, n)		v += n, and the new value
 *	this_cpu_sub_return(v, n)		v -= n, and the new value
 *	this_cpu_inc_return(v)			v += 1, and the new value
 *	this_cpu_dec_return(v)			v -= 1, and the new value
 *	this_cpu_xchg(v, x)			v = x, and the old value
 *	this_cpu_cmpxchg(v, old, x)		if (v == old) v = x; and the old value
 *	this_cpu_try_cmpxchg(v, &old, x)	if (v == old) v = x, and true;
 *						else old = v, and false
 *
 * Operands are converted to the type of v first, as an assignment would, and
 * sums wrap in that type. Results have the type of v.
 *
 * On 16 bytes, aligned to 16:
 *
 *	this_cpu_add2(v, a, b)			two adjacent counters of 64 bits:
 *						first += a, second += b
 *	this_cpu_read2(v, &a, &b)		both, as no add2 can part them
 *	this_cpu_cmpxchg128(v, old, x)		as cmpxchg, on [unsigned] __int128
 *
 * What may be relied on
 *
 *  1. One step. Towards everything else that runs on the same CPU (signal
 *     handlers of any thread, threads that it is preempted by or moved in front
 *     of) an operation happens as a whole, or not yet. Nothing is lost, nothing
 *     is done twice, nothing waits.
 *  2. It never fails. A thread that cannot work in this way (see below) works
 *     on an instance where atomic instructions keep the same promise; it may be
 *     that of a CPU which the thread has just left.
 *  3. No ordering. Towards other CPUs an operation orders nothing, not even
 *     itself among others of the same thread.
 *  4. A reader on another CPU (CPU_PTR(), cpu_sum()) sees each integer whole, old
 *     or new. It may see the two of add2 apart.
 *  5. Nobody may write another CPU's instance, nor this CPU's by other means
 *     than these operations, while operations may run: the write would be lost.
 *     So there is no remote reset. See cpu_sum() for exact differences.
 *
 * Signal-safe. Fork-safe: the child has a copy of all instances. Limits: a vfork()
 * child and a thread made by raw clone() that shares its creator's thread pointer
 * must not use them (the kernel does not know such a thread, but its memory says so).
 * Code in a plugin: see cpu_alloc_rseq_clear().
 *
 * __this_cpu_*(): the same, for a caller who excludes others (stays on its CPU,
 * no signal handler touches v): plain loads and stores. With index=cid only for a
 * thread that restartable sequences know.
 *
 * How it is done
 *
 * By a restartable sequence, one attempt of which is in arch/ for each
 * operation and width:
 *
 *	attempt:
 *		rseq_cs = descriptor {start, end, abort}
 *	start:	if (cpu_id < 0)			// a thread that the kernel does not know
 *			return false
 *		at = handle + (index + 2) * stride
 *		new = f(*at)			// cmpxchg: if (*at != old) return true
 *		*at = new			// the commit: the last instruction
 *	end:	return true
 *	abort:	return false			// nothing has happened
 *
 * If the thread is preempted, moved, or gets a signal anywhere from start to
 * before end, the kernel makes it go on at abort. cpu_id and index are read inside:
 * so they are this CPU's until the commit. rseq_cs need not be cleared.
 *
 * If an attempt fails, cpu_alloc_op_slow() tries some more. A thread that goes on
 * being aborted (one that a debugger steps), or that the kernel does not know,
 * works by atomic instructions on the area for strays, -1, which no section ever
 * touches. In a process without restartable sequences everybody works by atomic
 * instructions on the instance of getcpu()'s CPU; cpu_alloc_path() tells.
 *
 * Cost: an addition is 9 instructions on x86-64, 10 on aarch64, beside the loading
 * of two constants of the library, which loops hoist; with a result some more.
 *
 * Included by cpu_alloc.h.
 */
#ifndef CPU_ALLOC_OPS_H
#define CPU_ALLOC_OPS_H

#include "../cpu_alloc.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * cpu_sum(v) - the sum of v over all indices, that for strays too. Has v's type,
 * and wraps in it: as differences do not mind.
 *
 * It is not one moment: an update that runs meanwhile counts or does not. What was
 * complete before, in the order of this thread, counts. There is no reset; for
 * exact rates keep the last sum:
 *
 *	uint64_t now = cpu_sum(hits->bytes);
 *	rate = now - last, last = now;	// each update is in one difference
 *
 * cpu_sum_array(p, n, sums) - the same for each of @n counters behind the CPU
 * pointer @p, into sums[0] to sums[n - 1], which have the same type.
 *
 * Neither makes a page resident. Thread-safe, signal-safe. Cost: one line of
 * cache for each CPU; the array runs at the speed of memory.
 */
uint8_t cpu_sum_8(const uint8_t *ptr);
uint16_t cpu_sum_16(const uint16_t *ptr);
uint32_t cpu_sum_32(const uint32_t *ptr);
uint64_t cpu_sum_64(const uint64_t *ptr);
void cpu_sum_array_8(const uint8_t *ptr, size_t n, uint8_t *sums);
void cpu_sum_array_16(const uint16_t *ptr, size_t n, uint16_t *sums);
void cpu_sum_array_32(const uint32_t *ptr, size_t n, uint32_t *sums);
void cpu_sum_array_64(const uint64_t *ptr, size_t n, uint64_t *sums);

/*
 * cpu_fence - wait until what runs on an index now is over.
 * @i: an index, -1 to cpu_alloc_nr() - 1.
 *
 * Afterwards every attempt at an operation that was running on that index has
 * been committed, and is visible to the caller, or aborted. What the caller
 * wrote before is seen by attempts that begin after. (Where there are no
 * restartable sequences, and on the area for strays, it orders memory, but an
 * operation that has begun may still take its one atomic step.) With index=cid
 * the kernel cannot name a CPU: it is cpu_fence_all() then.
 *
 * cpu_fence_all() - the same for all of them.
 *
 * Returns 0, or -1 and errno: EINVAL for an index that there is not, or where
 * membarrier() cannot fence restartable sequences (before Linux 5.10); ENOSYS or
 * EPERM if the system refuses it. Thread-safe, signal-safe. Cost: a
 * system call, and an interrupt of each CPU concerned that runs this process; the
 * first call also registers the process, which may take milliseconds.
 */
int cpu_fence(int i);
int cpu_fence_all(void);

/*
 * cpu_alloc_path - how operations work in this process, in words that begin
 * with "rseq" or with "atomic"; then the reason. Constant once something was
 * allocated. Signal-safe.
 */
const char *cpu_alloc_path(void);

/*
 * cpu_alloc_rseq_clear - make the kernel forget the last section of this thread.
 *
 * The kernel may look at the descriptor of a section at any time until the
 * thread has entered another one, or was interrupted outside. A library that
 * can be unloaded while threads live on that ran its inline operations has
 * each of them call this before it is unloaded, or is linked with -z nodelete, or
 * calls the real symbols below. One that contains this library as an archive must
 * be linked with -z nodelete: its thread-local memory may be registered with the
 * kernel. Signal-safe. One store.
 */
void cpu_alloc_rseq_clear(void);

/* What the operations are made of: each is one of these. */
enum cpu_alloc_op {
	CPU_ALLOC_OP_READ,
	CPU_ALLOC_OP_WRITE,
	CPU_ALLOC_OP_ADD,
	CPU_ALLOC_OP_AND,
	CPU_ALLOC_OP_OR,
	CPU_ALLOC_OP_XADD, /* an addition that gives the old value */
	CPU_ALLOC_OP_XCHG,
	CPU_ALLOC_OP_CMPXCHG,
};

/* For the inline functions, when one attempt came to nothing. The first returns the old value. */
__attribute__((cold)) uint64_t cpu_alloc_op_slow(enum cpu_alloc_op op, size_t size,
						 uintptr_t handle, uint64_t value,
						 uint64_t expected);
__attribute__((cold)) void cpu_alloc_add2_slow(uintptr_t handle, uint64_t first, uint64_t second);
__attribute__((cold)) void cpu_alloc_read2_slow(uintptr_t handle, uint64_t *first,
						uint64_t *second);
__attribute__((cold)) void cpu_alloc_cmpxchg_128_slow(uintptr_t handle, cpu_alloc_u128 *expected,
						      cpu_alloc_u128 value);

/*
 * The real symbols: every operation as a function, for other languages. They
 * take CPU pointers; the number is the width in bits. Signed values are cast.
 */
#define CPU_ALLOC_OPS(X, width, type)                                                              \
	X(type, read, width, (type * ptr))                                                         \
	X(void, write, width, (type * ptr, type value))                                            \
	X(void, add, width, (type * ptr, type value))                                              \
	X(void, sub, width, (type * ptr, type value))                                              \
	X(void, inc, width, (type * ptr))                                                          \
	X(void, dec, width, (type * ptr))                                                          \
	X(void, and, width, (type * ptr, type value))                                              \
	X(void, or, width, (type * ptr, type value))                                               \
	X(type, add_return, width, (type * ptr, type value))                                       \
	X(type, sub_return, width, (type * ptr, type value))                                       \
	X(type, inc_return, width, (type * ptr))                                                   \
	X(type, dec_return, width, (type * ptr))                                                   \
	X(type, xchg, width, (type * ptr, type value))                                             \
	X(type, cmpxchg, width, (type * ptr, type old, type value))                                \
	X(bool, try_cmpxchg, width, (type * ptr, type * old, type value))
#define CPU_ALLOC_DECLARE_OP(result, name, width, arguments)                                       \
	result this_cpu_##name##_##width arguments;
CPU_ALLOC_OPS(CPU_ALLOC_DECLARE_OP, 8, uint8_t)
CPU_ALLOC_OPS(CPU_ALLOC_DECLARE_OP, 16, uint16_t)
CPU_ALLOC_OPS(CPU_ALLOC_DECLARE_OP, 32, uint32_t)
CPU_ALLOC_OPS(CPU_ALLOC_DECLARE_OP, 64, uint64_t)
#undef CPU_ALLOC_DECLARE_OP
#if CPU_ALLOC_HAS_128
void this_cpu_add2_64(uint64_t *pair, uint64_t first, uint64_t second);
void this_cpu_read2_64(uint64_t *pair, uint64_t *first, uint64_t *second);
cpu_alloc_u128 this_cpu_cmpxchg_128(cpu_alloc_u128 *ptr, cpu_alloc_u128 old, cpu_alloc_u128 value);
#endif

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#include "inline.h"

#define this_cpu_read(v) __cpu_alloc_value(v, __cpu_alloc_do(cpu_alloc_op, READ, v, 0))
#define this_cpu_write(v, x) ((void)__cpu_alloc_do(cpu_alloc_op, WRITE, v, __cpu_alloc_bits(v, x)))
#define this_cpu_add(v, n) __cpu_alloc_add(cpu_alloc_op, v, __cpu_alloc_bits(v, n))
#define this_cpu_sub(v, n) __cpu_alloc_add(cpu_alloc_op, v, 0 - __cpu_alloc_bits(v, n))
#define this_cpu_inc(v) __cpu_alloc_add(cpu_alloc_op, v, 1)
#define this_cpu_dec(v) __cpu_alloc_add(cpu_alloc_op, v, UINT64_MAX)
#define this_cpu_and(v, x) ((void)__cpu_alloc_do(cpu_alloc_op, AND, v, __cpu_alloc_bits(v, x)))
#define this_cpu_or(v, x) ((void)__cpu_alloc_do(cpu_alloc_op, OR, v, __cpu_alloc_bits(v, x)))
#define this_cpu_add_return(v, n) __cpu_alloc_add_return(cpu_alloc_op, v, __cpu_alloc_bits(v, n))
#define this_cpu_sub_return(v, n)                                                                  \
	__cpu_alloc_add_return(cpu_alloc_op, v, 0 - __cpu_alloc_bits(v, n))
#define this_cpu_inc_return(v) __cpu_alloc_add_return(cpu_alloc_op, v, 1)
#define this_cpu_dec_return(v) __cpu_alloc_add_return(cpu_alloc_op, v, UINT64_MAX)
#define this_cpu_xchg(v, x)                                                                        \
	__cpu_alloc_value(v, __cpu_alloc_do(cpu_alloc_op, XCHG, v, __cpu_alloc_bits(v, x)))
#define this_cpu_cmpxchg(v, old, x) __cpu_alloc_cmpxchg(cpu_alloc_op, v, old, x)
#define this_cpu_try_cmpxchg(v, old, x) __cpu_alloc_try_cmpxchg(cpu_alloc_op, v, old, x)

#define __this_cpu_read(v) __cpu_alloc_value(v, __cpu_alloc_do(cpu_alloc_plain, READ, v, 0))
#define __this_cpu_write(v, x)                                                                     \
	((void)__cpu_alloc_do(cpu_alloc_plain, WRITE, v, __cpu_alloc_bits(v, x)))
#define __this_cpu_add(v, n) __cpu_alloc_add(cpu_alloc_plain, v, __cpu_alloc_bits(v, n))
#define __this_cpu_sub(v, n) __cpu_alloc_add(cpu_alloc_plain, v, 0 - __cpu_alloc_bits(v, n))
#define __this_cpu_inc(v) __cpu_alloc_add(cpu_alloc_plain, v, 1)
#define __this_cpu_dec(v) __cpu_alloc_add(cpu_alloc_plain, v, UINT64_MAX)
#define __this_cpu_and(v, x) ((void)__cpu_alloc_do(cpu_alloc_plain, AND, v, __cpu_alloc_bits(v, x)))
#define __this_cpu_or(v, x) ((void)__cpu_alloc_do(cpu_alloc_plain, OR, v, __cpu_alloc_bits(v, x)))
#define __this_cpu_add_return(v, n)                                                                \
	__cpu_alloc_add_return(cpu_alloc_plain, v, __cpu_alloc_bits(v, n))
#define __this_cpu_sub_return(v, n)                                                                \
	__cpu_alloc_add_return(cpu_alloc_plain, v, 0 - __cpu_alloc_bits(v, n))
#define __this_cpu_inc_return(v) __cpu_alloc_add_return(cpu_alloc_plain, v, 1)
#define __this_cpu_dec_return(v) __cpu_alloc_add_return(cpu_alloc_plain, v, UINT64_MAX)
#define __this_cpu_xchg(v, x)                                                                      \
	__cpu_alloc_value(v, __cpu_alloc_do(cpu_alloc_plain, XCHG, v, __cpu_alloc_bits(v, x)))
#define __this_cpu_cmpxchg(v, old, x) __cpu_alloc_cmpxchg(cpu_alloc_plain, v, old, x)
#define __this_cpu_try_cmpxchg(v, old, x) __cpu_alloc_try_cmpxchg(cpu_alloc_plain, v, old, x)

#if CPU_ALLOC_HAS_128
#define this_cpu_add2(v, a, b)                                                                     \
	cpu_alloc_op_add2(__cpu_alloc_pair_at(v), (uint64_t)(a), (uint64_t)(b))
#define this_cpu_read2(v, a, b) cpu_alloc_op_read2(__cpu_alloc_pair_at(v), a, b)
#define this_cpu_cmpxchg128(v, old, x)                                                             \
	((__typeof__(v))cpu_alloc_op_cmpxchg_128(__cpu_alloc_pair_at(v), (cpu_alloc_u128)(old),    \
						 (cpu_alloc_u128)(x)))
#endif

#define cpu_sum(v)                                                                                 \
	__cpu_alloc_value(v, cpu_alloc_sum(__cpu_alloc_number_size(v), __cpu_alloc_at(v)))
#define cpu_sum_array(p, n, sums)                                                                  \
	cpu_alloc_sum_array(__cpu_alloc_number_size(*(p)), (uintptr_t)(p), n,                      \
			    (void *)__cpu_alloc_same(*(p), sums))

#endif /* CPU_ALLOC_OPS_H */
