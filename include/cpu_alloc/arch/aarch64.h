/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* aarch64: what cpu_alloc.h needs of the architecture. */
#ifndef CPU_ALLOC_ARCH_AARCH64_H
#define CPU_ALLOC_ARCH_AARCH64_H

/*
 * The distance between two CPUs' areas: part of the ABI. As on x86-64, but in
 * pages of 64 KiB, the largest of the architecture.
 */
#define CPU_ALLOC_STRIDE (((size_t)256 << 20) + ((size_t)576 << 10))

static inline const char *cpu_alloc_thread_pointer(void)
{
	return (const char *)__builtin_thread_pointer();
}

#endif
