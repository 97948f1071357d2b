/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Little address space, little memory, locked memory: it works, or says why not. */
#include <sys/resource.h>

#include "helpers.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* From /proc/self/status. */
static size_t status_bytes(const char *name)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	size_t kib = 0;

	must(status);
	while (fgets(line, sizeof(line), status))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtoul(line + strlen(name), NULL, 10);
	fclose(status);
	return kib * KIB;
}

/* So much more of @resource than now, and no more. */
static void limit(__rlimit_resource_t resource, const char *name, size_t more)
{
	struct rlimit rlimit;

	must(getrlimit(resource, &rlimit) == 0);
	rlimit.rlim_cur = status_bytes(name) + more;
	must(setrlimit(resource, &rlimit) == 0);
}

static void unlimit(__rlimit_resource_t resource)
{
	struct rlimit rlimit;

	must(getrlimit(resource, &rlimit) == 0);
	rlimit.rlim_cur = rlimit.rlim_max;
	must(setrlimit(resource, &rlimit) == 0);
}

/* Nobody else can map something at @at. */
static bool is_taken(void *at)
{
	return mmap(at, page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		    -1, 0) == MAP_FAILED &&
	       errno == EEXIST;
}

/* Between the areas others may have memory. It is not the library's. */
static bool map_between(char *at)
{
	char *got = mmap(at, page_bytes(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (got == at)
		*got = 1;
	return got == at;
}

struct piece {
	const char *options;
	size_t bytes; /* of an area */
};

/* A stride for each area is not to be had, percpu= for each is. Magazines may be left out. */
static int some_address_space(const void *argument)
{
	const struct piece *piece = argument;
	const size_t bytes = piece->bytes;
	char *ptr, *end;

	must(cpu_alloc_setup(piece->options) == 0);
	limit(RLIMIT_AS, "VmSize:", ((size_t)cpu_alloc_nr() + 2) * 5 / 4 * bytes + 32 * MIB);
	ptr = cpu_alloc(bytes, GFP_KERNEL | __GFP_ZERO, 4096);
	must(ptr && !cpu_alloc(4, GFP_KERNEL, 4) && errno == ENOMEM);
	fill_instances(ptr, 3, bytes);
	must(instances_hold(ptr, 3, bytes));
	must(unreachable(ptr) && unreachable(ptr + bytes - 1));
	cpu_alloc_for_each (i) {
		end = instance(ptr, i) + bytes;
		must(unreachable(end) && unreachable(end + page_bytes() - 1));
		must(is_taken(end));
	}
	must(map_between(instance(ptr, 0) + bytes + 16 * page_bytes()));
	must(stats_now().resident_bytes == bytes * ((size_t)cpu_alloc_nr() + 1));
	cpu_free(ptr, bytes);
	must(cpu_alloc_trim() == bytes && cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8) == ptr);
	return 0;
}

static int no_address_space(const void *unused)
{
	struct cpu_alloc_stats before;

	(void)unused;
	must(cpu_alloc_nr() > 0);
	before = stats_now();
	limit(RLIMIT_AS, "VmSize:", 8 * MIB);
	for (int n = 0; n < 3; n++)
		must(!cpu_alloc(24, GFP_KERNEL, 8) && errno == ENOMEM);
	must_change(&before, "failed_enomem");
	unlimit(RLIMIT_AS);
	must(cpu_alloc(24, GFP_KERNEL, 8));
	return 0;
}

/* A set-up that failed is no first use: smaller areas may fit. */
static int other_options(const void *unused)
{
	limit(RLIMIT_AS, "VmSize:", 8 * MIB);
	must(!cpu_alloc(24, GFP_KERNEL, 8) && errno == ENOMEM);
	must(cpu_alloc_setup("percpu=64K") == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8));
	(void)unused;
	return 0;
}

/* Whoever asked for the number of areas in between may rely on it. */
static int nr_is_constant(const void *unused)
{
	int nr;

	limit(RLIMIT_AS, "VmSize:", 8 * MIB);
	must(!cpu_alloc(24, GFP_KERNEL, 8) && errno == ENOMEM);
	nr = cpu_alloc_nr();
	must(cpu_alloc_setup("cpus=64") == -1 && errno == EBUSY && cpu_alloc_nr() == nr);
	(void)unused;
	return 0;
}

/* A full area is no fault of the system, and nothing to wait for. */
static int full_area(const void *unused)
{
	must(cpu_alloc_setup("percpu=1M") == 0 && cpu_alloc(4, GFP_KERNEL, 4));
	must(!cpu_alloc(MIB, GFP_KERNEL, 4) && errno == ENOMEM);
	must(!cpu_alloc(MIB, GFP_NOWAIT, 4) && errno == ENOMEM);
	(void)unused;
	return 0;
}

/* Writable memory is short, as it is with vm.overcommit_memory=2. */
static int little_memory(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8), *big;
	struct cpu_alloc_stats before;

	(void)unused;
	settle();
	before = stats_now();
	fill_instances(ptr, 3, 24);
	limit(RLIMIT_DATA, "VmData:", 2 * MIB);
	for (int n = 0; n < 3; n++)
		must(!cpu_alloc(4 * MIB, GFP_KERNEL, 8) && errno == ENOMEM);
	must_change(&before, "failed_enomem");
	cpu_alloc_for_each (i)
		must(unreachable(instance(ptr, i) + before.committed_bytes));
	must(cpu_alloc(8 * KIB, GFP_KERNEL, 8) && instances_hold(ptr, 3, 24));
	unlimit(RLIMIT_DATA);
	big = cpu_alloc(4 * MIB, GFP_KERNEL | __GFP_ZERO, 8);
	must(big && instances_zero(big, 4 * MIB) && instances_hold(ptr, 3, 24));
	return 0;
}

static int no_memory(const void *unused)
{
	(void)unused;
	must(cpu_alloc_nr() > 0);
	limit(RLIMIT_DATA, "VmData:", 0);
	must(!cpu_alloc(24, GFP_KERNEL, 8) && errno == ENOMEM);
	unlimit(RLIMIT_DATA);
	must(cpu_alloc(24, GFP_KERNEL, 8));
	return 0;
}

/* What strict accounting would charge: writable, private mappings among the areas. */
static size_t writable_bytes(const char *start, const char *end)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long from, to;
	size_t bytes = 0;

	must(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && from >= (uintptr_t)start &&
		    to <= (uintptr_t)end && strstr(line, " rw-p "))
			bytes += to - from;
	fclose(maps);
	return bytes;
}

/* 132 GiB of address space, and only what is committed counts as memory. */
static int charges_what_is_committed(const void *unused)
{
	char *first, *end;

	(void)unused;
	if (!address_space_for(512))
		return CANNOT;
	must(cpu_alloc_setup("cpus=512") == 0);
	first = cpu_alloc(24, GFP_KERNEL, 8);
	for (size_t size = 24; size < 4 * MIB; size *= 4) {
		must(cpu_alloc(size, GFP_KERNEL, 8));
		end = instance(first, 512);
		must(writable_bytes(first, end) == 513 * stats_now().committed_bytes);
		must(stats_now().committed_bytes <= 2 * stats_now().top_bytes + 64 * KIB);
	}
	return 0;
}

static bool lock_memory(int what)
{
	return mlockall(what) == 0;
}

/* Of all areas. */
static size_t areas_memory(const char *ptr)
{
	return own_memory_all(first_handle(ptr), (size_t)stats_now().committed_bytes);
}

/* The program wants all its memory locked: the areas are, page by page as it comes. */
static int locked_future(const void *unused)
{
	const size_t areas = (size_t)cpu_alloc_nr() + 1;
	char *ptr, *big;

	(void)unused;
	if (!lock_memory(MCL_FUTURE))
		return CANNOT;
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	big = cpu_alloc(8 * MIB, GFP_KERNEL | __GFP_ZERO, 4096);
	must(ptr && big && areas_memory(ptr) == 0);
	fill_instances(ptr, 1, 24);
	fill_instances(big, 2, 64 * KIB);
	must(areas_memory(ptr) == areas * 68 * KIB);
	/* not the reserved space; one more for what describes the areas */
	must(status_bytes("VmLck:") < (areas + 1) * 20 * MIB);
	cpu_free(big, 8 * MIB);
	cpu_alloc_trim();
	must(areas_memory(ptr) == areas * 4 * KIB && instances_hold(ptr, 1, 24));
	big = cpu_alloc(8 * MIB, GFP_KERNEL | __GFP_ZERO, 4096);
	must(big && areas_memory(ptr) == areas * 4 * KIB && instances_zero(big, 8 * MIB));
	return 0;
}

/* Locking what there is brings that in; what comes later comes page by page. */
static int locked_current(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8), *big;
	size_t before;

	(void)unused;
	must(ptr);
	fill_instances(ptr, 1, 24);
	if (!lock_memory(MCL_CURRENT))
		return CANNOT;
	before = areas_memory(ptr);
	big = cpu_alloc(8 * MIB, GFP_KERNEL | __GFP_ZERO, 4096);
	must(big && areas_memory(ptr) == before);
	fill_instances(big, 2, 8 * MIB);
	cpu_free(big, 8 * MIB);
	must(cpu_alloc_trim() >= 8 * MIB && areas_memory(ptr) <= before);
	must(instances_hold(ptr, 1, 24));
	big = cpu_alloc(8 * MIB, GFP_KERNEL | __GFP_ZERO, 4096);
	must(big && areas_memory(ptr) <= before && instances_zero(big, 8 * MIB));
	return 0;
}

/* Nobody in particular may lock a little only. */
static int locked_unprivileged(const void *unused)
{
	const struct rlimit little = {2 * MIB, 2 * MIB};
	char *ptr;

	(void)unused;
	must(cpu_alloc_setup("percpu=4M") == 0 && cpu_alloc_nr() > 0);
	if (geteuid() != 0 || setrlimit(RLIMIT_MEMLOCK, &little) != 0 ||
	    setresuid(65534, 65534, 65534) != 0 || !lock_memory(MCL_FUTURE))
		return CANNOT;
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	if (!ptr) {
		must(errno == ENOMEM);
		printf("refused\n");
		return 0;
	}
	must(cpu_alloc(MIB, GFP_KERNEL, 8));
	fill_instances(ptr, 1, 24);
	must(instances_hold(ptr, 1, 24));
	return 0;
}

static void ok_refused(const char *name, int (*function)(const void *), const char *why)
{
	struct outcome o = run_child(function, NULL);

	if (!ok(exited(&o, 0) && strstr(o.err, why), "%s, and said why", name))
		diag_outcome(&o);
}

int main(void)
{
	struct outcome o;

	if (under_valgrind()) {
		skip("limits on address space and memory", "valgrind has its own idea of them");
	} else {
		ok_child("under a limit on address space", some_address_space,
			 &(struct piece){"percpu=4M", 4 * MIB});
		ok_child("with 512 CPUs as well", some_address_space,
			 &(struct piece){"percpu=64K,cpus=512", 64 * KIB});
		ok_refused("no address space: ENOMEM", no_address_space, "address space");
		ok_child("other options after a set-up that failed", other_options, NULL);
		ok_child("but not once cpu_alloc_nr() has answered", nr_is_constant, NULL);
		ok_refused("too little memory to grow: ENOMEM", little_memory, "cannot make ");
		ok_refused("no memory at all: ENOMEM", no_memory, "cannot ");
	}
	ok_refused("a full area: ENOMEM", full_area, "no room in an area of percpu=1M");
	ok_child_or_skip("only what is committed counts as memory", charges_what_is_committed, NULL,
			 "no such address space here, as under valgrind");
	ok_child_or_skip("mlockall(MCL_FUTURE): areas stay lazy", locked_future, NULL,
			 "memory cannot be locked here");
	ok_child_or_skip("mlockall(MCL_CURRENT): growth stays lazy", locked_current, NULL,
			 "memory cannot be locked here");
	o = run_child(locked_unprivileged, NULL);
	if (exited(&o, CANNOT))
		skip("mlockall() with little to lock", "cannot become nobody here");
	else if (!ok(exited(&o, 0) && (o.out[0] == 0) == (o.err[0] == 0),
		     "mlockall() with little to lock: it works, or says why not"))
		diag_outcome(&o);
	else
		diag_lines("", o.err);
	return tap_done();
}
