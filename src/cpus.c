/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* CPUs and nodes, from the lists in /sys ("0-3,8-11"). See cpus.h. */
#include "cpus.h"
#include "os.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIST_BYTES 4097 /* what /sys shows: a page; and small enough for small stacks */

/* Take the next range off a list. False at its end, or where it is malformed. */
static bool list_next(const char **list, int *first, int *last)
{
	char *end;

	if (**list < '0' || **list > '9')
		return false;
	*first = *last = (int)strtol(*list, &end, 10);
	if (*end == '-')
		*last = (int)strtol(end + 1, &end, 10);
	*list = *end == ',' ? end + 1 : end;
	return *first >= 0 && *last >= *first;
}

/*
 * The length of the kernel's CPU masks, which is the number of CPU numbers that
 * it can give out. The raw call returns it whatever CPUs the process may use.
 */
static int cpus_in_mask(void)
{
	unsigned long mask[8192 / sizeof(unsigned long)];
	const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	return bytes > 0 ? 8 * (int)bytes : CPUS_MAX;
}

int cpus_possible(void)
{
	char text[LIST_BYTES];
	const char *list = text;
	int first, last, highest = -1;

	if (os_read_file("/sys/devices/system/cpu/possible", text, sizeof(text)))
		while (list_next(&list, &first, &last))
			highest = last > highest ? last : highest;
	if (highest < 0)
		highest = cpus_in_mask() - 1;
	return highest + 1;
}

/* Enter the CPUs of one node. False if it has none, or is not there. */
static bool node_cpus(int number, int count, short *node)
{
	char path[64], text[LIST_BYTES];
	const char *list = text;
	int first, last;
	bool any = false;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", number);
	if (!os_read_file(path, text, sizeof(text)))
		return false;
	while (list_next(&list, &first, &last)) {
		any = true;
		for (int cpu = first; cpu <= last && cpu < count; cpu++)
			node[cpu] = (short)number;
	}
	return any;
}

int cpus_nodes(int count, short *node)
{
	char text[LIST_BYTES];
	const char *list = text;
	int first, last, nodes = 0;

	for (int cpu = 0; cpu < count; cpu++)
		node[cpu] = -1;
	if (!os_read_file("/sys/devices/system/node/online", text, sizeof(text)))
		return 0;
	while (list_next(&list, &first, &last))
		for (int number = first; number <= last; number++)
			nodes += node_cpus(number, count, node);
	return nodes;
}
