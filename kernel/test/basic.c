/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the header promises to a caller that is alone. */
#include "ktap.h"

#include <linux/cpu.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define OBJECTS_MAX 16384

/* Objects of one test. */
struct object {
	void __percpu *ptr;
	u32 size;
	u8 tag;
};

static bool is_aligned_everywhere(void __percpu *ptr, size_t align)
{
	int cpu;

	for_each_possible_cpu (cpu)
		if (!IS_ALIGNED((unsigned long)per_cpu_ptr(ptr, cpu), align))
			return false;
	return true;
}

/* The lowest address of all would be aligned whatever is asked for. */
static bool aligned(void)
{
	void __percpu *lowest = cpu_alloc(4, GFP_KERNEL, 4);

	for (size_t align = 4; align <= CPU_ALLOC_MAX_ALIGN; align *= 2)
		for (size_t size = 1; size <= 256; size = size * 3 + 1) {
			void __percpu *ptr = cpu_alloc(size, GFP_KERNEL, align);

			EXPECT(ptr);
			EXPECT(is_aligned_everywhere(ptr, align));
			cpu_free(ptr, size);
		}
	cpu_free(lowest, 4);
	return true;
}

static bool side_by_side(void)
{
	void __percpu *first = cpu_alloc(12, GFP_KERNEL, 4);
	void __percpu *second = cpu_alloc(10, GFP_KERNEL, 2);
	void __percpu *third = cpu_alloc(4, GFP_KERNEL, 0);

	EXPECT(second == first + 12 && third == second + 12);
	cpu_free(second, 10);
	EXPECT(cpu_alloc(12, GFP_KERNEL, 4) == second);
	cpu_free(first, 12);
	cpu_free(second, 12);
	cpu_free(third, 4);
	return true;
}

/* The first test of all: what was never in use begins just behind. */
static bool zeroed_at_the_edge(void)
{
	void __percpu *both = cpu_alloc(8, GFP_KERNEL, 4), *first, *second;

	EXPECT(both);
	fill_instances(both, 8, 0xa5);
	cpu_free(both, 8);
	first = cpu_alloc(4, GFP_KERNEL, 4);
	second = cpu_alloc(8, GFP_KERNEL | __GFP_ZERO, 4);
	EXPECT(first == both && second == both + 4);
	EXPECT(instances_are_zero(second, 8));
	cpu_free(first, 4);
	cpu_free(second, 8);
	return true;
}

static bool zeroed(void)
{
	for (size_t size = 1; size < 3000; size = size * 2 + 1) {
		const size_t whole = round_up(size, CPU_ALLOC_UNIT);
		void __percpu *ptr = cpu_alloc(size, GFP_KERNEL | __GFP_ZERO, 8);

		EXPECT(ptr && instances_are_zero(ptr, whole));
		fill_instances(ptr, whole, 0xa5);
		cpu_free(ptr, size);
		EXPECT(cpu_alloc(size, GFP_KERNEL | __GFP_ZERO, 8) == ptr);
		EXPECT(instances_are_zero(ptr, whole));
		cpu_free(ptr, size);
	}
	return true;
}

static bool nothing(void)
{
	void __percpu *ptr = cpu_alloc(0, GFP_KERNEL, 8);
	const struct cpu_alloc_stats before = stats_now();

	EXPECT(ZERO_OR_NULL_PTR((__force void *)(unsigned long)ptr) && ptr);
	cpu_free(ptr, 0);
	cpu_free(NULL, 8);
	EXPECT(stats_now().frees == before.frees && stats_now().misuses == before.misuses);
	return true;
}

static bool refused(void)
{
	static const struct {
		size_t size, align;
	} bad[] = {
		{CPU_ALLOC_MAX_SIZE + 1, 4},
		{SIZE_MAX, 4},
		{SIZE_MAX - 3, 4},
		{1ULL << 34, 4},
		{8, 3},
		{8, 8192},
		{8, SIZE_MAX},
		{8, 24},
	};
	const struct cpu_alloc_stats before = stats_now();

	for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
		EXPECT(!cpu_alloc(bad[n].size, GFP_KERNEL | __GFP_NOWARN, bad[n].align));
	EXPECT(stats_now().failed_einval == before.failed_einval + ARRAY_SIZE(bad));
	EXPECT(stats_now().allocs == before.allocs);
	return true;
}

struct pair {
	u64 events;
	u32 bytes;
};

static long count_here(void *argument)
{
	struct pair __percpu *pair = *(struct pair __percpu **)argument;

	this_cpu_inc(pair->events);
	this_cpu_add(pair->bytes, 1 + raw_smp_processor_id());
	preempt_disable();
	THIS_CPU(pair)->events++;
	__THIS_CPU(pair)->events += CPU_PTR(pair, smp_processor_id()) == THIS_CPU(pair);
	preempt_enable();
	return 0;
}

static bool operations(void)
{
	struct pair __percpu *pair = CPU_ALLOC(struct pair, GFP_KERNEL | __GFP_ZERO);
	int cpu;

	EXPECT(pair && is_aligned_everywhere(pair, __alignof__(struct pair)));
	cpus_read_lock();
	for_each_online_cpu (cpu)
		work_on_cpu(cpu, count_here, &pair);
	for_each_possible_cpu (cpu) {
		const struct pair *instance = CPU_PTR(pair, cpu);

		EXPECT(instance->events == (cpu_online(cpu) ? 3 : 0));
		EXPECT(instance->bytes == (cpu_online(cpu) ? cpu + 1 : 0));
	}
	cpus_read_unlock();
	CPU_FREE(pair);
	return true;
}

static bool arrays(void)
{
	const u64 objects = stats_now().objects;
	u64 __percpu *array = CPU_ALLOC_ARRAY(u64, 100, GFP_KERNEL);

	EXPECT(array && stats_now().cpu_bytes >= 800);
	EXPECT(!CPU_ALLOC_ARRAY(u64, SIZE_MAX / 4, GFP_KERNEL | __GFP_NOWARN));
	fill_instances(array, 800, 1);
	EXPECT(instances_hold(array, 800, 1));
	CPU_FREE_ARRAY(array, 100);
	EXPECT(stats_now().objects == objects);
	return true;
}

static bool counted(void)
{
	const struct cpu_alloc_stats before = stats_now();
	void __percpu *first = cpu_alloc(5, GFP_KERNEL, 4);
	void __percpu *second = cpu_alloc(100, GFP_KERNEL, 4);
	struct cpu_alloc_stats now = stats_now();

	EXPECT(first && second);
	EXPECT(now.cpu_bytes == before.cpu_bytes + 108 && now.objects == before.objects + 2);
	EXPECT(now.allocs == before.allocs + 2 && now.frees == before.frees);
	EXPECT(now.top_bytes >= now.cpu_bytes);
	cpu_free(first, 5);
	cpu_free(second, 100);
	now = stats_now();
	EXPECT(now.cpu_bytes == before.cpu_bytes && now.frees == before.frees + 2);
	return true;
}

static bool peak(void)
{
	const u64 before = stats_now().peak_bytes;
	void __percpu *large = cpu_alloc(before + 16, GFP_KERNEL, 4);

	EXPECT(large);
	cpu_free(large, before + 16);
	cpu_free(cpu_alloc(8, GFP_KERNEL, 4), 8);
	EXPECT(stats_now().peak_bytes == before + 16);
	return true;
}

static void free_all(struct object *object, size_t n)
{
	while (n-- > 0)
		cpu_free(object[n].ptr, object[n].size);
}

/* As many as fit, of random sizes and alignments, or all of the largest size. */
static size_t fill_area(struct object *object, bool largest, u64 seed)
{
	struct rnd_state random;
	size_t n;

	prandom_seed_state(&random, seed);
	for (n = 0; n < OBJECTS_MAX; n++) {
		const u32 size = 1 + prandom_u32_state(&random) % 3000;
		const u32 align = 1U << prandom_u32_state(&random) % 13;

		object[n].size = largest ? CPU_ALLOC_MAX_SIZE : size;
		object[n].tag = prandom_u32_state(&random);
		object[n].ptr = cpu_alloc(object[n].size, GFP_KERNEL | __GFP_NOWARN,
					  largest ? 4096 : align);
		if (!object[n].ptr)
			break;
		if (!largest)
			fill_instances(object[n].ptr, object[n].size, object[n].tag);
	}
	return n;
}

static bool holds_all(const struct object *object, size_t n)
{
	while (n-- > 0)
		if (!instances_hold(object[n].ptr, object[n].size, object[n].tag))
			return false;
	return true;
}

/* An object of the largest size is a block. Is @object inside one? */
static bool is_in_a_block(const struct object *object, const struct object *block, size_t blocks)
{
	while (blocks-- > 0)
		if (object->ptr >= block[blocks].ptr &&
		    object->ptr + object->size <= block[blocks].ptr + CPU_ALLOC_MAX_SIZE)
			return true;
	return false;
}

static bool fill_twice(struct object *object, struct object *block)
{
	const struct cpu_alloc_stats before = stats_now();
	const size_t blocks = fill_area(block, true, 1);
	size_t n, m;

	EXPECT(before.objects == 0 && blocks == before.area_bytes / CPU_ALLOC_MAX_SIZE);
	free_all(block, blocks);
	n = fill_area(object, false, 42);
	EXPECT(n > blocks && n < OBJECTS_MAX);
	EXPECT(stats_now().committed_bytes == before.area_bytes);
	EXPECT(stats_now().failed_enomem == before.failed_enomem + 2);
	EXPECT(holds_all(object, n));
	if (before.area_bytes % CPU_ALLOC_MAX_SIZE == 0)
		for (m = 0; m < n; m++)
			EXPECT(is_in_a_block(&object[m], block, blocks));
	free_all(object, n);
	EXPECT(stats_now().cpu_bytes == 0);
	m = fill_area(object, false, 42);
	free_all(object, m);
	EXPECT(m == n); /* all of it can be had again */
	EXPECT(stats_now().largest_free_bytes == min(before.area_bytes, (u64)CPU_ALLOC_MAX_SIZE));
	return true;
}

static bool exhausted(void)
{
	struct object *object = kvcalloc(OBJECTS_MAX, sizeof(*object), GFP_KERNEL);
	struct object *block = kvcalloc(OBJECTS_MAX, sizeof(*block), GFP_KERNEL);
	const bool good = object && block && fill_twice(object, block);

	kvfree(object);
	kvfree(block);
	return good;
}

const struct ktap_test basic_tests[] = {
	{"what was in use is cleared, up to its edge", zeroed_at_the_edge},
	{"every instance is aligned", aligned},
	{"objects lie side by side, and fill the lowest gap", side_by_side},
	{"__GFP_ZERO clears every instance", zeroed},
	{"a size of zero, and freeing nothing", nothing},
	{"bad sizes and alignments", refused},
	{"this_cpu_*() on every processor", operations},
	{"arrays", arrays},
	{"the statistics", counted},
	{"the peak stays", peak},
	{},
};

const struct ktap_test exhaustion_tests[] = {
	{"a full area: no object straddles, and all of it comes back", exhausted},
	{},
};
