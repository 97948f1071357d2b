/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* other architectures: what cpu_alloc.h needs of them. No critical sections. */
#ifndef CPU_ALLOC_ARCH_GENERIC_H
#define CPU_ALLOC_ARCH_GENERIC_H

#if __SIZEOF_POINTER__ < 8
#error "cpu_alloc reserves address space for all CPUs: it needs 64-bit pointers"
#endif

/*
 * The distance between two CPUs' areas: part of the ABI. As on aarch64, whose
 * pages of 64 KiB are the largest that we know of.
 */
#define CPU_ALLOC_STRIDE (((size_t)256 << 20) + ((size_t)576 << 10))

static inline const char *cpu_alloc_thread_pointer(void)
{
	return (const char *)__builtin_thread_pointer();
}

#undef CPU_ALLOC_SECTIONS
#define CPU_ALLOC_SECTIONS 0
#define CPU_ALLOC_HAS_128 0

#endif
