/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* x86-64: what cpu_alloc.h needs of the architecture. */
#ifndef CPU_ALLOC_ARCH_X86_64_H
#define CPU_ALLOC_ARCH_X86_64_H

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

#endif
