/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * aarch64: what cpu_alloc.h needs of the architecture, and one attempt at each
 * operation of ops.h, which tells in pseudo-code what they all do.
 */
#ifndef CPU_ALLOC_ARCH_AARCH64_H
#define CPU_ALLOC_ARCH_AARCH64_H

#include <stdbool.h>

/*
 * The distance between two CPUs' areas: part of the ABI. As on x86-64, but in
 * pages of 64 KiB, the largest of the architecture.
 */
#define CPU_ALLOC_STRIDE (((size_t)256 << 20) + ((size_t)576 << 10))

static inline const char *cpu_alloc_thread_pointer(void)
{
	return (const char *)__builtin_thread_pointer();
}

#if CPU_ALLOC_SECTIONS

/* One instruction a line: */
/* clang-format off */

/*
 * The frame of a critical section, up to the address of the instance in x9.
 * Labels: 0 all anew, 1 start, 2 end (the user's), 3 abort.
 *
 * %[known] is the address of cpu_id; rseq_cs follows 4 bytes behind. The branch
 * to the stub is of the far kind: the stub is in another section. If that is very
 * far, linkers put a veneer in between, which may use x16 and x17.
 */
#define CPU_ALLOC_SECTION(name, on_abort)                                      \
	CPU_ALLOC_DESCRIPTOR(name, ".inst 0xd428bc00", on_abort)               \
	"0:\n\t"                                                               \
	"adrp x9, cpu_alloc_rseq_cs." name ".%=\n\t"                           \
	"add x9, x9, :lo12:cpu_alloc_rseq_cs." name ".%=\n\t"                  \
	"stur x9, [%[known], #4]\n"                                            \
	"1:\n\t"                                                               \
	"ldr w9, [%[known]]\n\t"                                               \
	"tbz w9, #31, 5f\n\t"                                                  \
	"b 3b\n"                                                               \
	"5:\n\t"                                                               \
	"ldr w9, [%[index]]\n\t"                                               \
	"smaddl x9, w9, %w[stride], %[area_0]\n\t"

#define CPU_ALLOC_SECTION_INPUTS                                               \
	[known] "r"(cpu_alloc_thread_pointer() + cpu_alloc_known_offset),      \
	[index] "r"(cpu_alloc_thread_pointer() + cpu_alloc_index_offset),      \
	[area_0] "r"(handle + 2 * CPU_ALLOC_STRIDE),                           \
	[stride] "r"((int)CPU_ALLOC_STRIDE)

/* Without a result, an attempt that came to nothing jumps to the label `failed`. */
#define CPU_ALLOC_GOTO "b %l[failed]"

/* With a result, a register tells: gcc before 11 has no jumps out of asm with results. */
#define CPU_ALLOC_CLEAR "mov %w[failed], #0\n\t"
#define CPU_ALLOC_SET "mov %w[failed], #1\n\tb 4f"

/* @r: w or x, the kind of register for the value; @size: of loads and stores. */
#define CPU_ALLOC_TRY_WRITE(width, size, r)                                    \
__cpu_alloc_inline bool cpu_alloc_try_write_##width(uintptr_t handle,          \
						    uint##width##_t value)     \
{                                                                              \
	__asm__ goto(CPU_ALLOC_SECTION("write." #width, CPU_ALLOC_GOTO)        \
		     "str" size " %" r "[value], [x9]\n2:"                     \
		     :                                                         \
		     : CPU_ALLOC_SECTION_INPUTS, [value] "rZ"(value)           \
		     : "x9", "x16", "x17", "memory"                                          \
		     : failed);                                                \
	return true;                                                           \
failed:                                                                        \
	return false;                                                          \
}

#define CPU_ALLOC_TRY_UPDATE(name, width, operation, size, r)                  \
__cpu_alloc_inline bool cpu_alloc_try_##name##_##width(uintptr_t handle,       \
						       uint##width##_t value)  \
{                                                                              \
	__asm__ goto(CPU_ALLOC_SECTION(#name "." #width, CPU_ALLOC_GOTO)       \
		     "ldr" size " " r "10, [x9]\n\t"                           \
		     operation " " r "10, " r "10, %" r "[value]\n\t"          \
		     "str" size " " r "10, [x9]\n2:"                           \
		     :                                                         \
		     : CPU_ALLOC_SECTION_INPUTS, [value] "r"(value)            \
		     : "x9", "x16", "x17", "x10", "memory"                                   \
		     : failed);                                                \
	return true;                                                           \
failed:                                                                        \
	return false;                                                          \
}

#define CPU_ALLOC_TRY_READ(width, size, r)                                     \
__cpu_alloc_inline bool cpu_alloc_try_read_##width(uintptr_t handle,           \
						   uint##width##_t *value)     \
{                                                                              \
	bool failed;                                                           \
                                                                               \
	__asm__ volatile(CPU_ALLOC_CLEAR                                       \
			 CPU_ALLOC_SECTION("read." #width, CPU_ALLOC_SET)      \
			 "ldr" size " %" r "[old], [x9]\n2:\n4:"               \
			 : [old] "=r"(*value), [failed] "=&r"(failed)          \
			 : CPU_ALLOC_SECTION_INPUTS                            \
			 : "x9", "x16", "x17", "memory");                                    \
	return !failed;                                                        \
}

/* @update: from the old value, in %[old], make the new one in register @result. */
#define CPU_ALLOC_TRY_EXCHANGE(name, width, update, result, size, r)           \
__cpu_alloc_inline bool cpu_alloc_try_##name##_##width(uintptr_t handle,       \
						       uint##width##_t *value) \
{                                                                              \
	uint##width##_t old;                                                   \
	bool failed;                                                           \
                                                                               \
	__asm__ volatile(CPU_ALLOC_CLEAR                                       \
			 CPU_ALLOC_SECTION(#name "." #width, CPU_ALLOC_SET)    \
			 "ldr" size " %" r "[old], [x9]\n\t"                   \
			 update                                                \
			 "str" size " " result ", [x9]\n2:\n4:"                \
			 : [old] "=&r"(old), [failed] "=&r"(failed)            \
			 : CPU_ALLOC_SECTION_INPUTS, [value] "r"(*value)       \
			 : "x9", "x16", "x17", "x10", "memory");                             \
	*value = old;                                                          \
	return !failed;                                                        \
}

/* Other than expected: out, without a commit. @extension: of values below 32 bits. */
#define CPU_ALLOC_TRY_CMPXCHG(width, extension, size, r)                       \
__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_##width(uintptr_t handle,        \
						      uint##width##_t *expected, \
						      uint##width##_t value)   \
{                                                                              \
	uint##width##_t old;                                                   \
	bool failed;                                                           \
                                                                               \
	__asm__ volatile(CPU_ALLOC_CLEAR                                       \
			 CPU_ALLOC_SECTION("cmpxchg." #width, CPU_ALLOC_SET)   \
			 "ldr" size " %" r "[old], [x9]\n\t"                   \
			 "cmp %" r "[old], %" r "[expected]" extension "\n\t"  \
			 "b.ne 4f\n\t"                                         \
			 "str" size " %" r "[value], [x9]\n2:\n4:"             \
			 : [old] "=&r"(old), [failed] "=&r"(failed)            \
			 : CPU_ALLOC_SECTION_INPUTS, [expected] "r"(*expected), \
			   [value] "r"(value)                                  \
			 : "x9", "x16", "x17", "memory", "cc");                              \
	*expected = old;                                                       \
	return !failed;                                                        \
}

#define CPU_ALLOC_TRY_ALL(width, size, r, extension)                           \
CPU_ALLOC_TRY_READ(width, size, r)                                             \
CPU_ALLOC_TRY_WRITE(width, size, r)                                            \
CPU_ALLOC_TRY_UPDATE(add, width, "add", size, r)                               \
CPU_ALLOC_TRY_UPDATE(and, width, "and", size, r)                               \
CPU_ALLOC_TRY_UPDATE(or, width, "orr", size, r)                                \
CPU_ALLOC_TRY_EXCHANGE(xadd, width, "add " r "10, %" r "[old], %" r "[value]\n\t", \
		       r "10", size, r)                                        \
CPU_ALLOC_TRY_EXCHANGE(xchg, width, "", "%" r "[value]", size, r)              \
CPU_ALLOC_TRY_CMPXCHG(width, extension, size, r)

CPU_ALLOC_TRY_ALL(8, "b", "w", ", uxtb")
CPU_ALLOC_TRY_ALL(16, "h", "w", ", uxth")
CPU_ALLOC_TRY_ALL(32, "", "w", "")
CPU_ALLOC_TRY_ALL(64, "", "x", "")

/*
 * Two of 64 bits. A plain pair store is one step only with HWCAP_USCAT (elsewhere
 * an interrupt may come between its halves), the exclusive one everywhere.
 * Where the exclusive store fails nothing is stored, and all begins anew.
 */
__cpu_alloc_inline bool cpu_alloc_try_add2(uintptr_t handle, uint64_t first, uint64_t second)
{
	__asm__ goto(CPU_ALLOC_SECTION("add2", CPU_ALLOC_GOTO)
		     "ldxp x10, x11, [x9]\n\t"
		     "add x10, x10, %[first]\n\t"
		     "add x11, x11, %[second]\n\t"
		     "stxp w12, x10, x11, [x9]\n"
		     "2:\n\t"
		     "cbnz w12, 0b"
		     :
		     : CPU_ALLOC_SECTION_INPUTS, [first] "r"(first), [second] "r"(second)
		     : "x9", "x10", "x11", "x12", "x16", "x17", "memory"
		     : failed);
	return true;
failed:
	return false;
}

/* An interrupt may come between the halves of the load; then it is not the last instruction. */
__cpu_alloc_inline bool cpu_alloc_try_read2(uintptr_t handle, uint64_t *first, uint64_t *second)
{
	bool failed;

	__asm__ volatile(CPU_ALLOC_CLEAR
			 CPU_ALLOC_SECTION("read2", CPU_ALLOC_SET)
			 "ldp %[first], %[second], [x9]\n2:\n4:"
			 : [first] "=&r"(*first), [second] "=&r"(*second), [failed] "=&r"(failed)
			 : CPU_ALLOC_SECTION_INPUTS
			 : "x9", "x16", "x17", "memory");
	return !failed;
}

__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_128(uintptr_t handle, cpu_alloc_u128 *expected,
						  cpu_alloc_u128 value)
{
	const uint64_t expected_low = (uint64_t)*expected;
	const uint64_t expected_high = (uint64_t)(*expected >> 64);
	uint64_t low, high;
	bool failed;

	__asm__ volatile(CPU_ALLOC_CLEAR
			 CPU_ALLOC_SECTION("cmpxchg.128", CPU_ALLOC_SET)
			 "ldxp %[low], %[high], [x9]\n\t"
			 "cmp %[low], %[expected_low]\n\t"
			 "ccmp %[high], %[expected_high], #0, eq\n\t"
			 "b.ne 4f\n\t"
			 "stxp w10, %[value_low], %[value_high], [x9]\n"
			 "2:\n\t"
			 "cbnz w10, 0b\n"
			 "4:"
			 : [low] "=&r"(low), [high] "=&r"(high), [failed] "=&r"(failed)
			 : CPU_ALLOC_SECTION_INPUTS, [expected_low] "r"(expected_low),
			   [expected_high] "r"(expected_high), [value_low] "r"((uint64_t)value),
			   [value_high] "r"((uint64_t)(value >> 64))
			 : "x9", "x10", "x16", "x17", "memory", "cc");
	if (!failed)
		*expected = (cpu_alloc_u128)high << 64 | low;
	return !failed;
}

/* clang-format on */

#endif /* CPU_ALLOC_SECTIONS */

/*
 * 16 bytes at @at at once; like __atomic_compare_exchange_n. What was loaded is
 * one value only if the store succeeds: so it stores in any case.
 */
#define CPU_ALLOC_HAS_128 1
static inline bool cpu_alloc_atomic_cmpxchg_128(void *at, cpu_alloc_u128 *expected,
						cpu_alloc_u128 value)
{
	const uint64_t expected_low = (uint64_t)*expected;
	const uint64_t expected_high = (uint64_t)(*expected >> 64);
	uint64_t low, high;

	__asm__ volatile("0:\n\t"
			 "ldxp %[low], %[high], [%[at]]\n\t"
			 "cmp %[low], %[expected_low]\n\t"
			 "ccmp %[high], %[expected_high], #0, eq\n\t"
			 "csel x9, %[value_low], %[low], eq\n\t"
			 "csel x10, %[value_high], %[high], eq\n\t"
			 "stxp w11, x9, x10, [%[at]]\n\t"
			 "cbnz w11, 0b"
			 : [low] "=&r"(low), [high] "=&r"(high)
			 : [at] "r"(at), [expected_low] "r"(expected_low),
			   [expected_high] "r"(expected_high), [value_low] "r"((uint64_t)value),
			   [value_high] "r"((uint64_t)(value >> 64))
			 : "x9", "x10", "x11", "memory", "cc");
	*expected = (cpu_alloc_u128)high << 64 | low;
	return low == expected_low && high == expected_high;
}

#endif
