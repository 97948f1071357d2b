/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Machines that this one is not: what /sys and the system calls tell of CPUs and
 * NUMA nodes is made up here, what the library makes of it is looked at.
 */
#include <sys/syscall.h>

#include "helpers.h"

static const struct machine {
	const char *name;
	const char *possible; /* the files of /sys; NULL: not there */
	const char *nodes;
	const char *node_cpus[4];
	long mask_bytes; /* what sched_getaffinity() returns; < 0: it fails */
	int nr;		 /* CPUs that the library has to see; 0: the machine's own at least */
} machines[] = {
	{"one CPU", "0\n", "0\n", {"0\n"}, 8, 1},
	{"two CPUs", "0-1\n", "0\n", {"0-1\n"}, 8, 2},
	{"512 CPUs, two nodes", "0-511\n", "0-1\n", {"0-255\n", "256-511\n"}, 64, 512},
	{"sparse numbers", "0,2-3,17\n", "0\n", {"0,2-3,17\n"}, 8, 18},
	{"nodes that alternate", "0-7\n", "0,3\n", {"0,2,4,6\n", NULL, NULL, "1,3,5,7\n"}, 8, 8},
	{"a node without CPUs", "0-3\n", "0-2\n", {"0-1\n", "\n", "2-3\n"}, 8, 4},
	{"/sys without nodes", "0-3\n", NULL, {NULL}, 8, 4},
	{"no /sys", NULL, NULL, {NULL}, 8, 64},
	{"no /sys, 1,024 bits of mask", NULL, NULL, {NULL}, 128, 1024},
	{"an empty list", "\n", NULL, {NULL}, 16, 128},
	{"rubbish in the list", "many\n", NULL, {NULL}, 16, 128},
	{"neither /sys nor a mask", NULL, NULL, {NULL}, -1, 0},
};

static const struct machine *machine; /* NULL: the real one */

static struct {
	int count;
	struct {
		uintptr_t start;
		size_t bytes;
		long mode;
		unsigned long mask, maxnode, flags;
	} bind[4096];
} advice; /* calls of mbind() */

static int file_of(const char *text)
{
	int fd = memfd_create("sys", MFD_CLOEXEC);

	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static const char *text_of(const char *path)
{
	unsigned int node;
	char end;

	if (strcmp(path, "/sys/devices/system/cpu/possible") == 0)
		return machine->possible;
	if (strcmp(path, "/sys/devices/system/node/online") == 0)
		return machine->nodes;
	if (sscanf(path, "/sys/devices/system/node/node%u/cpulis%c", &node, &end) == 2 && node < 4)
		return machine->node_cpus[node];
	return NULL;
}

int __real_open64(const char *path, int flags, int mode);
int __wrap_open64(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode);

int __wrap_open64(const char *path, int flags, int mode)
{
	if (!machine || strncmp(path, "/sys/", 5) != 0)
		return __real_open64(path, flags, mode);
	if (text_of(path))
		return file_of(text_of(path));
	errno = ENOENT;
	return -1;
}

int __wrap_open(const char *path, int flags, int mode)
{
	return __wrap_open64(path, flags, mode);
}

static long affinity_mask(size_t room, void *mask)
{
	if (machine->mask_bytes < 0) {
		errno = EPERM;
		return -1;
	}
	if (room < (size_t)machine->mask_bytes) {
		errno = EINVAL;
		return -1;
	}
	memset(mask, 0, (size_t)machine->mask_bytes);
	*(char *)mask = 1; /* a cpuset may leave one CPU only: it must not count */
	return machine->mask_bytes;
}

static long note_bind(long start, long bytes, long mode, long mask, long maxnode, long flags)
{
	must(advice.count < 4096);
	advice.bind[advice.count].start = (uintptr_t)start;
	advice.bind[advice.count].bytes = (size_t)bytes;
	advice.bind[advice.count].mode = mode;
	advice.bind[advice.count].mask = *(const unsigned long *)mask;
	advice.bind[advice.count].maxnode = (unsigned long)maxnode;
	advice.bind[advice.count++].flags = (unsigned long)flags;
	return 0;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (machine && number == SYS_sched_getaffinity)
		return affinity_mask((size_t)b, (void *)c);
	if (machine && number == SYS_mbind)
		return note_bind(a, b, c, d, e, f);
	return __real_syscall(number, a, b, c, d, e, f);
}

/* Whatever it says, every CPU that there is has an area. */
static int counts_cpus(const void *argument)
{
	char *ptr;
	int real = (int)sysconf(_SC_NPROCESSORS_CONF);

	machine = argument;
	if (!address_space_for(machine->nr ? (size_t)machine->nr : 4096))
		return CANNOT;
	if (machine->nr)
		must(cpu_alloc_nr() == machine->nr);
	else
		must(cpu_alloc_nr() >= real);
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && instances_zero(ptr, 24));
	fill_instances(ptr, 1, 24);
	must(instances_hold(ptr, 1, 24));
	return 0;
}

/* The node that the made up lists give to @cpu, -1 if none. */
static int node_of(int cpu)
{
	for (int node = 0; node < 4; node++) {
		const char *list = machine->node_cpus[node];
		int first, last, used;

		for (; list && sscanf(list, "%d%n", &first, &used) == 1; list += *list == ',') {
			list += used;
			last = first;
			if (sscanf(list, "-%d%n", &last, &used) == 1)
				list += used;
			if (cpu >= first && cpu <= last)
				return node;
		}
	}
	return -1;
}

/* The node that area @i, of 64 KiB, was advised to; -1 if none. */
static int advised_node(const char *ptr, int i)
{
	const uintptr_t at = (uintptr_t)instance(first_handle(ptr), i);
	int node = -1;

	for (int n = 0; n < advice.count; n++) {
		if (advice.bind[n].start > at || advice.bind[n].start + advice.bind[n].bytes <= at)
			continue;
		must(node == -1 && advice.bind[n].start == at && advice.bind[n].bytes >= 65536);
		must(advice.bind[n].bytes < CPU_ALLOC_STRIDE && advice.bind[n].maxnode > 2);
		must(__builtin_popcountl(advice.bind[n].mask) == 1 && advice.bind[n].flags == 0);
		node = __builtin_ctzl(advice.bind[n].mask);
	}
	return node;
}

/* Before anything is resident, each area is told where its CPU's memory is. */
static int binds_areas(const void *argument)
{
	char *ptr;

	machine = argument;
	if (!address_space_for((size_t)machine->nr))
		return CANNOT;
	must(cpu_alloc_setup("percpu=64K") == 0);
	ptr = cpu_alloc(65536, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && own_memory_all(ptr, 65536) == 0);
	must(advised_node(ptr, -1) == -1);
	for (int cpu = 0; cpu < machine->nr; cpu++)
		must(advised_node(ptr, cpu) == node_of(cpu));
	return 0;
}

/* Concurrency ids belong to no CPU, nor to its node. */
static int ids_have_no_node(const void *argument)
{
	must(cpu_alloc_setup("index=cid") == 0);
	machine = argument;
	must(cpu_alloc(24, GFP_KERNEL, 8) && advice.count == 0);
	return 0;
}

static const char *numbered(const char *what, const char *name)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s: %s", what, name);
	return text;
}

int main(void)
{
	struct outcome o;

	for (size_t n = 0; n < sizeof(machines) / sizeof(*machines); n++)
		ok_child_or_skip(numbered("counts", machines[n].name), counts_cpus, &machines[n],
				 "no such address space here");
	for (size_t n = 2; n < 6; n++)
		if (machines[n].node_cpus[1] || machines[n].node_cpus[3])
			ok_child_or_skip(numbered("nodes", machines[n].name), binds_areas,
					 &machines[n], "no such address space here");
	o = run_child(ids_have_no_node, &machines[4]);
	if (strstr(o.err, "index=cpu holds"))
		skip("index=cid: no nodes", "there are no concurrency ids here");
	else
		ok_outcome(&o, "index=cid: no nodes");
	return tap_done();
}
