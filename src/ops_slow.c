/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The operations of ops.h where one attempt came to nothing:
 *
 *	the thread was interrupted		some more attempts
 *	and again and again, by a debugger	atomic instructions on the area for strays
 *	the kernel does not know the thread	the same, unless we can register it
 *	there are no sections in this process	atomic instructions on getcpu()'s instance
 *
 * The third and the fourth must not meet: an atomic instruction on an instance
 * does not exclude a section of that CPU. The area for strays knows no sections, a
 * process without sections nothing else. Async-signal-safe, all of it.
 */
#include "cpu_alloc.h"
#include "index.h"

#include <sched.h>

/* More than any chain of interruptions that is not made on purpose: a section takes nanoseconds. */
#define ATTEMPTS 16

/* The instance that atomic instructions may work on. */
static void *atomic_instance(uintptr_t handle)
{
	int i = index_by_sections() ? -1 : sched_getcpu();

	if (i >= cpu_alloc_nr()) /* the system hid how many CPUs there can be */
		i = -1;
	return (void *)__cpu_alloc_address(handle, i);
}

/*
 * Repeat an attempt, an expression, for as long as it makes sense. Whoever built the
 * library for ThreadSanitizer has no sections.
 */
#if CPU_ALLOC_SECTIONS
#define SOME_ATTEMPT_SUCCEEDS(attempt)                                                             \
	({                                                                                         \
		int left = index_register_thread() ? ATTEMPTS : 0;                                 \
                                                                                                   \
		while (left > 0 && !(attempt))                                                     \
			left--;                                                                    \
		left > 0;                                                                          \
	})
#else
#define SOME_ATTEMPT_SUCCEEDS(attempt) false
#endif

uint64_t cpu_alloc_op_slow(enum cpu_alloc_op op, size_t size, uintptr_t handle, uint64_t value,
			   uint64_t expected)
{
	uint64_t result = expected;

	if (SOME_ATTEMPT_SUCCEEDS(cpu_alloc_attempt(op, size, handle, value, &result)))
		return result;
	return cpu_alloc_atomic(op, size, atomic_instance(handle), value, expected);
}

#if CPU_ALLOC_HAS_128

static cpu_alloc_u128 pair_of(uint64_t first, uint64_t second)
{
	return (cpu_alloc_u128)second << 64 | first;
}

void cpu_alloc_add2_slow(uintptr_t handle, uint64_t first, uint64_t second)
{
	cpu_alloc_u128 old = 0, new, *at;

	if (SOME_ATTEMPT_SUCCEEDS(cpu_alloc_try_add2(handle, first, second)))
		return;
	at = atomic_instance(handle);
	do {
		new = pair_of((uint64_t)old + first, (uint64_t)(old >> 64) + second);
	} while (!cpu_alloc_atomic_cmpxchg_128(at, &old, new));
}

/* Reading is an exchange for the same: no plain load of 16 bytes is promised to be whole. */
void cpu_alloc_read2_slow(uintptr_t handle, uint64_t *first, uint64_t *second)
{
	cpu_alloc_u128 old = 0;

	if (SOME_ATTEMPT_SUCCEEDS(cpu_alloc_try_read2(handle, first, second)))
		return;
	cpu_alloc_atomic_cmpxchg_128(atomic_instance(handle), &old, old);
	*first = (uint64_t)old;
	*second = (uint64_t)(old >> 64);
}

void cpu_alloc_cmpxchg_128_slow(uintptr_t handle, cpu_alloc_u128 *expected, cpu_alloc_u128 value)
{
	if (!SOME_ATTEMPT_SUCCEEDS(cpu_alloc_try_cmpxchg_128(handle, expected, value)))
		cpu_alloc_atomic_cmpxchg_128(atomic_instance(handle), expected, value);
}

#endif

void cpu_alloc_rseq_clear(void)
{
	const char *known = cpu_alloc_thread_pointer() + cpu_alloc_known_offset;

	if (cpu_alloc_known_offset == 0) /* too early: nothing is decided */
		return;
	*(volatile uint64_t *)(uintptr_t)(known + 4) = 0;
}
