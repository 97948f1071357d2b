/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Additions for count.py, which looks at what compilers make of them. Never run. */
#include <cpu_alloc.h>

void add_one(uint64_t *counter);
void add_value(uint64_t *counter, uint64_t n);
void add_small(uint8_t *counter, uint8_t n);
void add_loop(uint64_t *counter, const size_t rounds);

void add_one(uint64_t *counter)
{
	this_cpu_inc(*counter);
}

void add_value(uint64_t *counter, uint64_t n)
{
	this_cpu_add(*counter, n);
}

void add_small(uint8_t *counter, uint8_t n)
{
	this_cpu_add(*counter, n);
}

void add_loop(uint64_t *counter, const size_t rounds)
{
	for (size_t i = 0; i < rounds; i++)
		this_cpu_add(*counter, 3);
}
