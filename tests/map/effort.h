/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How much of a long test to do, in percent: TEST_EFFORT, else less under valgrind. */
#ifndef EFFORT_H
#define EFFORT_H

#include <stdint.h>
#include <stdlib.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

static inline uint32_t test_effort(void)
{
	const char *text = getenv("TEST_EFFORT");

	if (text)
		return (uint32_t)atoi(text);
	return RUNNING_ON_VALGRIND ? 20 : 100;
}

#endif
