/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The pattern of the replay: any change of any bit of it, and any other owner, is seen. */
#include "pattern.h"
#include "tap.h"

#include <string.h>

#define SIZE_MOST 80

static bool every_flip_is_seen(size_t size)
{
	unsigned char instance[SIZE_MOST];

	pattern_write(instance, size, 7, 1);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		const unsigned char flip = (unsigned char)(1U << bit % 8);

		instance[bit / 8] ^= flip;
		if (pattern_check(instance, size, 7, 1) != bit / 64 * 8)
			return false;
		instance[bit / 8] ^= flip;
	}
	return pattern_check(instance, size, 7, 1) == size;
}

static bool stays_in_bounds(size_t size)
{
	unsigned char memory[SIZE_MOST + 16], expected[8];

	memset(memory, 0xa5, sizeof(memory));
	memset(expected, 0xa5, sizeof(expected));
	pattern_write(memory + 8, size, 3, 0);
	return !memcmp(memory, expected, 8) && !memcmp(memory + 8 + size, expected, 8);
}

/* What @object on @cpu wrote must not pass for what belongs to the first object on CPU 0. */
static bool is_told_apart(uint64_t object, int cpu, size_t shift)
{
	unsigned char instance[SIZE_MOST];

	pattern_write(instance, SIZE_MOST, object, cpu);
	return pattern_check(instance + shift, 16, 1, 0) == 0;
}

int main(void)
{
	bool seen = true, bounded = true;

	for (size_t size = 1; size <= SIZE_MOST; size++) {
		seen = every_flip_is_seen(size) && seen;
		bounded = stays_in_bounds(size) && bounded;
	}
	ok(seen, "each flipped bit is found, and the word named, in sizes of 1 to %d", SIZE_MOST);
	ok(bounded, "no byte beside the instance is written");
	ok(!is_told_apart(1, 0, 0), "an instance is right where it belongs");
	ok(is_told_apart(2, 0, 0), "the next object's bytes are wrong");
	ok(is_told_apart(1, 1, 0), "another CPU's bytes are wrong");
	ok(is_told_apart(1, -1, 0), "those of the area for strays are wrong");
	ok(is_told_apart(1, 0, 8), "bytes at another place are wrong");
	return tap_done();
}
