/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the replay writes into an instance: bytes that follow from the number of
 * the object, the index of the CPU and the place in the instance, so that no
 * other instance's bytes, nor these at another place, look right.
 */
#ifndef TOOLS_PATTERN_H
#define TOOLS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

void pattern_write(void *instance, size_t size, uint64_t object, int cpu);

/* The offset of a word of 8 bytes that is not as written, or @size if all are. */
size_t pattern_check(const void *instance, size_t size, uint64_t object, int cpu);

#endif
