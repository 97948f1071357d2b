/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * x86-64: what cpu_alloc.h needs of the architecture, and one attempt at each
 * operation of ops.h, which tells in pseudo-code what they all do.
 */
#ifndef CPU_ALLOC_ARCH_X86_64_H
#define CPU_ALLOC_ARCH_X86_64_H

#include <stdbool.h>

#ifdef __ILP32__
#error "cpu_alloc reserves address space for all CPUs: it needs 64-bit pointers"
#endif

/*
 * The distance between two CPUs' areas: part of the ABI. 256 MiB and 65 pages:
 * an odd number of pages, so that the instances of one object lie in different
 * cache and TLB sets. docs/design.md tells how it was chosen.
 */
#define CPU_ALLOC_STRIDE (((size_t)256 << 20) + ((size_t)260 << 10))

static inline const char *cpu_alloc_thread_pointer(void)
{
	const char *tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

#if CPU_ALLOC_SECTIONS

/* One instruction a line: */
/* clang-format off */

/*
 * The frame of a critical section, up to the address of the instance, without
 * the two strides, in rax. Labels: 1 start, 2 end (the user's), 3 abort. The
 * signature is dressed as an instruction (ud1) for disassemblers.
 *
 * %[known] leads to cpu_id; rseq_cs follows 4 bytes behind. An index that is known
 * is not negative, so it needs no sign: plain loads of 32 bits take fewer slots
 * in some processors than an extension of the sign or a comparison with memory.
 */
#define CPU_ALLOC_SECTION(name, on_abort)                                      \
	CPU_ALLOC_DESCRIPTOR(name, ".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053", \
			     on_abort)                                         \
	"\tleaq cpu_alloc_rseq_cs." name ".%=(%%rip), %%rax\n\t"                 \
	"movq %%rax, %%fs:4(%[known])\n"                                       \
	"1:\n\t"                                                               \
	"movl %%fs:(%[known]), %%eax\n\t"                                      \
	"testl %%eax, %%eax\n\t"                                               \
	"js 3b\n\t"                                                            \
	"movl %%fs:(%[index]), %%eax\n\t"                                      \
	"imulq %[stride], %%rax, %%rax\n\t"                                    \
	"addq %[handle], %%rax\n\t"

#define CPU_ALLOC_SECTION_INPUTS                                               \
	[known] "r"(cpu_alloc_known_offset),                                   \
	[index] "r"(cpu_alloc_index_offset),                                   \
	[handle] "r"(handle),                                                  \
	[stride] "i"(CPU_ALLOC_STRIDE),                                        \
	[strides] "i"(2 * CPU_ALLOC_STRIDE),                                   \
	[strides_8] "i"(2 * CPU_ALLOC_STRIDE + 8)

/* Without a result, an attempt that came to nothing jumps to the label `failed`. */
#define CPU_ALLOC_GOTO "jmp %l[failed]"

/*
 * With a result, the address is one too: 0 after an attempt that came to nothing.
 * (gcc before 11 has no jumps out of asm with results, and later ones had faults there.)
 */
#define CPU_ALLOC_NOWHERE "xorl %%eax, %%eax\n\tjmp 2f"

/* @operation: one instruction from %[value] to memory. */
#define CPU_ALLOC_TRY_TO_MEMORY(name, width, operation, r, constraint)         \
__cpu_alloc_inline bool cpu_alloc_try_##name##_##width(uintptr_t handle,       \
						       uint##width##_t value)  \
{                                                                              \
	__asm__ goto(CPU_ALLOC_SECTION(#name "." #width, CPU_ALLOC_GOTO)       \
		     operation " %" r "[value], %c[strides](%%rax)\n2:"        \
		     :                                                         \
		     : CPU_ALLOC_SECTION_INPUTS, [value] constraint(value)     \
		     : "rax", "memory", "cc"                                   \
		     : failed);                                                \
	return true;                                                           \
failed:                                                                        \
	return false;                                                          \
}

/*
 * Loads and stores, not xchg, xadd and cmpxchg: the first locks the line, with or
 * without a prefix, and the others take several times as long. The section makes
 * one step of them. @size: of the instruction; @r: of the register.
 */
#define CPU_ALLOC_TRY_READ(width, size, r)                                     \
__cpu_alloc_inline bool cpu_alloc_try_read_##width(uintptr_t handle,           \
						   uint##width##_t *value)     \
{                                                                              \
	uintptr_t at;                                                          \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("read." #width, CPU_ALLOC_NOWHERE)  \
			 "mov" size " %c[strides](%%rax), %" r "[value]\n2:"   \
			 : [value] "=r"(*value), "=&a"(at)                     \
			 : CPU_ALLOC_SECTION_INPUTS                            \
			 : "memory", "cc");                                    \
	return at != 0;                                                        \
}

#define CPU_ALLOC_TRY_XCHG(width, size, r)                                     \
__cpu_alloc_inline bool cpu_alloc_try_xchg_##width(uintptr_t handle,           \
						   uint##width##_t *value)     \
{                                                                              \
	uint##width##_t old;                                                   \
	uintptr_t at;                                                          \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("xchg." #width, CPU_ALLOC_NOWHERE)  \
			 "mov" size " %c[strides](%%rax), %" r "[old]\n\t"     \
			 "mov" size " %" r "[value], %c[strides](%%rax)\n2:"   \
			 : [old] "=&r"(old), "=&a"(at)                         \
			 : CPU_ALLOC_SECTION_INPUTS, [value] "r"(*value)       \
			 : "memory", "cc");                                    \
	*value = old;                                                          \
	return at != 0;                                                        \
}

/* The old value is made of the sum: whoever wants the sum gets it without an addition. */
#define CPU_ALLOC_TRY_XADD(width, size, r)                                     \
__cpu_alloc_inline bool cpu_alloc_try_xadd_##width(uintptr_t handle,           \
						   uint##width##_t *value)     \
{                                                                              \
	uint##width##_t sum;                                                   \
	uintptr_t at;                                                          \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("xadd." #width, CPU_ALLOC_NOWHERE)  \
			 "mov" size " %c[strides](%%rax), %" r "[sum]\n\t"     \
			 "add" size " %" r "[value], %" r "[sum]\n\t"          \
			 "mov" size " %" r "[sum], %c[strides](%%rax)\n2:"     \
			 : [sum] "=&r"(sum), "=&a"(at)                         \
			 : CPU_ALLOC_SECTION_INPUTS, [value] "r"(*value)       \
			 : "memory", "cc");                                    \
	*value = (uint##width##_t)(sum - *value);                              \
	return at != 0;                                                        \
}

/* Other than expected: out, without a commit. */
#define CPU_ALLOC_TRY_CMPXCHG(width, size, r)                                  \
__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_##width(uintptr_t handle,        \
						      uint##width##_t *expected, \
						      uint##width##_t value)   \
{                                                                              \
	uint##width##_t old;                                                   \
	uintptr_t at;                                                          \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("cmpxchg." #width, CPU_ALLOC_NOWHERE) \
			 "mov" size " %c[strides](%%rax), %" r "[old]\n\t"     \
			 "cmp" size " %" r "[expected], %" r "[old]\n\t"       \
			 "jne 2f\n\t"                                          \
			 "mov" size " %" r "[value], %c[strides](%%rax)\n2:"   \
			 : [old] "=&r"(old), "=&a"(at)                         \
			 : CPU_ALLOC_SECTION_INPUTS, [expected] "r"(*expected), \
			   [value] "r"(value)                                  \
			 : "memory", "cc");                                    \
	*expected = old;                                                       \
	return at != 0;                                                        \
}

#define CPU_ALLOC_TRY_ALL(width, size, r, constant)                            \
CPU_ALLOC_TRY_READ(width, size, r)                                             \
CPU_ALLOC_TRY_TO_MEMORY(write, width, "mov" size, r, constant "r")             \
CPU_ALLOC_TRY_TO_MEMORY(add, width, "add" size, r, constant "r")               \
CPU_ALLOC_TRY_TO_MEMORY(and, width, "and" size, r, constant "r")               \
CPU_ALLOC_TRY_TO_MEMORY(or, width, "or" size, r, constant "r")                 \
CPU_ALLOC_TRY_XADD(width, size, r)                                             \
CPU_ALLOC_TRY_XCHG(width, size, r)                                             \
CPU_ALLOC_TRY_CMPXCHG(width, size, r)

CPU_ALLOC_TRY_ALL(8, "b", "b", "i")
CPU_ALLOC_TRY_ALL(16, "w", "w", "i")
CPU_ALLOC_TRY_ALL(32, "l", "k", "i")
CPU_ALLOC_TRY_ALL(64, "q", "q", "e")

/* Two of 64 bits: stored from one register, hence by one instruction. */
typedef long long cpu_alloc_v2di __attribute__((vector_size(16)));

__cpu_alloc_inline bool cpu_alloc_try_add2(uintptr_t handle, uint64_t first, uint64_t second)
{
	const cpu_alloc_v2di pair = {(long long)first, (long long)second};

	__asm__ goto(CPU_ALLOC_SECTION("add2", CPU_ALLOC_GOTO)
		     "movdqa %c[strides](%%rax), %%xmm0\n\t"
		     "paddq %[pair], %%xmm0\n\t"
		     "movdqa %%xmm0, %c[strides](%%rax)\n2:"
		     :
		     : CPU_ALLOC_SECTION_INPUTS, [pair] "x"(pair)
		     : "rax", "xmm0", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

__cpu_alloc_inline bool cpu_alloc_try_read2(uintptr_t handle, uint64_t *first, uint64_t *second)
{
	uintptr_t at;

	__asm__ volatile(CPU_ALLOC_SECTION("read2", CPU_ALLOC_NOWHERE)
			 "movq %c[strides](%%rax), %[first]\n\t"
			 "movq %c[strides_8](%%rax), %[second]\n2:"
			 : [first] "=&r"(*first), [second] "=&r"(*second), "=&a"(at)
			 : CPU_ALLOC_SECTION_INPUTS
			 : "memory", "cc");
	return at != 0;
}

__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_128(uintptr_t handle, cpu_alloc_u128 *expected,
						  cpu_alloc_u128 value)
{
	const cpu_alloc_v2di pair = {(long long)value, (long long)(value >> 64)};
	uint64_t low, high;
	uintptr_t at;

	__asm__ volatile(CPU_ALLOC_SECTION("cmpxchg.128", CPU_ALLOC_NOWHERE)
			 "movq %c[strides](%%rax), %[low]\n\t"
			 "movq %c[strides_8](%%rax), %[high]\n\t"
			 "cmpq %[expected_low], %[low]\n\t"
			 "jne 2f\n\t"
			 "cmpq %[expected_high], %[high]\n\t"
			 "jne 2f\n\t"
			 "movdqa %[pair], %c[strides](%%rax)\n2:"
			 : [low] "=&r"(low), [high] "=&r"(high), "=&a"(at)
			 : CPU_ALLOC_SECTION_INPUTS, [pair] "x"(pair),
			   [expected_low] "rm"((uint64_t)*expected),
			   [expected_high] "rm"((uint64_t)(*expected >> 64))
			 : "memory", "cc");
	if (at)
		*expected = (cpu_alloc_u128)high << 64 | low;
	return at != 0;
}

/* clang-format on */

#endif /* CPU_ALLOC_SECTIONS */

/* 16 bytes at @at at once, by a locked instruction; like __atomic_compare_exchange_n. */
#define CPU_ALLOC_HAS_128 1
static inline bool cpu_alloc_atomic_cmpxchg_128(void *at, cpu_alloc_u128 *expected,
						cpu_alloc_u128 value)
{
	uint64_t low = (uint64_t)*expected, high = (uint64_t)(*expected >> 64);
	bool equal;

	__asm__ volatile("lock cmpxchg16b (%[at])"
			 : "+a"(low), "+d"(high), "=@ccz"(equal)
			 : [at] "r"(at), "b"((uint64_t)value), "c"((uint64_t)(value >> 64))
			 : "memory");
	*expected = (cpu_alloc_u128)high << 64 | low;
	return equal;
}

#endif
