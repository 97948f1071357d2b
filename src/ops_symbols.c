/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The operations as real symbols, for other languages: each is the macro of ops.h. */
#include "cpu_alloc.h"

#define SYMBOLS(width, type)                                                                       \
	type this_cpu_read_##width(type *ptr)                                                      \
	{                                                                                          \
		return this_cpu_read(*ptr);                                                        \
	}                                                                                          \
	void this_cpu_write_##width(type *ptr, type value)                                         \
	{                                                                                          \
		this_cpu_write(*ptr, value);                                                       \
	}                                                                                          \
	void this_cpu_add_##width(type *ptr, type value)                                           \
	{                                                                                          \
		this_cpu_add(*ptr, value);                                                         \
	}                                                                                          \
	void this_cpu_sub_##width(type *ptr, type value)                                           \
	{                                                                                          \
		this_cpu_sub(*ptr, value);                                                         \
	}                                                                                          \
	void this_cpu_inc_##width(type *ptr)                                                       \
	{                                                                                          \
		this_cpu_inc(*ptr);                                                                \
	}                                                                                          \
	void this_cpu_dec_##width(type *ptr)                                                       \
	{                                                                                          \
		this_cpu_dec(*ptr);                                                                \
	}                                                                                          \
	void this_cpu_and_##width(type *ptr, type value)                                           \
	{                                                                                          \
		this_cpu_and(*ptr, value);                                                         \
	}                                                                                          \
	void this_cpu_or_##width(type *ptr, type value)                                            \
	{                                                                                          \
		this_cpu_or(*ptr, value);                                                          \
	}                                                                                          \
	type this_cpu_add_return_##width(type *ptr, type value)                                    \
	{                                                                                          \
		return this_cpu_add_return(*ptr, value);                                           \
	}                                                                                          \
	type this_cpu_sub_return_##width(type *ptr, type value)                                    \
	{                                                                                          \
		return this_cpu_sub_return(*ptr, value);                                           \
	}                                                                                          \
	type this_cpu_inc_return_##width(type *ptr)                                                \
	{                                                                                          \
		return this_cpu_inc_return(*ptr);                                                  \
	}                                                                                          \
	type this_cpu_dec_return_##width(type *ptr)                                                \
	{                                                                                          \
		return this_cpu_dec_return(*ptr);                                                  \
	}                                                                                          \
	type this_cpu_xchg_##width(type *ptr, type value)                                          \
	{                                                                                          \
		return this_cpu_xchg(*ptr, value);                                                 \
	}                                                                                          \
	type this_cpu_cmpxchg_##width(type *ptr, type old, type value)                             \
	{                                                                                          \
		return this_cpu_cmpxchg(*ptr, old, value);                                         \
	}                                                                                          \
	bool this_cpu_try_cmpxchg_##width(type *ptr, type *old, type value)                        \
	{                                                                                          \
		return this_cpu_try_cmpxchg(*ptr, old, value);                                     \
	}

SYMBOLS(8, uint8_t)
SYMBOLS(16, uint16_t)
SYMBOLS(32, uint32_t)
SYMBOLS(64, uint64_t)

#if CPU_ALLOC_HAS_128
struct pair {
	uint64_t first, second;
} __attribute__((aligned(16)));

void this_cpu_add2_64(uint64_t *pair, uint64_t first, uint64_t second)
{
	this_cpu_add2(*(struct pair *)pair, first, second);
}

void this_cpu_read2_64(uint64_t *pair, uint64_t *first, uint64_t *second)
{
	this_cpu_read2(*(struct pair *)pair, first, second);
}

cpu_alloc_u128 this_cpu_cmpxchg_128(cpu_alloc_u128 *ptr, cpu_alloc_u128 old, cpu_alloc_u128 value)
{
	return this_cpu_cmpxchg128(*ptr, old, value);
}
#endif
