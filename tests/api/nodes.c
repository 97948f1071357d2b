/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * On a machine with several NUMA nodes the pages of an area lie on the node of its CPU,
 * whoever wrote them first: everything is written by one thread, which stays on one CPU,
 * and the system is asked where the pages are.
 */
#include <sys/syscall.h>

#include "helpers.h"

#define PAGES ((size_t)48) /* of each area that are looked at */

static short node_of[CPU_SETSIZE]; /* of each CPU; -1: not known */

/* The CPUs of a list like "0-1,4\n" are on @node. Returns how many there are. */
static int enter(const char *list, short node)
{
	int first, last, used, count = 0;

	for (; sscanf(list, "%d%n", &first, &used) == 1; list += *list == ',') {
		list += used;
		last = first;
		if (sscanf(list, "-%d%n", &last, &used) == 1)
			list += used;
		for (; first <= last && first < CPU_SETSIZE; count++)
			node_of[first++] = node;
	}
	return count;
}

/* As /sys tells it. Returns the number of nodes that have CPUs. */
static int find_nodes(void)
{
	int nodes = 0;

	memset(node_of, -1, sizeof(node_of));
	for (short node = 0; node < 1024; node++) {
		char path[64], list[4096] = "";
		int fd;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		read_back(fd, list, sizeof(list));
		nodes += enter(list, node) > 0;
	}
	return nodes;
}

/* Are @bytes of area @i, all of them written, on its CPU's node? */
static bool on_its_node(const char *ptr, int i, size_t bytes)
{
	void *page[PAGES];
	int node[PAGES];
	const size_t count = bytes / page_bytes();

	must(count <= PAGES);
	for (size_t n = 0; n < count; n++)
		page[n] = instance(ptr, i) + n * page_bytes();
	must(syscall(SYS_move_pages, 0, count, page, NULL, node, 0) == 0);
	for (size_t n = 0; n < count; n++)
		if (node[n] != node_of[i]) {
			printf("page %zu of area %d is on node %d, its CPU on node %d\n", n, i,
			       node[n], node_of[i]);
			return false;
		}
	return true;
}

/* The thread is on @cpu, and writes all areas. */
static int written_from(const void *cpu)
{
	const size_t bytes = PAGES * page_bytes();
	char *ptr;

	must(bind_to(*(const int *)cpu));
	ptr = cpu_alloc(bytes, GFP_KERNEL, page_bytes());
	must(ptr);
	fill_instances(ptr, 1, bytes);
	for (int i = 0; i < cpu_alloc_nr(); i++)
		must(i >= CPU_SETSIZE || node_of[i] < 0 || on_its_node(ptr, i, bytes));
	return 0;
}

/* Pages that were given back and are written again, now from @cpu, come from there, too. */
static int written_again(const void *cpu)
{
	const size_t bytes = PAGES * page_bytes();
	char *ptr = cpu_alloc(bytes, GFP_KERNEL, page_bytes());

	must(ptr);
	fill_instances(ptr, 1, bytes);
	cpu_free(ptr, bytes);
	cpu_alloc_trim();
	must(own_memory(instance(ptr, 0), bytes) == 0);
	return written_from(cpu);
}

/* The first CPU of the set that is on another node than @cpu; @cpu's own if it is -1. */
static int first_cpu_off(short node)
{
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set) && node_of[cpu] >= 0 && node_of[cpu] != node)
			return cpu;
	return -1;
}

static void check(const char *name, int (*function)(const void *), int cpu, const char *reason)
{
	if (reason)
		skip(name, reason);
	else
		ok_child(name, function, &cpu);
}

int main(void)
{
	const int nodes = find_nodes();
	const int here = first_cpu_off(-1), there = here < 0 ? -1 : first_cpu_off(node_of[here]);
	const char *reason = NULL;

	if (nodes < 2)
		reason = "there is one NUMA node only";
	else if (there < 0)
		reason = "the process may run on one NUMA node only";
	else if (cpu_alloc_path() && strstr(cpu_alloc_path(), "concurrency id"))
		reason = "areas by concurrency id belong to no node";
	check("pages are on their CPU's node, written from one node", written_from, here, reason);
	check("and written from another", written_from, there, reason);
	check("and when they were given back and are written again", written_again, there, reason);
	return tap_done();
}
