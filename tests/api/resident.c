/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What is resident: nothing that nobody wrote, and not for ever what is free.
 *
 * Counted by /proc/self/pagemap (own_memory() in helpers.h). Page faults are
 * those of getrusage(). Calls of madvise() are counted by wrapping it.
 */
#include <sched.h>
#include <sys/resource.h>

#include "inside.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define HUGE_PAGE (2 * MIB)

static size_t discards; /* calls of madvise() that give memory back */

int __real_madvise(void *at, size_t bytes, int advice);
int __wrap_madvise(void *at, size_t bytes, int advice);

int __wrap_madvise(void *at, size_t bytes, int advice)
{
	discards += advice == MADV_DONTNEED;
	return __real_madvise(at, bytes, advice);
}

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Of a whole area, up to what is committed; not by cpu_alloc_stats(), which is slow. */
static size_t area_memory(const void *ptr, int i)
{
	return own_memory(instance(first_handle(ptr), i), cpu_alloc_state.areas.committed);
}

/* Has no area but @but anything resident? */
static bool only(const void *ptr, int but)
{
	cpu_alloc_for_each (i)
		if (i != but && area_memory(ptr, i) != 0)
			return false;
	return true;
}

/* Allocating, zeroing, growing: a CPU that did not write has nothing. */
static int never_wrote(const void *options)
{
	char *ptr, *object;

	if (!address_space_for(512))
		return CANNOT;
	must(cpu_alloc_setup(options) == 0);
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	for (int n = 0; n < 100; n++) {
		object = cpu_alloc(3000, GFP_KERNEL | __GFP_ZERO, 64);
		must(object);
		memset(instance(object, 0), 1, 3000);
	}
	must(cpu_alloc(MIB, GFP_KERNEL | __GFP_ZERO, 4096));
	must(only(ptr, 0));
	must(area_memory(ptr, 0) >= 300000 && area_memory(ptr, 0) < 300000 + 32 * KIB);
	must(stats_now().resident_bytes == area_memory(ptr, 0));
	return 0;
}

/* The same number of page faults with few CPUs and with many. */
static int fresh_faults(const void *options)
{
	long before, faults_taken;

	if (!address_space_for(512))
		return CANNOT;
	must(cpu_alloc_setup(options) == 0);
	must(cpu_alloc(64, GFP_KERNEL | __GFP_ZERO, 64));
	before = page_faults();
	for (int n = 0; n < 10; n++)
		must(cpu_alloc(8, GFP_KERNEL | __GFP_ZERO, 8));
	must(cpu_alloc(3 * 4096, GFP_KERNEL | __GFP_ZERO, 4096));
	faults_taken = page_faults() - before;
	printf("%ld page faults with %s\n", faults_taken, (const char *)options);
	must(faults_taken < 100); /* of the program itself, and what a tool adds */
	return 0;
}

/* Dirty memory, used again: all instances zero, tail included, and only there resident. */
static int recycled(const void *unused)
{
	const size_t bytes = 100 * KIB + 5;
	char *ptr;

	(void)unused;
	must(cpu_alloc_setup("cpus=64") == 0);
	ptr = cpu_alloc(bytes, GFP_KERNEL, 8);
	must(ptr && cpu_alloc(4, GFP_KERNEL, 4));
	memset(instance(ptr, 3), 0xff, bytes + 3);
	instance(ptr, 5)[50 * KIB] = 1;
	for (int n = 0; n < 3; n++) {
		cpu_free(ptr, bytes);
		must(cpu_alloc(bytes, GFP_KERNEL | __GFP_ZERO, 8) == ptr);
		must(instances_zero(ptr, bytes + 3));
		must(area_memory(ptr, 3) <= 104 * KIB && area_memory(ptr, 5) == 4 * KIB);
		cpu_alloc_for_each (i)
			must(i == 3 || i == 5 || area_memory(ptr, i) == 0);
		memset(instance(ptr, 3), 0xff, bytes + 3);
	}
	return 0;
}

/* Zero is zero in every mixture of fresh, dirty and given back memory. */
static int always_zero(const void *unused)
{
	const int written = cpu_alloc_nr() < 2 ? 2 : 3; /* areas, from that for strays on */
	unsigned int seed = 7;
	struct {
		char *ptr;
		size_t size;
	} slot[32] = {{0}};

	(void)unused;
	for (int n = rounds(4000); n > 0; n--) {
		size_t k = (size_t)rand_r(&seed) % 32;
		size_t size = 1 + (size_t)rand_r(&seed) % (n % 2 ? 20000 : 300);
		size_t align = (size_t)4 << rand_r(&seed) % 11;

		if (slot[k].ptr)
			cpu_free(slot[k].ptr, slot[k].size);
		if (n % 50 == 0)
			cpu_alloc_trim();
		slot[k].size = size;
		slot[k].ptr = cpu_alloc(size, GFP_KERNEL | __GFP_ZERO, align);
		must(slot[k].ptr && instances_zero(slot[k].ptr, (size + 3) & ~(size_t)3));
		memset(instance(slot[k].ptr, n % written - 1), 0xff, (size + 3) & ~(size_t)3);
	}
	return 0;
}

/* Memory that a write of 8 bytes makes resident, well inside a large object. */
static size_t of_8_bytes(const char *options)
{
	char *ptr, *middle;

	must(cpu_alloc_setup(options) == 0);
	ptr = cpu_alloc(8 * MIB, GFP_KERNEL, 4096);
	must(ptr);
	middle = instance(ptr, 0) + 4 * MIB;
	memset(middle, 1, 8);
	return own_memory(middle - HUGE_PAGE, 2 * HUGE_PAGE);
}

/* Does @flag stand in the VmFlags of the mapping that @address lies in? */
static bool has_flag(const void *address, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned long start, end;
	bool inside = false, found = false;

	must(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)address >= start && (uintptr_t)address < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return found;
}

static bool kernel_has_huge_pages(void)
{
	char text[64] = "[never]";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		read_back(fd, text, sizeof(text));
	return !strstr(text, "[never]");
}

/* The control: advised to, the kernel does bring in 2 MiB for 8 bytes. */
static int huge_if_asked(const void *unused)
{
	(void)unused;
	if (!kernel_has_huge_pages())
		return CANNOT;
	must(of_8_bytes("thp=on") >= HUGE_PAGE);
	return 0;
}

/* Whether the kernel's setting is always, madvise or never: the areas say no. */
static int small_by_default(const void *unused)
{
	char *ptr;

	(void)unused;
	must(of_8_bytes("") == 4 * KIB);
	ptr = cpu_alloc(MIB, GFP_KERNEL, 4096);
	must(ptr);
	cpu_alloc_for_each (i)
		must(!kernel_has_huge_pages() || has_flag(instance(ptr, i), " nh"));
	return 0;
}

static int trimmed(const void *unused)
{
	char *below = first_fit(100, GFP_KERNEL, 4), *big = first_fit(MIB, GFP_KERNEL, 8), *above;
	size_t given, again;

	(void)unused;
	above = first_fit(100, GFP_KERNEL, 4);
	must(below && big && above);
	fill_instances(below, 10, 100);
	fill_instances(above, 20, 100);
	fill_instances(big, 30, MIB);
	must(cpu_alloc_trim() == 0 && own_memory(instance(big, -1), MIB) >= MIB);
	cpu_free(big, MIB);
	given = cpu_alloc_trim();
	again = cpu_alloc_trim();
	must(given > MIB - 3 * page_bytes() && given <= MIB && again == 0);
	must(stats_now().given_back_bytes == given);
	cpu_alloc_for_each (i)
		must(area_memory(big, i) <= 4 * page_bytes());
	must(instances_hold(below, 10, 100) && instances_hold(above, 20, 100));
	must(first_fit(MIB, GFP_KERNEL | __GFP_ZERO, 8) == big && instances_zero(big, MIB));
	return 0;
}

/* Nobody calls trim: a few thousand small allocations do it as well. */
static int given_back_by_the_way(const void *unused)
{
	char *big = cpu_alloc(4 * MIB, GFP_KERNEL, 8), *small;
	size_t most = 0;
	int calls = 0;

	(void)unused;
	must(big);
	fill_instances(big, 30, 4 * MIB);
	cpu_free(big, 4 * MIB);
	must(area_memory(big, 0) >= 4 * MIB);
	for (; calls < 8000 && area_memory(big, 0) > 128 * KIB; calls += 16)
		for (int n = 0; n < 16; n++) {
			size_t before = discards;

			small = cpu_alloc(16, GFP_KERNEL, 8);
			if (most < discards - before)
				most = discards - before;
			cpu_free(small, 16);
		}
	printf("4 MiB went back within %d calls, %zu calls of madvise() in one\n", calls, most);
	must(calls < 8000 && most < 64);
	must(stats_now().allocs == 1 + (uint64_t)calls && stats_now().objects == 0);
	cpu_alloc_for_each (i)
		must(area_memory(big, i) <= 128 * KIB);
	return 0;
}

/* A burst that comes again after a while finds its pages: they do not go each time. */
static int burst(const void *unused)
{
	const int times = rounds(1000);
	const bool exact = !magazines();
	char *ptr = cpu_alloc(MIB, GFP_KERNEL, 8), *again;
	size_t before;

	(void)unused;
	must(ptr);
	fill_instances(ptr, 1, MIB);
	cpu_free(ptr, MIB);
	before = discards;
	for (int n = 0; n < times; n++) {
		again = cpu_alloc(MIB, GFP_KERNEL, 8);
		must(again >= ptr && again - ptr < (exact ? 1 : 8 * (ptrdiff_t)KIB));
		cpu_free(again, MIB);
		for (int k = 0; k < 20; k++)
			cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
	}
	printf("%zu calls of madvise() in %d bursts\n", discards - before, times);
	must(discards - before < (size_t)times / 10);
	must(own_memory_all(ptr, MIB) == MIB * ((size_t)cpu_alloc_nr() + 1));
	return 0;
}

static size_t metadata_memory(void)
{
	return own_memory(cpu_alloc_state.own, metadata_bytes());
}

static size_t magazines_memory(void)
{
	return caches_are_there() ? own_memory(magazines_of(DEPOT), magazines_bytes()) : 0;
}

/*
 * The library's own memory that describes only free memory goes back as well. It is
 * a tenth of what is used for the map, and two bytes a unit for the states.
 */
static int metadata(const void *unused)
{
	const size_t bytes = (size_t)rounds(40) * 100 * KIB, units = bytes / 4;
	char **object = calloc(units, sizeof(*object));
	size_t empty, full, trimmed_to;

	(void)unused;
	must(bind_to(sched_getcpu()));
	must(object && (object[0] = cpu_alloc(4, GFP_KERNEL, 4)));
	empty = metadata_memory();
	for (size_t n = 1; n < units; n++)
		must((object[n] = cpu_alloc(4, GFP_KERNEL, 4)));
	full = metadata_memory();
	must((magazines_memory() > 0) == magazines());
	for (size_t n = 1; n < units; n++)
		cpu_free(object[n], 4);
	cpu_alloc_trim();
	trimmed_to = metadata_memory();
	printf("metadata: %zu KiB empty, %zu full, %zu trimmed\n", empty / KIB, full / KIB,
	       trimmed_to / KIB);
	must(full > empty + bytes / 20 + bytes / 2);
	must(full < empty + bytes / 10 + bytes / 2 + 4 * page_bytes());
	must(trimmed_to <= empty + 8 * page_bytes());
	must(magazines_memory() == 0 && stats_now().cached_bytes == 0);
	must(cpu_alloc(bytes - 4, GFP_KERNEL | __GFP_ZERO, 4) == object[0] + 4);
	free(object);
	return 0;
}

/* Magazines of a CPU that does nothing go back, and so do those that were looked at since. */
static int magazines_go_back(const void *unused)
{
	enum { COUNT = 1000 };
	char *object[COUNT];

	(void)unused;
	if (!magazines() || !bind_to(1) || !bind_to(0))
		return CANNOT;
	for (int n = 0; n < COUNT; n++)
		must((object[n] = cpu_alloc(24, GFP_KERNEL, 8)));
	cpu_free(object[0], 24);
	must(own_memory(magazines_of(0), MAGAZINES_STRIDE) > 0 && bind_to(1));
	for (int n = 0; n < 4000; n++) {
		cpu_free(cpu_alloc(400, GFP_KERNEL, 8), 400);
		cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
	}
	must(own_memory(magazines_of(0), MAGAZINES_STRIDE) == 0);
	for (int n = 1; n < COUNT; n++)
		cpu_free(object[n], 24);
	must(stats_now().objects == 0);
	cpu_alloc_trim();
	must(stats_now().cached_bytes == 0 && magazines_memory() == 0);
	return 0;
}

/* What lives between the pages that go keeps its bytes, trim after trim. */
static int live_objects_stay(const void *unused)
{
	enum { COUNT = 300 };
	char *object[COUNT];

	(void)unused;
	for (int n = 0; n < COUNT; n++) {
		object[n] = cpu_alloc(5000, GFP_KERNEL, 4);
		must(object[n]);
		fill_instances(object[n], n, 5000);
	}
	for (int step = 2; step <= COUNT; step++) {
		for (int n = step - 1; n < COUNT; n += step) {
			if (object[n])
				cpu_free(object[n], 5000);
			object[n] = NULL;
		}
		if (step % 10)
			continue;
		cpu_alloc_trim();
		for (int n = 0; n < COUNT; n++)
			must(!object[n] || instances_hold(object[n], n, 5000));
	}
	must(stats_now().given_back_bytes > 0 && instances_hold(object[0], 0, 5000));
	return 0;
}

static void ok_telling(const char *name, int (*function)(const void *), const void *argument)
{
	struct outcome o = run_child(function, argument);

	if (exited(&o, CANNOT))
		return skip(name, "no such address space here, as under valgrind");
	ok_outcome(&o, name);
	if (exited(&o, 0))
		diag_lines("", o.out);
}

int main(void)
{
	if (access("/proc/self/pagemap", R_OK) != 0) {
		skip("resident pages", "/proc/self/pagemap cannot be read");
		return tap_done();
	}
	ok_telling("a CPU that never wrote has nothing resident", never_wrote, "");
	ok_telling("nor with cpus=512", never_wrote, "cpus=512");
	ok_telling("zeroing fresh memory takes no fault", fresh_faults, "cpus=8");
	ok_telling("nor with cpus=512", fresh_faults, "cpus=512");
	ok_child("zeroing used memory makes nothing resident", recycled, NULL);
	ok_child("__GFP_ZERO is zero, whatever was there", always_zero, NULL);
	ok_child_or_skip("8 bytes in a huge page, thp=on", huge_if_asked, NULL,
			 "this kernel gives no huge pages");
	ok_child("8 bytes make one page resident", small_by_default, NULL);
	ok_child("cpu_alloc_trim() gives free pages back", trimmed, NULL);
	ok_telling("allocations give free pages back", given_back_by_the_way, NULL);
	ok_telling("a burst keeps its pages", burst, NULL);
	ok_telling("metadata goes back", metadata, NULL);
	ok_child_or_skip("magazines go back", magazines_go_back, NULL,
			 "no magazines, or CPU 0 and CPU 1 cannot be chosen");
	ok_child("live objects keep their bytes", live_objects_stay, NULL);
	return tap_done();
}
