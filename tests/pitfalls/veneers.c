/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * For aarch64: many values live across an operation. None of them may be in x16
 * or x17, which a linker's veneer on the way to a far abort stub may use.
 */
#include <cpu_alloc.h>

uint64_t across(uint64_t *count, const uint64_t *v);

uint64_t across(uint64_t *count, const uint64_t *v)
{
	uint64_t a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6], h = v[7];
	uint64_t i = v[8], j = v[9], k = v[10], l = v[11], m = v[12], n = v[13], o = v[14];

	/* Computed here, so that they are not loaded later. */
	__asm__ volatile(""
			 : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h),
			   "+r"(i), "+r"(j), "+r"(k), "+r"(l), "+r"(m), "+r"(n), "+r"(o));
	this_cpu_add(*count, 1);
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k +
	       12 * l + 13 * m + 14 * n + 15 * o;
}
