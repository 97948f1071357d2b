/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The 32 defects of the allocator of 2008, by number, up to 20: what it did, and
 * that it does not happen here. That of its bitmap (1) is in defects_map.c.
 */
#include <pthread.h>
#include <sched.h>

#include "inside.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static int defect_2(const void *unused)
{
	(void)unused;
	must(cpu_alloc_setup("cpus=16") == 0);
	must(cpu_alloc(4, GFP_KERNEL, 4)); /* whatever comes next is not aligned by chance */
	for (size_t align = 4; align <= 4096; align *= 2) {
		char *ptr = cpu_alloc(align + 4, GFP_KERNEL, align);

		must(ptr && cpu_alloc(4, GFP_KERNEL, 4));
		cpu_alloc_for_each (i)
			must((uintptr_t)CPU_PTR(ptr, i) % align == 0);
	}
	return 0;
}

static int defect_3(const void *unused)
{
	const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX - 3, 16UL << 30, 1UL << 63};
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	(void)unused;
	fill_instances(ptr, 1, 24);
	for (size_t n = 0; n < sizeof(sizes) / sizeof(*sizes); n++) {
		struct cpu_alloc_stats before = stats_now();

		errno = 0;
		must(!cpu_alloc(sizes[n], GFP_KERNEL | __GFP_ZERO, 8) && errno == ENOMEM);
		must_change(&before, "failed_enomem");
	}
	must(instances_hold(ptr, 1, 24));
	return 0;
}

/* Free what must not be freed: reported, and nothing else changes. */
static void must_refuse(void *ptr, size_t size)
{
	struct cpu_alloc_stats before = stats_now();

	cpu_free(ptr, size);
	must_change(&before, "misuses");
	must(stats_now().misuses == before.misuses + 1);
}

static int defect_4(const void *unused)
{
	char *below = first_fit(40, GFP_KERNEL, 8), *ptr = first_fit(40, GFP_KERNEL, 8);
	char *above = first_fit(40, GFP_KERNEL, 8);

	(void)unused;
	fill_instances(below, 1, 120);
	must_refuse(ptr, 80);
	must_refuse(below, 120);
	must_refuse(ptr, 36);
	must_refuse(ptr, 4);
	must_refuse(ptr + 20, 20);
	must_refuse(ptr + 36, 4);
	cpu_free(ptr, 40);
	must_refuse(ptr, 40);
	must_refuse(ptr, 20);
	must_refuse(ptr + 20, 20);
	must_refuse(below, 80);
	must(instances_hold(below, 1, 120));
	cpu_free(below, 40);
	cpu_free(above, 40);
	must(stats_now().objects == 0);
	return 0;
}

static int defect_5(const void *unused)
{
	char *ptr, *last;

	(void)unused;
	must(cpu_alloc_setup("percpu=4K") == 0);
	ptr = cpu_alloc(8, GFP_KERNEL, 8);
	must_refuse(ptr, 0);
	must_refuse(ptr, 8 * KIB);
	must_refuse(ptr, SIZE_MAX);
	must_refuse(ptr + 4 * KIB - 4, 8);
	must(cpu_alloc(4 * KIB - 12, GFP_KERNEL, 4));
	last = cpu_alloc(4, GFP_KERNEL, 4);
	must(last == ptr + 4 * KIB - 4);
	must_refuse(last, 8);
	must_refuse(last, SIZE_MAX - 3);
	must_refuse(last, 0);
	cpu_free(last, 4);
	must_refuse(last, 4);
	return 0;
}

/* Two threads that free one object at the same moment, round after round. */
struct race {
	char *ptr;
	int rounds;
	int arrived; /* at a meeting; both threads pass it when it is even */
};

static void meet(struct race *race)
{
	const int after = (__atomic_fetch_add(&race->arrived, 1, __ATOMIC_SEQ_CST) | 1) + 1;

	for (int n = 0; __atomic_load_n(&race->arrived, __ATOMIC_SEQ_CST) < after; n++)
		if (n > 10000) /* the other has no CPU perhaps */
			sched_yield();
}

static void *free_again(void *argument)
{
	struct race *race = argument;

	for (int n = 0; n < race->rounds; n++) {
		meet(race);
		cpu_free(race->ptr, 24);
		meet(race);
	}
	return NULL;
}

static int defect_6(const void *unused)
{
	struct race race = {.rounds = rounds(20000)};
	const bool exact = !magazines();
	pthread_t other;
	char *first;

	(void)unused;
	race.ptr = first = cpu_alloc(24, GFP_KERNEL, 8);
	must(pthread_create(&other, NULL, free_again, &race) == 0);
	for (int n = 0; n < race.rounds; n++) {
		meet(&race);
		for (volatile int late = n % 128; late > 0; late--)
			; /* now and then this thread is later by just as much as it takes */
		cpu_free(race.ptr, 24);
		meet(&race);
		race.ptr = cpu_alloc(24, GFP_KERNEL, 8);
		must(race.ptr && (!exact || race.ptr == first));
	}
	pthread_join(other, NULL);
	must(stats_now().frees == (uint64_t)race.rounds);
	must(stats_now().misuses == (uint64_t)race.rounds);
	return 0;
}

static struct {
	char *ptr;
	bool go, done; /* atomic */
} second_free;

static void *free_second(void *unused)
{
	while (!__atomic_load_n(&second_free.go, __ATOMIC_SEQ_CST))
		sched_yield();
	cpu_free(second_free.ptr, 24);
	__atomic_store_n(&second_free.done, true, __ATOMIC_SEQ_CST);
	return unused;
}

/* The first free has decided and is about to change the map: let the second go ahead. */
static void between_check_and_change(int number)
{
	(void)number;
	mprotect(cpu_alloc_state.own, metadata_bytes(), PROT_READ | PROT_WRITE);
	__atomic_store_n(&second_free.go, true, __ATOMIC_SEQ_CST);
	for (int n = 0; n < 100 && !__atomic_load_n(&second_free.done, __ATOMIC_SEQ_CST); n++)
		usleep(1000);
}

/* The same, not left to chance: metadata that cannot be written stops the first free. */
static int defect_6_stopped(const void *unused)
{
	pthread_t other;

	(void)unused;
	if (under_valgrind())
		return CANNOT;
	second_free.ptr = cpu_alloc(24, GFP_KERNEL, 8);
	must(second_free.ptr && cpu_alloc(24, GFP_KERNEL, 8));
	must(pthread_create(&other, NULL, free_second, NULL) == 0);
	signal(SIGSEGV, between_check_and_change);
	must(mprotect(cpu_alloc_state.own, metadata_bytes(), PROT_READ) == 0);
	cpu_free(second_free.ptr, 24);
	must(second_free.go && pthread_join(other, NULL) == 0);
	must(stats_now().frees == 1 && stats_now().misuses == 1 && stats_now().objects == 1);
	return 0;
}

static int defect_7(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	(void)unused;
	for (int n = 1; n < 4; n++) {
		must_refuse(ptr + n, 24);
		must_refuse(ptr + n, 20);
		must_refuse(ptr - n, 24);
	}
	return 0;
}

static int defect_8(const void *unused)
{
	const size_t aligns[] = {3, 6, 12, 4097, 8192, 1UL << 32, 1UL << 63, SIZE_MAX};

	(void)unused;
	for (size_t n = 0; n < sizeof(aligns) / sizeof(*aligns); n++) {
		errno = 0;
		must(!cpu_alloc(24, GFP_KERNEL, aligns[n]) && errno == EINVAL);
	}
	must(stats_now().failed_einval == 8 && stats_now().allocs == 0);
	return 0;
}

static int defect_9(const void *unused)
{
	struct wide {
		long word[4];
	} *wide = CPU_ALLOC(struct wide, GFP_KERNEL);
	struct cpu_alloc_stats before = stats_now();

	(void)unused;
	CPU_FREE((int *)(void *)wide);
	must_change(&before, "misuses");
	CPU_FREE(wide);
	must(stats_now().objects == 0);
	return 0;
}

static int defect_10(const void *unused)
{
	(void)unused;
	return write_address(cpu_alloc(24, GFP_KERNEL, 8));
}

/* Before all other constructors of this program, and before the library's own. */
static struct {
	uint32_t *ptr;
	int index, nr;
	uint64_t area_bytes;
} constructed;

__attribute__((constructor(101))) static void construct(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "constructed") != 0)
		return;
	constructed.index = cpu_alloc_index();
	constructed.nr = cpu_alloc_nr();
	constructed.ptr = CPU_ALLOC(uint32_t, GFP_KERNEL | __GFP_ZERO);
	if (!constructed.ptr)
		return;
	*THIS_CPU(constructed.ptr) += 11;
	constructed.area_bytes = stats_now().area_bytes;
}

/* In a process of its own, with CPU_ALLOC=percpu=64K. */
static int was_constructed(void)
{
	uint32_t sum = 0;

	must(constructed.ptr && constructed.area_bytes == 64 * KIB);
	must(constructed.index >= -1 && constructed.index < constructed.nr);
	cpu_alloc_for_each (i)
		sum += *CPU_PTR(constructed.ptr, i);
	must(sum == 11);
	CPU_FREE(constructed.ptr);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	return 0;
}

/* More than once: what is read too early may be right by chance. */
static void defect_11(void)
{
	struct outcome o = run_self_alike("percpu=64K", "constructed");

	for (int n = 0; n < 10 && exited(&o, 0); n++)
		o = run_self_alike("percpu=64K", "constructed");
	ok_outcome(&o, "defect 11: usable in the first constructor");
}

static int show_area(void)
{
	must(cpu_alloc(24, GFP_KERNEL, 8));
	printf("%" PRIu64, stats_now().area_bytes);
	return 0;
}

/* With @options it works, with areas of @bytes; if they are bad the message names @bad. */
static void ok_area(int defect, const char *options, size_t bytes, const char *bad)
{
	struct outcome o = run_self_alike(options, "show-area");

	if (!ok(exited(&o, 0) && strtoul(o.out, NULL, 10) == bytes &&
			(bad ? strstr(o.err, bad) != NULL : !o.err[0]),
		"defect %d: %s %s", defect, options, bad ? "is refused by name" : "is taken"))
		diag_outcome(&o);
}

static int defect_14(const void *unused)
{
	char *ptr, *end;

	(void)unused;
	must(cpu_alloc_setup("percpu=8K,cpus=8") == 0);
	ptr = cpu_alloc(8 * KIB, GFP_KERNEL | __GFP_ZERO, 4096);
	must(ptr && !cpu_alloc(4, GFP_KERNEL, 4));
	cpu_alloc_for_each (i) {
		end = instance(ptr, i) + 8 * KIB;
		must(!unreachable(end - 1) && unreachable(end) && unreachable(end + 4 * KIB));
	}
	return 0;
}

static int defect_15(const void *unused)
{
	size_t units;
	char *first, *odd;

	(void)unused;
	must(cpu_alloc_setup("percpu=4097") == 0);
	first = first_fit(5, GFP_KERNEL, 4);
	odd = first_fit(7, GFP_KERNEL, 4);
	must(first && odd == first + 8 && first_fit(1, GFP_KERNEL, 4) == odd + 8);
	settle();
	must(stats_now().area_bytes == 8 * KIB && stats_now().cpu_bytes == 20);
	units = (size_t)stats_now().largest_free_bytes / 4;
	must(units == (8 * KIB - 20) / 4);
	for (size_t n = 0; n < units; n++)
		must(cpu_alloc(4, GFP_KERNEL, 4));
	must(stats_now().cpu_bytes == 8 * KIB && !cpu_alloc(1, GFP_KERNEL, 1));
	return 0;
}

static int defect_16(const void *unused)
{
	cpu_set_t one;
	char *ptr;

	(void)unused;
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	must(sched_setaffinity(0, sizeof(one), &one) == 0);
	ptr = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && instances_zero(ptr, 24));
	memset(THIS_CPU(ptr), 1, 24);
	cpu_free(ptr, 24);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	return 0;
}

static int defect_17(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8), *big;
	size_t at_first = (size_t)stats_now().committed_bytes;

	(void)unused;
	fill_instances(ptr, 1, 24);
	big = first_fit(15 * MIB, GFP_KERNEL, 8);
	must(big && stats_now().committed_bytes > 15 * MIB && at_first < MIB);
	must(!cpu_alloc(MIB, GFP_KERNEL, 8) && errno == ENOMEM);
	cpu_free(big, 15 * MIB);
	must(cpu_alloc(MIB, GFP_KERNEL, 8) == big && instances_hold(ptr, 1, 24));
	return 0;
}

static int defect_18(const void *unused)
{
	char *ptr;

	(void)unused;
	must(cpu_alloc_setup("cpus=64") == 0);
	ptr = cpu_alloc(MIB, GFP_KERNEL | __GFP_ZERO, 8);
	must(ptr && own_memory_all(ptr, MIB) == 0);
	memset(instance(ptr, 7), 1, MIB);
	must(own_memory_all(ptr, MIB) == own_memory(instance(ptr, 7), MIB));
	return 0;
}

/* 32 bits of a size are not enough. */
static int defect_19(const void *unused)
{
	char *ptr = cpu_alloc(8, GFP_KERNEL, 8);

	(void)unused;
	must(!cpu_alloc((1UL << 32) + 8, GFP_KERNEL, 8) && errno == ENOMEM);
	must(!cpu_alloc((1UL << 34) + 8, GFP_KERNEL, 8) && errno == ENOMEM);
	must(!cpu_alloc(8, GFP_KERNEL, (1UL << 32) + 8) && errno == EINVAL);
	must_refuse(ptr, (1UL << 32) + 8);
	must_refuse(ptr, (1UL << 34) + 8);
	must_refuse((char *)((uintptr_t)ptr ^ 1UL << 63), 8);
	return 0;
}

static int defect_20(const void *unused)
{
	cpu_set_t *set = CPU_ALLOC(64);
	long *ours = CPU_ALLOC(long, GFP_KERNEL);

	(void)unused;
	must(set && ours && stats_now().objects == 1);
	CPU_ZERO_S(CPU_ALLOC_SIZE(64), set);
	CPU_FREE(set);
	CPU_FREE(ours);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	struct outcome o;

	if (strcmp(command, "constructed") == 0)
		return was_constructed();
	if (strcmp(command, "show-area") == 0)
		return show_area();

	ok_child("defect 2: every instance's address is aligned", defect_2, NULL);
	ok_child("defect 3: sizes that overflow are ENOMEM", defect_3, NULL);
	ok_child("defect 4: partial, double and interior frees", defect_4, NULL);
	ok_child("defect 5: frees over the area's ends, size 0", defect_5, NULL);
	ok_child("defect 6: of two racing frees one succeeds", defect_6, NULL);
	ok_child_or_skip("defect 6: also between its check and its change", defect_6_stopped, NULL,
			 "valgrind would count the fault");
	ok_child("defect 7: misaligned pointers", defect_7, NULL);
	ok_child("defect 8: bad alignments are EINVAL", defect_8, NULL);
	ok_child("defect 9: CPU_FREE of another type", defect_9, NULL);
	o = run_child(defect_10, NULL);
	ok(killed(&o, SIGSEGV), "defect 10: a handle faults");
	defect_11();
	ok_area(12, "percpu=0", 16 * MIB, "percpu=0:");
	ok_area(12, "percpu=3", 16 * MIB, "percpu=3:");
	ok_area(13, "percpu=64k", 64 * KIB, NULL);
	ok_area(13, "percpu=2M", 2 * MIB, NULL);
	ok_area(13, "percpu=-1", 16 * MIB, "percpu=-1:");
	ok_area(13, "percpu=1G", 16 * MIB, "percpu=1G:");
	ok_child("defect 14: guard space behind each area", defect_14, NULL);
	ok_child("defect 15: what is announced can be allocated", defect_15, NULL);
	ok_child("defect 16: one CPU", defect_16, NULL);
	ok_child("defect 17: grows, and exhaustion passes", defect_17, NULL);
	ok_child("defect 18: memory only for CPUs that wrote", defect_18, NULL);
	ok_child("defect 19: sizes of 64 bits", defect_19, NULL);
	ok_child("defect 20: beside CPU_ALLOC and CPU_FREE of <sched.h>", defect_20, NULL);
	return tap_done();
}
