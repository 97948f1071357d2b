/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The interface on all CPUs: where objects lie, how they are reached, limits, growth. */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "helpers.h"

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#define RSEQ_UNREGISTER 1

struct pair {
	uint64_t first;
	uint16_t second;
};

/* Objects lie side by side from the area's start; small ones fill the gaps. */
static int packs_tightly(const void *unused)
{
	char *first = first_fit(4, GFP_KERNEL, 4), *line = first_fit(64, GFP_KERNEL, 64);
	char *gap = first_fit(24, GFP_KERNEL, 8), *rest = first_fit(28, GFP_KERNEL, 4);
	char *next = first_fit(5, GFP_KERNEL, 0), *last = first_fit(4, GFP_KERNEL, 1);

	(void)unused;
	must(first && cpu_alloc_offset(first) == 0);
	must(line == first + 64);
	must(gap == first + 8);
	must(rest == first + 32);
	must(next == first + 4 + 124);
	must(last == first + 4);
	cpu_free(line, 64);
	must(first_fit(60, GFP_KERNEL, 4) == first + 60);
	return 0;
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* Objects of one size too, on one CPU: magazines give the lowest first. */
static int packs_in_rows(const void *unused)
{
	static const size_t sizes[] = {4, 8, 12, 24, 44, 64, 200, 256};
	char *row, *next;

	(void)unused;
	pin((size_t)sched_getcpu());
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
		row = next = first_fit(sizes[k], GFP_KERNEL, 4);
		for (int n = 0; n < 200; n++) {
			must(row && next == row + (size_t)n * sizes[k]);
			next = cpu_alloc(sizes[k], GFP_KERNEL, 4);
		}
	}
	return 0;
}

/* Whatever is asked for, so that one magazine serves all who ask for less than 16. */
static int aligns_even_sizes(const void *unused)
{
	(void)unused;
	for (size_t size = 4; size <= 512; size += 4) {
		char *odd = cpu_alloc(4, GFP_KERNEL, 4), *ptr = cpu_alloc(size, GFP_KERNEL, 1);

		must(odd && ptr && (size > 256 || size % 8 || (uintptr_t)ptr % 8 == 0));
	}
	return 0;
}

static int aligns_every_instance(const void *unused)
{
	(void)unused;
	for (size_t align = 1; align <= CPU_ALLOC_MAX_ALIGN; align *= 2) {
		char *odd = cpu_alloc(4, GFP_KERNEL, 4), *ptr = cpu_alloc(12, GFP_KERNEL, align);

		must(odd && ptr);
		must((uintptr_t)ptr % (align < 4 ? 4 : align) == 0);
		cpu_alloc_for_each (i)
			must((uintptr_t)CPU_PTR(ptr, i) % (align < 4 ? 4 : align) == 0);
	}
	must(cpu_alloc(12, GFP_KERNEL, 0) != NULL);
	return 0;
}

static int reaches_by_stride(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);
	int next = -1;

	(void)unused;
	must(CPU_ALLOC_STRIDE % page_bytes() == 0);
	must((CPU_ALLOC_STRIDE & (CPU_ALLOC_STRIDE - 1)) != 0);
	cpu_alloc_for_each (i) {
		must(i == next++);
		must(CPU_PTR(ptr, i) == ptr + (size_t)(i + 2) * CPU_ALLOC_STRIDE);
	}
	must(next == cpu_alloc_nr());
	must(cpu_alloc_nr() >= (int)sysconf(_SC_NPROCESSORS_CONF));
	fill_instances(ptr, 40, 24);
	must(instances_hold(ptr, 40, 24));
	return 0;
}

static int knows_offsets(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);
	int here;

	(void)unused;
	must(ptr == first_handle(ptr) && cpu_alloc_offset(ptr + 20) == 20);
	must(cpu_alloc_offset(ptr - 1) == SIZE_MAX);
	must(cpu_alloc_offset(CPU_PTR(ptr, -1)) == SIZE_MAX);
	must(cpu_alloc_offset(CPU_PTR(ptr, 0)) == SIZE_MAX);
	must(cpu_alloc_offset(&here) == SIZE_MAX && cpu_alloc_offset(NULL) == SIZE_MAX);
	return 0;
}

static int typed(const void *unused)
{
	struct pair *pair = CPU_ALLOC(struct pair, GFP_KERNEL | __GFP_ZERO);
	uint32_t *array = CPU_ALLOC_ARRAY(uint32_t, 10, GFP_KERNEL);
	struct cpu_alloc_stats before = stats_now();

	(void)unused;
	must(before.cpu_bytes == sizeof(*pair) + 40 && before.objects == 2);
	CPU_PTR(pair, 0)->second = 3;
	CPU_PTR(array, 0)[9] = 4;
	must(CPU_PTR(pair, 0)->second + CPU_PTR(array, 0)[9] == 7);
	must(!CPU_ALLOC_ARRAY(uint32_t, SIZE_MAX / 4 + 2, GFP_KERNEL) && errno == ENOMEM);
	CPU_FREE(pair);
	CPU_FREE_ARRAY(array, 10);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	return 0;
}

static int beside_sched_h(const void *unused)
{
	cpu_set_t *theirs = CPU_ALLOC(100), *ours;
	struct cpu_alloc_stats before;

	(void)unused;
	must(cpu_alloc(4, GFP_KERNEL, 4)); /* its page does not go back with the next */
	settle();
	ours = CPU_ALLOC(cpu_set_t, GFP_KERNEL);
	must(theirs && ours && cpu_alloc_offset(ours) == 8);
	CPU_ZERO_S(CPU_ALLOC_SIZE(100), theirs);
	CPU_SET_S(99, CPU_ALLOC_SIZE(100), theirs);
	must(CPU_COUNT_S(CPU_ALLOC_SIZE(100), theirs) == 1);
	settle();
	before = stats_now();
	CPU_FREE(theirs);
	must_change(&before, "");
	CPU_FREE(ours);
	settle();
	must_change(&before, "cpu_bytes objects frees largest_free_bytes");
	return 0;
}

/* On each CPU that we may use, THIS_CPU() is its instance. */
static int reaches_this_cpu(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);
	cpu_set_t allowed;

	(void)unused;
	must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &allowed))
			continue;
		pin((size_t)cpu);
		must(sched_getcpu() == cpu && cpu_alloc_index() == cpu);
		must(THIS_CPU(ptr) == CPU_PTR(ptr, cpu));
		if (*(const int *)(cpu_alloc_thread_pointer() + cpu_alloc_known_offset) >= 0)
			must(__THIS_CPU(ptr) == CPU_PTR(ptr, cpu));
	}
	return 0;
}

/* Take this thread's registration away, as an old C library has none. */
static bool forget_rseq(void)
{
#ifdef RSEQ_SIG
	uintptr_t rseq = (uintptr_t)cpu_alloc_thread_pointer() + (uintptr_t)__rseq_offset;

	for (long bytes = 32; bytes <= 256; bytes += 4)
		if (syscall(SYS_rseq, rseq, bytes, RSEQ_UNREGISTER, RSEQ_SIG) == 0)
			return true;
#endif
	return false;
}

static void *allocate_unregistered(void *forgotten)
{
	*(bool *)forgotten = forget_rseq();
	reaches_this_cpu(NULL);
	return NULL;
}

static int thread_without_rseq(const void *unused)
{
	pthread_t thread;
	bool forgotten;

	(void)unused;
	must(pthread_create(&thread, NULL, allocate_unregistered, &forgotten) == 0);
	pthread_join(thread, NULL);
	return forgotten ? reaches_this_cpu(NULL) : CANNOT;
}

static int zero_size(const void *unused)
{
	struct cpu_alloc_stats before = stats_now();

	(void)unused;
	must(cpu_alloc(0, GFP_KERNEL, 8) == ZERO_SIZE_PTR);
	must(cpu_alloc(0, GFP_NOWAIT, 0) == ZERO_SIZE_PTR);
	cpu_free(ZERO_SIZE_PTR, 0);
	cpu_free(ZERO_SIZE_PTR, 24);
	cpu_free(NULL, 0);
	cpu_free(NULL, 24);
	must(stats_now().objects == before.objects && stats_now().misuses == before.misuses);
	return 0;
}

static int huge_sizes(const void *unused)
{
	size_t area = (size_t)stats_now().area_bytes;
	const size_t sizes[] = {
		SIZE_MAX,	 SIZE_MAX - 1,		SIZE_MAX - 2,	  SIZE_MAX - 3,
		SIZE_MAX - 4095, (size_t)1 << 63,	(size_t)16 << 30, ((size_t)1 << 32) + 8,
		(size_t)1 << 32, ((size_t)1 << 34) + 8, CPU_ALLOC_STRIDE, area + 1};
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	(void)unused;
	for (size_t n = 0; n < sizeof(sizes) / sizeof(*sizes); n++)
		for (gfp_t mode = GFP_KERNEL; mode <= GFP_ATOMIC; mode <<= 1) {
			struct cpu_alloc_stats before = stats_now();

			errno = 0;
			must(!cpu_alloc(sizes[n], mode | __GFP_ZERO, 8) && errno == ENOMEM);
			must_change(&before, "failed_enomem");
		}
	must(ptr && first_fit(24, GFP_KERNEL, 8) == ptr + 24);
	return 0;
}

/* Full to the last unit, then ENOMEM; it passes when something is freed. */
static int exhaustion(const void *unused)
{
	enum { UNITS = 65536 / 4 };
	static bool taken[UNITS];
	const bool exact = !magazines();
	char *first, *ptr;

	(void)unused;
	must(cpu_alloc_setup("percpu=64K") == 0);
	first = cpu_alloc(4, GFP_KERNEL, 4);
	must(first && cpu_alloc_offset(first) == 0 && stats_now().area_bytes == 65536);
	for (size_t n = 1; n < UNITS; n++) {
		ptr = cpu_alloc(4, GFP_KERNEL, 4);
		must(ptr && ptr > first && !taken[cpu_alloc_offset(ptr) / 4]);
		must(!exact || ptr == first + 4 * n);
		taken[cpu_alloc_offset(ptr) / 4] = true;
	}
	must(stats_now().cpu_bytes == 65536 && stats_now().largest_free_bytes == 0);
	fill_instances(first, 1, 65536);
	for (int n = 0; n < 3; n++)
		must(!cpu_alloc(1, GFP_KERNEL, 1) && errno == ENOMEM);
	must(stats_now().failed_enomem == 3);
	cpu_free(first + 4000, 4);
	must(!cpu_alloc(5, GFP_KERNEL, 4) && errno == ENOMEM);
	must(cpu_alloc(4, GFP_KERNEL, 4) == first + 4000);
	cpu_free(first + 65536 - 8, 4);
	cpu_free(first + 65536 - 4, 4);
	settle();
	must(stats_now().largest_free_bytes == 8);
	must(cpu_alloc(8, GFP_KERNEL, 8) == first + 65536 - 8);
	return 0;
}

/* The area grows in place: what was there stays, at the same handle. */
static int growth(const void *unused)
{
	enum { MIB = 1 << 20, COUNT = 12 };
	char *first = cpu_alloc(16, GFP_KERNEL, 16), *object[COUNT];
	size_t committed = (size_t)stats_now().committed_bytes;
	int steps = 0;

	(void)unused;
	must(first && committed < MIB);
	fill_instances(first, 200, 16);
	for (int n = 0; n < COUNT; n++) {
		object[n] = cpu_alloc(MIB, GFP_KERNEL, 4096);
		must(object[n] > (n ? object[n - 1] : first));
		steps += stats_now().committed_bytes > committed;
		committed = (size_t)stats_now().committed_bytes;
		must(committed >= stats_now().top_bytes);
		must(committed <= stats_now().area_bytes);
		fill_instances(object[n], n, 8192);
		fill_instances(object[n] + MIB - 8192, n, 8192);
	}
	must(steps > 1 && steps < COUNT);
	must(instances_hold(first, 200, 16));
	for (int n = 0; n < COUNT; n++)
		must(instances_hold(object[n], n, 8192) &&
		     instances_hold(object[n] + MIB - 8192, n, 8192));
	return 0;
}

/* What the gauges and counters should say. */
struct model {
	struct slot {
		char *ptr;
		size_t size;
	} slot[64];
	uint64_t bytes, peak, objects, allocs, top;
};

/* Free what is in the slot, or fill it. */
static void turn(struct model *model, struct slot *slot, size_t size, size_t align)
{
	const size_t whole = (size + 3) & ~(size_t)3;

	if (slot->ptr) {
		cpu_free(slot->ptr, slot->size);
		model->bytes -= (slot->size + 3) & ~(size_t)3;
		model->objects--;
		slot->ptr = NULL;
		return;
	}
	slot->ptr = cpu_alloc(size, GFP_KERNEL, align);
	slot->size = size;
	must(slot->ptr);
	model->bytes += whole;
	model->objects++;
	model->allocs++;
	if (model->peak < model->bytes)
		model->peak = model->bytes;
	if (model->top < cpu_alloc_offset(slot->ptr) + whole)
		model->top = cpu_alloc_offset(slot->ptr) + whole;
}

/* What magazines hold counts in the peak, and may lie above what lives. */
static void must_agree(struct model *model, bool exact)
{
	const struct cpu_alloc_stats now = stats_now();

	if (!exact && model->peak < now.cpu_bytes + now.cached_bytes)
		model->peak = now.cpu_bytes + now.cached_bytes;
	must(now.cpu_bytes == model->bytes && now.objects == model->objects);
	must(now.allocs == model->allocs && now.frees == model->allocs - model->objects);
	must(exact ? now.peak_bytes == model->peak : now.peak_bytes >= model->peak);
	must(exact ? now.top_bytes == model->top : now.top_bytes >= model->top);
	must(exact ? now.cached_bytes == 0 : now.peak_bytes <= now.top_bytes);
	must(now.largest_free_bytes >= now.area_bytes - now.top_bytes);
	must(now.largest_free_bytes <= now.area_bytes - now.cpu_bytes - now.cached_bytes);
}

static int stats_agree(const void *unused)
{
	static struct model model;
	const bool exact = !magazines();
	uint64_t cached = 0;
	unsigned int seed = 1;

	(void)unused;
	for (int n = 0; n < 3000; n++) {
		struct slot *slot = &model.slot[rand_r(&seed) % 64];

		turn(&model, slot, 1 + (size_t)rand_r(&seed) % 300, (size_t)4 << n % 5);
		if (n % 16)
			continue;
		must_agree(&model, exact);
		cached += stats_now().cached_bytes;
	}
	must(exact == (cached == 0));
	cpu_alloc_trim();
	must_agree(&model, exact);
	must(stats_now().cached_bytes == 0);
	return 0;
}

/* What largest_free_bytes says can be allocated, and not a unit more. */
static int largest_free_is_true(const void *unused)
{
	char *first;
	size_t largest;

	(void)unused;
	must(cpu_alloc_setup("percpu=1M") == 0);
	first = cpu_alloc(400000, GFP_KERNEL, 4);
	must(first && cpu_alloc(4, GFP_KERNEL, 4));
	cpu_free(first, 400000);
	settle();
	largest = (size_t)stats_now().largest_free_bytes;
	must(largest == (1 << 20) - 400004);
	must(!cpu_alloc(largest + 1, GFP_KERNEL, 4) && errno == ENOMEM);
	must(cpu_alloc(largest, GFP_KERNEL, 4) == first + 400004);
	must(stats_now().largest_free_bytes == 400000);
	return 0;
}

static int stats_of_any_size(const void *unused)
{
	union {
		struct cpu_alloc_stats stats;
		unsigned char byte[sizeof(struct cpu_alloc_stats) + 64];
	} s;

	(void)unused;
	for (size_t n = 0; n <= sizeof(s); n++) {
		memset(&s, 0xa5, sizeof(s));
		errno = 0;
		if (n < sizeof(s.stats.size)) {
			must(cpu_alloc_stats(&s.stats, n) == -1 && errno == EINVAL);
			must(all_bytes(&s, 0xa5, sizeof(s)));
			continue;
		}
		must(cpu_alloc_stats(&s.stats, n) == 0);
		must(s.stats.size <= n && s.stats.size <= sizeof(s.stats));
		must(s.stats.size > n - 8 || s.stats.size == sizeof(s.stats));
		must(all_bytes(&s.byte[s.stats.size], 0xa5, sizeof(s) - s.stats.size));
	}
	return 0;
}

static int on_one_cpu(const void *unused)
{
	char *ptr;

	(void)unused;
	pin((size_t)sched_getcpu());
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && instances_zero(ptr, 24) && cpu_alloc_nr() >= 1);
	memset(THIS_CPU(ptr), 1, 24);
	cpu_free(ptr, 24);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	return 0;
}

static int on_4096_cpus(const void *unused)
{
	const bool exact = !magazines();
	char *ptr, *next;

	(void)unused;
	if (!address_space_for(4096))
		return CANNOT;
	must(cpu_alloc_setup("percpu=64K,cpus=4096") == 0);
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && cpu_alloc_nr() == 4096 && instances_zero(ptr, 24));
	fill_instances(ptr, 7, 24);
	must(instances_hold(ptr, 7, 24));
	for (int n = 1; n <= 2000; n++) {
		next = cpu_alloc(24, GFP_KERNEL, 8);
		must(next > ptr && (!exact || next == ptr + 24 * n));
	}
	must(instances_hold(ptr, 7, 24));
	return 0;
}

/* Between the areas, and before and behind them, there is nothing to touch. */
static int guard_space(const void *options)
{
	char *ptr;
	size_t area;

	must(cpu_alloc_setup(options) == 0);
	ptr = cpu_alloc(24, GFP_KERNEL, 8);
	area = (size_t)stats_now().area_bytes;
	must(cpu_alloc(area - 24, GFP_KERNEL, 8)); /* all of it is writable now */
	must(unreachable(ptr) && unreachable(ptr + area - 4));
	must(unreachable(instance(ptr, -1) - 4));
	cpu_alloc_for_each (i) {
		char *end = instance(ptr, i) + area;

		must(!unreachable(end - 1));
		must(unreachable(end) && unreachable(end + page_bytes() - 1));
		if (i < cpu_alloc_nr() - 1)
			must(unreachable(instance(ptr, i + 1) - 1));
	}
	return 0;
}

static const char *percpu_max(void)
{
	static char options[64];

	snprintf(options, sizeof(options), "percpu=%zu", CPU_ALLOC_STRIDE - ((size_t)1 << 20));
	return options;
}

static void handles_fault(void)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	ok(faults(ptr) && faults(ptr + 20), "reading or writing a handle faults");
	cpu_free(ptr, 24);
}

static void without_rseq(void)
{
	struct start start = {"GLIBC_TUNABLES", "glibc.pthread.rseq=0", NULL, "this-cpu"};
	struct outcome o;

	ok_child_or_skip("THIS_CPU on a thread that rseq does not know", thread_without_rseq, NULL,
			 "this C library or kernel registers no thread");
	ok_child("THIS_CPU in a process that rseq does not know", exec_start, &start);
	o = run_self("rseq=off", "this-cpu");
	ok_outcome(&o, "THIS_CPU with rseq=off");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return strcmp(argv[1], "this-cpu") == 0 ? reaches_this_cpu(NULL) : 2;

	ok_child("objects lie side by side, small ones fill the gaps", packs_tightly, NULL);
	ok_child("objects of one size lie in rows", packs_in_rows, NULL);
	ok_child("an even number of units is aligned to 8", aligns_even_sizes, NULL);
	ok_child("every instance is aligned, 1 to 4096", aligns_every_instance, NULL);
	ok_child("instances lie a stride apart, -1 to nr - 1", reaches_by_stride, NULL);
	ok_child("cpu_alloc_offset() tells handles from the rest", knows_offsets, NULL);
	ok_child("CPU_ALLOC, CPU_ALLOC_ARRAY, CPU_FREE, CPU_FREE_ARRAY", typed, NULL);
	ok_child("CPU_ALLOC and CPU_FREE of <sched.h> go on working", beside_sched_h, NULL);
	ok_child("THIS_CPU on every CPU", reaches_this_cpu, NULL);
	without_rseq();
	ok_child("size 0, NULL and ZERO_SIZE_PTR", zero_size, NULL);
	ok_child("huge and wrapping sizes: ENOMEM, nothing touched", huge_sizes, NULL);
	ok_child("full to the last unit, and usable again", exhaustion, NULL);
	ok_child("growth in place, in a few steps", growth, NULL);
	ok_child("statistics agree with a model", stats_agree, NULL);
	ok_child("largest_free_bytes can be had, and no more", largest_free_is_true, NULL);
	ok_child("cpu_alloc_stats() writes at most n bytes", stats_of_any_size, NULL);
	ok_child("a process that may use one CPU only", on_one_cpu, NULL);
	ok_child_or_skip("4096 CPUs", on_4096_cpus, NULL,
			 "no such address space here, as under valgrind");
	ok_child("guard space around each area of 64K", guard_space, "percpu=64K,cpus=16");
	ok_child("guard space around the largest area", guard_space, percpu_max());
	handles_fault();
	return tap_done();
}
