/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What is refused with a warning, and changes nothing; and what is left behind. */
#include "ktap.h"

#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static u64 __percpu *object; /* of two elements, with others on both sides */

/* A misuse: counted, and nothing has changed. */
static bool refuses(void __percpu *ptr, size_t size)
{
	const struct cpu_alloc_stats before = stats_now();
	struct cpu_alloc_stats now;

	fill_instances(object, 16, 7);
	cpu_free(ptr, size);
	now = stats_now();
	EXPECT(now.misuses == before.misuses + 1 && now.frees == before.frees);
	EXPECT(now.cpu_bytes == before.cpu_bytes && now.objects == before.objects);
	EXPECT(instances_hold(object, 16, 7));
	return true;
}

static bool around_object(bool (*test)(void))
{
	void __percpu *before = cpu_alloc(16, GFP_KERNEL, 8), *behind;
	bool good;

	object = cpu_alloc(16, GFP_KERNEL, 8);
	behind = cpu_alloc(16, GFP_KERNEL, 8);
	EXPECT(before && object && behind);
	good = test();
	cpu_free(before, 16);
	cpu_free(object, 16);
	cpu_free(behind, 16);
	return good;
}

static bool try_sizes(void)
{
	EXPECT(refuses(object, 8));
	EXPECT(refuses(object, 20));
	EXPECT(refuses(object, 32)); /* over a neighbour */
	EXPECT(refuses(object, 0));
	EXPECT(refuses(object, SIZE_MAX));
	EXPECT(refuses(object, 16ULL + (4ULL << 32)));
	return true;
}

static bool try_interior(void)
{
	EXPECT(refuses(object + 1, 8));
	EXPECT(refuses(object + 1, 16));
	EXPECT(refuses((void __percpu *)object + 4, 16));
	return true;
}

static bool try_misaligned(void)
{
	EXPECT(refuses((void __percpu *)object + 1, 16));
	EXPECT(refuses((void __percpu *)object + 2, 16));
	return true;
}

static bool try_double(void)
{
	void __percpu *other = cpu_alloc(16, GFP_KERNEL, 8);

	cpu_free(other, 16);
	EXPECT(refuses(other, 16));
	EXPECT(refuses(other, 8));
	return true;
}

static bool try_never_there(void)
{
	void __percpu *last = cpu_alloc(CPU_ALLOC_MAX_SIZE / 2, GFP_KERNEL, 4);

	EXPECT(last);
	cpu_free(last, CPU_ALLOC_MAX_SIZE / 2);
	EXPECT(refuses(last + 64, 16));
	return true;
}

static bool try_foreign(void)
{
	u64 __percpu *other = alloc_percpu(u64);
	u64 *plain = kmalloc(16, GFP_KERNEL);

	EXPECT(other && plain);
	EXPECT(refuses(other, 8));
	EXPECT(refuses((u64 __percpu *)(unsigned long)plain, 16));
	EXPECT(refuses((u64 __percpu *)(unsigned long)&plain, 8));
	EXPECT(refuses((u64 __percpu *)~0UL, 8));
	EXPECT(refuses((u64 __percpu *)4096UL, 8));
	*per_cpu_ptr(other, 0) = 1;
	free_percpu(other);
	kfree(plain);
	return true;
}

static bool try_instance(void)
{
	int cpu;

	/* That of CPU 0 would be found by who looks at no other. */
	for_each_possible_cpu (cpu)
		if (IS_ENABLED(CONFIG_SMP) && (cpu > 0 || nr_cpu_ids == 1))
			EXPECT(refuses((u64 __percpu *)(unsigned long)per_cpu_ptr(object, cpu),
				       16));
	return true;
}

static bool wrong_size(void)
{
	return around_object(try_sizes);
}

static bool interior(void)
{
	return around_object(try_interior);
}

static bool misaligned(void)
{
	return around_object(try_misaligned);
}

static bool double_free(void)
{
	return around_object(try_double);
}

static bool never_there(void)
{
	return around_object(try_never_there);
}

static bool foreign(void)
{
	return around_object(try_foreign);
}

static bool instance(void)
{
	return around_object(try_instance);
}

#define BLOCKS_MAX 16

/*
 * It takes what there is and no block, and is told so: to sleep there would be a bug.
 * Without the count of preemption only interrupts that are off are seen.
 */
static bool takes_no_block(void)
{
	const u32 size = CPU_ALLOC_MAX_SIZE;
	const struct cpu_alloc_stats before = stats_now();
	struct cpu_alloc_stats now;
	void __percpu *ptr[BLOCKS_MAX];
	int n = 0;

	while (n < BLOCKS_MAX && (ptr[n] = cpu_alloc(size, GFP_KERNEL | __GFP_NOWARN, 4)))
		n++;
	now = stats_now();
	while (n-- > 0)
		cpu_free(ptr[n], size);
	return now.failed_eagain == before.failed_eagain + 1 &&
	       now.failed_enomem == before.failed_enomem;
}

static bool sleeping_with_a_lock(void)
{
	static DEFINE_RAW_SPINLOCK(lock);
	bool good;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		return true;
	raw_spin_lock(&lock);
	good = takes_no_block();
	raw_spin_unlock(&lock);
	return good;
}

static bool sleeping_without_interrupts(void)
{
	unsigned long flags;
	bool good;

	local_irq_save(flags);
	good = takes_no_block();
	local_irq_restore(flags);
	return good;
}

static bool sleeping_under_rcu(void)
{
	bool good;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		return true;
	rcu_read_lock();
	good = takes_no_block();
	rcu_read_unlock();
	return good;
}

const struct ktap_test misuse_tests[] = {
	{"wrong size", wrong_size},
	{"interior pointer", interior},
	{"misaligned pointer", misaligned},
	{"double free", double_free},
	{"where no object ever was", never_there},
	{"pointers of others", foreign},
	{"pointers to instances", instance},
	{"GFP_KERNEL with a lock held", sleeping_with_a_lock},
	{"GFP_KERNEL with interrupts off", sleeping_without_interrupts},
	{"GFP_KERNEL in an RCU read-side section", sleeping_under_rcu},
	{},
};

int leak(void)
{
	object = cpu_alloc(40, GFP_KERNEL, 8);
	cpu_alloc(100, GFP_KERNEL, 64);
	cpu_free(cpu_alloc(8, GFP_KERNEL, 8), 8);
	cpu_alloc(CPU_ALLOC_MAX_SIZE, GFP_KERNEL, 4);
	return 0;
}

int flood(void)
{
	while (cpu_alloc(CPU_ALLOC_MAX_SIZE, GFP_KERNEL | __GFP_NOWARN, 4))
		;
	return 0;
}

int fail_often(void)
{
	for (int n = 0; n < 1000; n++)
		cpu_alloc(100000, GFP_KERNEL, 4);
	return 0;
}
