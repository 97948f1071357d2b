/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The bits: two for each unit, in words of 64 units. Both words of the same
 * units lie side by side, since nearly every operation on a small object wants
 * both, and only them.
 *
 *   used  start
 *    0     0     free
 *    0     1     free, and an object started here before
 *    1     0     inside an object
 *    1     1     an object starts here
 *
 * All functions take a range of units, start to end - 1, and cost O(its words).
 * The range is not empty where bits are changed.
 */
#ifndef CPU_ALLOC_CORE_BITS_H
#define CPU_ALLOC_CORE_BITS_H

#include "deps.h"

#define BITS_PER_WORD 64U

struct map_bits {
	uint64_t used, start;
};

/* Ones for the units of @start to @end - 1 that lie in the word of @start. */
static inline uint64_t bits_mask(uint32_t start, uint32_t end)
{
	const uint64_t n = end - start;

	return (n < BITS_PER_WORD ? (1ULL << n) - 1 : ~0ULL) << start % BITS_PER_WORD;
}

/* The first unit of the next word. */
static inline uint32_t bits_next_word(uint32_t unit)
{
	return (unit | (BITS_PER_WORD - 1)) + 1;
}

static inline bool bits_used(const struct map_bits *bits, uint32_t unit)
{
	return bits[unit / BITS_PER_WORD].used >> unit % BITS_PER_WORD & 1;
}

static inline bool bits_start(const struct map_bits *bits, uint32_t unit)
{
	return bits[unit / BITS_PER_WORD].start >> unit % BITS_PER_WORD & 1;
}

/* Not one object but @count of @n units are there. A word is written once. */
static inline void bits_set_starts(struct map_bits *bits, uint32_t unit, uint32_t n, uint32_t count)
{
	uint64_t starts = 0;

	for (; count; unit += n) {
		starts |= 1ULL << unit % BITS_PER_WORD;
		if (--count && (unit + n) / BITS_PER_WORD == unit / BITS_PER_WORD)
			continue;
		bits[unit / BITS_PER_WORD].start |= starts;
		starts = 0;
	}
}

/* An object is there, from @start on: what was known of former ones is gone. */
static inline void bits_take(struct map_bits *bits, uint32_t start, uint32_t end)
{
	uint64_t first = 1ULL << start % BITS_PER_WORD;

	do {
		struct map_bits *word = &bits[start / BITS_PER_WORD];
		const uint64_t mask = bits_mask(start, end);

		word->used |= mask;
		word->start = (word->start & ~mask) | first;
		first = 0;
	} while ((start = bits_next_word(start)) < end);
}

/* Used; the start bits stay. */
static inline void bits_set_used(struct map_bits *bits, uint32_t start, uint32_t end)
{
	do {
		bits[start / BITS_PER_WORD].used |= bits_mask(start, end);
	} while ((start = bits_next_word(start)) < end);
}

/* Free; the start bits stay, and tell where objects were. */
static inline void bits_clear_used(struct map_bits *bits, uint32_t start, uint32_t end)
{
	do {
		bits[start / BITS_PER_WORD].used &= ~bits_mask(start, end);
	} while ((start = bits_next_word(start)) < end);
}

/* Of a word that has used units: the free ones before the first and behind the last of them. */
static inline uint32_t bits_lead(uint64_t used)
{
	return (uint32_t)__builtin_ctzll(used);
}

static inline uint32_t bits_trail(uint64_t used)
{
	return (uint32_t)__builtin_clzll(used);
}

/* Where the first of @bits of @word lies, seen from @start; @end if not before. */
static inline uint32_t bits_first(uint64_t word, uint32_t start, uint32_t end)
{
	const uint32_t unit = start + (uint32_t)__builtin_ctzll(word);

	return unit < end ? unit : end;
}

/* The first unit of the range that is free, @end if none. */
static inline uint32_t bits_next_free(const struct map_bits *bits, uint32_t start, uint32_t end)
{
	for (; start < end; start = bits_next_word(start)) {
		const uint64_t word = ~bits[start / BITS_PER_WORD].used >> start % BITS_PER_WORD;

		if (word)
			return bits_first(word, start, end);
	}
	return end;
}

/* The first unit of the range that is used, @end if none. */
static inline uint32_t bits_next_used(const struct map_bits *bits, uint32_t start, uint32_t end)
{
	for (; start < end; start = bits_next_word(start)) {
		const uint64_t word = bits[start / BITS_PER_WORD].used >> start % BITS_PER_WORD;

		if (word)
			return bits_first(word, start, end);
	}
	return end;
}

/* The first unit of the range that is no more of an object begun before it. */
static inline uint32_t bits_object_end(const struct map_bits *bits, uint32_t start, uint32_t end)
{
	for (; start < end; start = bits_next_word(start)) {
		const struct map_bits *both = &bits[start / BITS_PER_WORD];
		const uint64_t word = (~both->used | both->start) >> start % BITS_PER_WORD;

		if (word)
			return bits_first(word, start, end);
	}
	return end;
}

/* The start of the free units that end at @end, not below @start. */
static inline uint32_t bits_hole_start(const struct map_bits *bits, uint32_t start, uint32_t end)
{
	while (end > start) {
		const uint32_t last = (end - 1) % BITS_PER_WORD;
		const uint64_t word = bits[(end - 1) / BITS_PER_WORD].used
				      << (BITS_PER_WORD - 1 - last);

		if (word) {
			end -= (uint32_t)__builtin_clzll(word);
			return end > start ? end : start;
		}
		end -= last + 1;
	}
	return start;
}

#endif
