/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Pseudo-random numbers for tests and benchmarks: Marsaglia's xorshift, 64 bits. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

static inline uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

/* 0 to @n - 1. The bias of the modulo does not matter here. */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return random_next(state) % n;
}

/* A state for any @seed: xorshift must not start at 0, nor at few bits. */
static inline uint64_t random_seed(uint64_t seed)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
}

#endif
