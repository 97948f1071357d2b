/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A function that nobody calls calls one that is nowhere: --gc-sections drops it, section and all.
 */
#include <cpu_alloc.h>

void nowhere(void);
void unused(uint64_t *count);
void used(uint64_t *count);

void unused(uint64_t *count)
{
	this_cpu_inc(*count);
	nowhere();
}

void used(uint64_t *count)
{
	this_cpu_inc(*count);
}
