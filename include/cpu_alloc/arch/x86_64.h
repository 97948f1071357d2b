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

/* clang-format off: one instruction a line */

/*
 * The frame of a critical section, up to the address of the instance, without
 * the two strides, in register @at. Labels: 1 start, 2 end (the user's), 3 abort.
 *
 * The descriptor has a symbol that names the operation. It lies in memory that
 * is read-only after relocation; "?" makes it, and the abort stub, members of the
 * COMDAT group that the function is in, so that they come and go together.
 * The bytes before the stub are the signature that the kernel asks for, dressed
 * as an instruction (ud1) for disassemblers.
 *
 * %[known] leads to cpu_id; rseq_cs follows 4 bytes behind.
 */
#define CPU_ALLOC_SECTION(name, at, on_abort)                                                      \
	".pushsection .data.rel.ro.cpu_alloc_rseq_cs, \"aw?\", @progbits\n\t"                      \
	".balign 32\n"                                                                             \
	"cpu_alloc_rseq_cs." name ".%=:\n\t"                                                       \
	".long 0, 0\n\t"                                                                           \
	".quad 1f, 2f - 1f, 3f\n\t"                                                                \
	".popsection\n\t"                                                                          \
	".pushsection .text.unlikely.cpu_alloc_rseq_abort, \"ax?\", @progbits\n\t"                 \
	".byte 0x0f, 0xb9, 0x3d\n\t"                                                               \
	".long 0x53053053\n"                                                                       \
	"3:\n"                                                                                     \
	"cpu_alloc_rseq_abort." name ".%=:\n\t" on_abort "\n\t"                                    \
	".popsection\n\t"                                                                          \
	"leaq cpu_alloc_rseq_cs." name ".%=(%%rip), %%" at "\n\t"                                  \
	"movq %%" at ", %%fs:4(%[known])\n"                                                        \
	"1:\n\t"                                                                                   \
	"cmpl $0, %%fs:(%[known])\n\t"                                                             \
	"jl 3b\n\t"                                                                                \
	"movslq %%fs:(%[index]), %%" at "\n\t"                                                     \
	"imulq %[stride], %%" at ", %%" at "\n\t"                                                  \
	"addq %[handle], %%" at "\n\t"

#define CPU_ALLOC_SECTION_INPUTS                                                                   \
	[known] "r"(cpu_alloc_known_offset), [index] "r"(cpu_alloc_index_offset),                  \
		[handle] "r"(handle), [stride] "i"(CPU_ALLOC_STRIDE),                              \
		[strides] "i"(2 * CPU_ALLOC_STRIDE)

/* Without a result, an attempt that came to nothing jumps to the label `failed`. */
#define CPU_ALLOC_GOTO "jmp %l[failed]"

/* With a result, the carry flag tells: gcc before 11 has no jumps out of asm with results. */
#define CPU_ALLOC_CARRY "stc\n\tjmp 4f"
#define CPU_ALLOC_CARRY_END "\n2:\n\tclc\n4:"

/* @operation: one instruction from %[value] to memory. */
#define CPU_ALLOC_TRY_TO_MEMORY(name, width, operation, modifier, constraint)                      \
	__cpu_alloc_inline bool cpu_alloc_try_##name##_##width(uintptr_t handle,                   \
							       uint##width##_t value)              \
	{                                                                                          \
		__asm__ goto(CPU_ALLOC_SECTION(#name "." #width, "rax", CPU_ALLOC_GOTO) operation  \
			     " %" modifier "[value], %c[strides](%%rax)\n2:"                       \
			     :                                                                     \
			     : CPU_ALLOC_SECTION_INPUTS, [value] constraint(value)                 \
			     : "rax", "memory", "cc"                                               \
			     : failed);                                                            \
		return true;                                                                       \
	failed:                                                                                    \
		return false;                                                                      \
	}

/* @operation: one instruction that exchanges *@value and memory. */
#define CPU_ALLOC_TRY_EXCHANGE(name, width, operation, modifier)                                   \
	__cpu_alloc_inline bool cpu_alloc_try_##name##_##width(uintptr_t handle,                   \
							       uint##width##_t *value)             \
	{                                                                                          \
		bool failed;                                                                       \
                                                                                                   \
		__asm__ volatile(CPU_ALLOC_SECTION(#name "." #width, "rax", CPU_ALLOC_CARRY)       \
					 operation                                                 \
				 " %" modifier "[value], %c[strides](%%rax)" CPU_ALLOC_CARRY_END   \
				 : [value] "+r"(*value), "=@ccc"(failed)                           \
				 : CPU_ALLOC_SECTION_INPUTS                                        \
				 : "rax", "memory");                                               \
		return !failed;                                                                    \
	}

#define CPU_ALLOC_TRY_READ(width, operation, modifier)                                             \
	__cpu_alloc_inline bool cpu_alloc_try_read_##width(uintptr_t handle,                       \
							   uint##width##_t *value)                 \
	{                                                                                          \
		bool failed;                                                                       \
                                                                                                   \
		__asm__ volatile(CPU_ALLOC_SECTION("read." #width, "rax", CPU_ALLOC_CARRY)         \
					 operation " %c[strides](%%rax), %" modifier               \
						   "[value]" CPU_ALLOC_CARRY_END                   \
				 : [value] "=r"(*value), "=@ccc"(failed)                           \
				 : CPU_ALLOC_SECTION_INPUTS                                        \
				 : "rax", "memory");                                               \
		return !failed;                                                                    \
	}

/* cmpxchg compares with, and leaves what it found in, rax. */
#define CPU_ALLOC_TRY_CMPXCHG(width, operation, modifier)                                          \
	__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_##width(                                     \
		uintptr_t handle, uint##width##_t *expected, uint##width##_t value)                \
	{                                                                                          \
		bool failed;                                                                       \
                                                                                                   \
		__asm__ volatile(CPU_ALLOC_SECTION("cmpxchg." #width, "rdx", CPU_ALLOC_CARRY)      \
					 operation                                                 \
				 " %" modifier "[value], %c[strides](%%rdx)" CPU_ALLOC_CARRY_END   \
				 : "+a"(*expected), "=@ccc"(failed)                                \
				 : CPU_ALLOC_SECTION_INPUTS, [value] "r"(value)                    \
				 : "rdx", "memory");                                               \
		return !failed;                                                                    \
	}

#define CPU_ALLOC_TRY_ALL(width, suffix, modifier, constant)                                       \
	CPU_ALLOC_TRY_READ(width, "mov" suffix, modifier)                                          \
	CPU_ALLOC_TRY_TO_MEMORY(write, width, "mov" suffix, modifier, constant "r")                \
	CPU_ALLOC_TRY_TO_MEMORY(add, width, "add" suffix, modifier, constant "r")                  \
	CPU_ALLOC_TRY_TO_MEMORY(and, width, "and" suffix, modifier, constant "r")                  \
	CPU_ALLOC_TRY_TO_MEMORY(or, width, "or" suffix, modifier, constant "r")                    \
	CPU_ALLOC_TRY_EXCHANGE(xchg, width, "xchg" suffix, modifier)                               \
	CPU_ALLOC_TRY_EXCHANGE(xadd, width, "xadd" suffix, modifier)                               \
	CPU_ALLOC_TRY_CMPXCHG(width, "cmpxchg" suffix, modifier)

CPU_ALLOC_TRY_ALL(8, "b", "b", "i")
CPU_ALLOC_TRY_ALL(16, "w", "w", "i")
CPU_ALLOC_TRY_ALL(32, "l", "k", "i")
CPU_ALLOC_TRY_ALL(64, "q", "q", "e")

/* clang-format on */

/* Two of 64 bits: in one register, hence in one instruction. */
typedef long long cpu_alloc_v2di __attribute__((vector_size(16)));

__cpu_alloc_inline bool cpu_alloc_try_add2(uintptr_t handle, uint64_t first, uint64_t second)
{
	const cpu_alloc_v2di pair = {(long long)first, (long long)second};

	__asm__ goto(CPU_ALLOC_SECTION("add2", "rax",
				       CPU_ALLOC_GOTO) "movdqa %c[strides](%%rax), %%xmm0\n\t"
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
	cpu_alloc_v2di pair;
	bool failed;

	__asm__ volatile(
		CPU_ALLOC_SECTION(
			"read2", "rax",
			CPU_ALLOC_CARRY) "movdqa %c[strides](%%rax), %[pair]" CPU_ALLOC_CARRY_END
		: [pair] "=x"(pair), "=@ccc"(failed)
		: CPU_ALLOC_SECTION_INPUTS
		: "rax", "memory");
	*first = (uint64_t)pair[0];
	*second = (uint64_t)pair[1];
	return !failed;
}

__cpu_alloc_inline bool cpu_alloc_try_cmpxchg_128(uintptr_t handle, cpu_alloc_u128 *expected,
						  cpu_alloc_u128 value)
{
	uint64_t low = (uint64_t)*expected, high = (uint64_t)(*expected >> 64);
	bool failed;

	__asm__ volatile(
		CPU_ALLOC_SECTION(
			"cmpxchg.128", "rsi",
			CPU_ALLOC_CARRY) "cmpxchg16b %c[strides](%%rsi)" CPU_ALLOC_CARRY_END
		: "+a"(low), "+d"(high), "=@ccc"(failed)
		: CPU_ALLOC_SECTION_INPUTS, "b"((uint64_t)value), "c"((uint64_t)(value >> 64))
		: "rsi", "memory");
	*expected = (cpu_alloc_u128)high << 64 | low;
	return !failed;
}

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
