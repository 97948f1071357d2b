/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Bits. A long row of zeros on every index; each step takes the number of the
 * next bit and sets it by `or`. Neighbours in a word are so set by
 * different threads at the same time. In the end every bit that was taken is set, on
 * one index: on none, and an `or` was lost; on two, and it was done twice.
 * The same with ones, cleared by `and`.
 */
#include "storm.h"

#define BITS ((size_t)1 << 22) /* of each width; a storm hardly needs more */

static struct row {
	uint8_t v8[BITS / 8];
	uint16_t v16[BITS / 16];
	uint32_t v32[BITS / 32];
	uint64_t v64[BITS / 64];
} * row;
static size_t taken;

static bool take_bit(size_t *bit)
{
	*bit = __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
	return *bit < BITS;
}

#define OR(width)                                                                                  \
	this_cpu_or(row->v##width[bit / width], (uint##width##_t)((uint64_t)1 << bit % width));
#define AND(width)                                                                                 \
	this_cpu_and(row->v##width[bit / width], (uint##width##_t) ~((uint64_t)1 << bit % width));

static void step_or(struct side *side)
{
	size_t bit;

	(void)side;
	if (take_bit(&bit)) {
		EACH_WIDTH(OR)
	}
}

static void step_and(struct side *side)
{
	size_t bit;

	(void)side;
	if (take_bit(&bit)) {
		EACH_WIDTH(AND)
	}
}

/* The bits of a word that starts at bit @first, of those below @count. */
static uint64_t wanted_bits(size_t count, size_t first, size_t width)
{
	if (count >= first + width)
		return UINT64_MAX >> (64 - width);
	return count > first ? ((uint64_t)1 << (count - first)) - 1 : 0;
}

/*
 * On exactly one index each bit below @count differs from what was there first;
 * and none above. In each word: the bits that differ on any index, and on two.
 */
#define RIGHT(width)                                                                               \
	static bool right_##width(size_t count, bool set)                                          \
	{                                                                                          \
		const uint##width##_t start = (uint##width##_t)(set ? 0 : -1);                     \
		bool right = true;                                                                 \
                                                                                                   \
		for (size_t k = 0; k < BITS / width; k++) {                                        \
			uint64_t any = 0, two = 0;                                                 \
                                                                                                   \
			cpu_alloc_for_each (i) {                                                   \
				const uint64_t changed = CPU_PTR(row, i)->v##width[k] ^ start;     \
                                                                                                   \
				two |= any & changed;                                              \
				any |= changed;                                                    \
			}                                                                          \
			right &= any == wanted_bits(count, k * width, width) && two == 0;          \
		}                                                                                  \
		return right;                                                                      \
	}
EACH_WIDTH(RIGHT)

#define OK_RIGHT(width)                                                                            \
	ok(right_##width(taken, set), "%s, %d bits: each bit once, on one index", storm->name,     \
	   width);

static void run(const struct storm *storm, bool set)
{
	taken = 0;
	row = CPU_ALLOC(struct row, GFP_KERNEL | __GFP_ZERO);
	if (!set)
		cpu_alloc_for_each (i)
			memset(CPU_PTR(row, i), 0xff, sizeof(*row));
	storm_run(storm);
	diag("%s: %zu bits", storm->name, taken < BITS ? taken : BITS);
	taken = taken < BITS ? taken : BITS;
	EACH_WIDTH(OK_RIGHT)
	CPU_FREE(row);
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	ok_path(&mode);
	run(&(struct storm){.name = "or", .step = step_or}, true);
	run(&(struct storm){.name = "and", .step = step_and}, false);
	return tap_done();
}
