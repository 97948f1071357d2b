/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How many CPUs there can be, and on which NUMA node each lies. */
#ifndef CPU_ALLOC_CPUS_H
#define CPU_ALLOC_CPUS_H

#define CPUS_MAX 4096 /* the most that we have areas for */

/*
 * The highest possible CPU number + 1, from /sys/devices/system/cpu/possible;
 * where that is hidden, the number of bits in the kernel's CPU masks; CPUS_MAX
 * if that is not known either. At least 1.
 * Makes system calls; no malloc.
 */
int cpus_possible(void);

/*
 * The node of each CPU: @node[0] to @node[@count - 1] are written, -1 where not
 * known. Returns the number of nodes that have CPUs, 0 if /sys does not tell.
 */
int cpus_nodes(int count, short *node);

#endif
