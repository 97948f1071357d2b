/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A shared library whose constructor uses the allocator: linked, or opened by host.c. */
#include <cpu_alloc.h>

int plugin_count(void);

static int *loads;

__attribute__((constructor)) static void loaded(void)
{
	loads = CPU_ALLOC(int, GFP_KERNEL | __GFP_ZERO);
	if (loads)
		THIS_CPU(loads)[0] = 1;
}

__attribute__((destructor)) static void unloaded(void)
{
	CPU_FREE(loads);
}

/* 1, as the constructor left it. */
int plugin_count(void)
{
	int count = 0;

	if (loads)
		cpu_alloc_for_each (i)
			count += *CPU_PTR(loads, i);
	return count;
}
