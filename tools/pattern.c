/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The pattern: one hash for each word of an instance. */
#include "pattern.h"

#include <string.h>

#define WORD sizeof(uint64_t)

/* The word at @offset. Multiplication by an odd constant and shift-xor lose nothing. */
static uint64_t word(uint64_t object, int cpu, size_t offset)
{
	uint64_t x = object * 0x9e3779b97f4a7c15u + offset;

	x ^= (uint64_t)(cpu + 1) << 40;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

static size_t length(size_t size, size_t offset)
{
	return size - offset < WORD ? size - offset : WORD;
}

void pattern_write(void *instance, size_t size, uint64_t object, int cpu)
{
	for (size_t offset = 0; offset < size; offset += WORD) {
		uint64_t expected = word(object, cpu, offset);

		memcpy((char *)instance + offset, &expected, length(size, offset));
	}
}

size_t pattern_check(const void *instance, size_t size, uint64_t object, int cpu)
{
	for (size_t offset = 0; offset < size; offset += WORD) {
		uint64_t expected = word(object, cpu, offset);

		if (memcmp((const char *)instance + offset, &expected, length(size, offset)))
			return offset;
	}
	return size;
}
