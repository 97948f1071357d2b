/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Sums over all indices. Instances are read as they stand: whoever updates one
 * meanwhile does so in one step, so that each is seen old or new.
 */
#include "cpu_alloc.h"

/* Sums of so many bytes stay in the first-level cache while one CPU after another is added. */
#define BLOCK_BYTES 8192

#define SUMS(width)                                                                                \
	uint##width##_t cpu_sum_##width(const uint##width##_t *ptr)                                \
	{                                                                                          \
		uint##width##_t sum = 0;                                                           \
                                                                                                   \
		cpu_alloc_for_each (i)                                                             \
			sum = (uint##width##_t)(                                                   \
				sum + __atomic_load_n(CPU_PTR(ptr, i), __ATOMIC_RELAXED));         \
		return sum;                                                                        \
	}                                                                                          \
                                                                                                   \
	/* Plain loads, for the sake of vectors: no lane of 8 bytes or less is torn. */            \
	static void add_block_##width(const uint##width##_t *restrict from, size_t n,              \
				      uint##width##_t *restrict sums)                              \
	{                                                                                          \
		for (size_t k = 0; k < n; k++)                                                     \
			sums[k] = (uint##width##_t)(sums[k] + from[k]);                            \
	}                                                                                          \
                                                                                                   \
	void cpu_sum_array_##width(const uint##width##_t *ptr, size_t n, uint##width##_t *sums)    \
	{                                                                                          \
		const size_t block = BLOCK_BYTES / sizeof(*sums);                                  \
                                                                                                   \
		__atomic_signal_fence(__ATOMIC_SEQ_CST); /* nothing read before is known */        \
		for (size_t k = 0; k < n; k += block) {                                            \
			const size_t count = n - k < block ? n - k : block;                        \
                                                                                                   \
			__builtin_memset(sums + k, 0, count * sizeof(*sums));                      \
			cpu_alloc_for_each (i)                                                     \
				add_block_##width(CPU_PTR(ptr + k, i), count, sums + k);           \
		}                                                                                  \
	}

SUMS(8)
SUMS(16)
SUMS(32)
SUMS(64)
