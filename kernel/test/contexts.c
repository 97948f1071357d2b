/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From where nothing may sleep. */
#include "compat.h"
#include "ktap.h"

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static bool worked;
static DECLARE_COMPLETION(done);

/* Allocate, write, check and free, some of it in another order than allocated. */
static bool use(void)
{
	void __percpu *ptr[4];

	for (size_t n = 0; n < ARRAY_SIZE(ptr); n++) {
		ptr[n] = cpu_alloc(24, GFP_ATOMIC | __GFP_ZERO, 8);
		if (!ptr[n] || !instances_are_zero(ptr[n], 24))
			return false;
		fill_instances(ptr[n], 24, n);
	}
	for (size_t n = 0; n < ARRAY_SIZE(ptr); n++) {
		if (!instances_hold(ptr[n ^ 1], 24, n ^ 1))
			return false;
		cpu_free(ptr[n ^ 1], 24);
	}
	return true;
}

static bool wait_until_done(void)
{
	return wait_for_completion_timeout(&done, 10 * HZ) && worked;
}

static bool without_interrupts(void)
{
	unsigned long flags;
	bool good;

	local_irq_save(flags);
	good = use();
	local_irq_restore(flags);
	return good;
}

static bool with_a_lock(void)
{
	static DEFINE_RAW_SPINLOCK(lock);
	bool good;

	raw_spin_lock(&lock);
	good = use();
	raw_spin_unlock(&lock);
	return good;
}

static void in_timer(struct timer_list *timer)
{
	worked = in_serving_softirq() && use();
	complete(&done);
}

static bool from_timer_softirq(void)
{
	static struct timer_list timer;
	bool good;

	timer_setup(&timer, in_timer, 0);
	mod_timer(&timer, jiffies + 1);
	good = wait_until_done();
	timer_delete_sync(&timer);
	return good;
}

static enum hrtimer_restart in_hrtimer(struct hrtimer *timer)
{
	worked = in_hardirq() && use();
	complete(&done);
	return HRTIMER_NORESTART;
}

static bool from_hard_interrupt(void)
{
	static struct hrtimer timer;
	bool good;

	hrtimer_setup(&timer, in_hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer_start(&timer, ns_to_ktime(100 * NSEC_PER_USEC), HRTIMER_MODE_REL_HARD);
	good = wait_until_done();
	hrtimer_cancel(&timer);
	return good;
}

static void in_irq_work(struct irq_work *work)
{
	worked = in_hardirq() && use();
	complete(&done);
}

static bool from_irq_work(void)
{
	static struct irq_work work = IRQ_WORK_INIT_HARD(in_irq_work);
	bool good;

	irq_work_queue(&work);
	good = wait_until_done();
	irq_work_sync(&work);
	return good;
}

/* Fill what there is, with interrupts off: who took a block there would have to sleep. */
static size_t fill_without_interrupts(void __percpu **ptr, size_t n)
{
	unsigned long flags;
	size_t taken = 0;

	local_irq_save(flags);
	while (taken < n && (ptr[taken] = cpu_alloc(4096, GFP_ATOMIC | __GFP_NOWARN, 4)))
		taken++;
	local_irq_restore(flags);
	return taken;
}

/* Wait until the worker has taken a block, if there is one. */
static bool has_grown(u64 committed_bytes)
{
	const u64 area_bytes = stats_now().area_bytes;

	for (int tries = 0; tries < 1000; tries++) {
		if (stats_now().committed_bytes > committed_bytes || committed_bytes == area_bytes)
			return true;
		msleep(1);
	}
	return false;
}

static bool grows_ahead(void)
{
	const struct cpu_alloc_stats before = stats_now();
	const u32 size = CPU_ALLOC_MAX_SIZE - 4096; /* what is left is little, but enough */
	void __percpu *large = cpu_alloc(size, GFP_ATOMIC, 4);

	EXPECT(large && has_grown(before.committed_bytes));
	cpu_free(large, size);
	EXPECT(stats_now().failed_eagain == before.failed_eagain);
	return true;
}

/* Much is left, but not in one piece. */
static bool grows_after_failure(void)
{
	const struct cpu_alloc_stats before = stats_now();
	const size_t n = before.committed_bytes / CPU_ALLOC_MAX_SIZE + 1;
	void __percpu **ptr = kvcalloc(n, sizeof(*ptr), GFP_KERNEL);
	const u32 size = CPU_ALLOC_MAX_SIZE / 2 + 4;

	EXPECT(ptr);
	for (size_t i = 0; i < n; i++)
		ptr[i] = cpu_alloc(size, GFP_ATOMIC | __GFP_NOWARN, 4);
	EXPECT(has_grown(before.committed_bytes));
	for (size_t i = 0; i < n; i++)
		cpu_free(ptr[i], size);
	kvfree(ptr);
	return true;
}

static bool grows_later(void __percpu **ptr, size_t n)
{
	const struct cpu_alloc_stats before = stats_now();
	const size_t taken = fill_without_interrupts(ptr, n);

	EXPECT(taken >= before.committed_bytes / 4096 && taken < n);
	EXPECT(stats_now().failed_eagain == before.failed_eagain + 1);
	EXPECT(has_grown(before.committed_bytes));
	EXPECT(stats_now().failed_enomem == before.failed_enomem);
	for (size_t i = 0; i < taken; i++)
		cpu_free(ptr[i], 4096);
	return true;
}

static bool reserve(void)
{
	const size_t n = stats_now().area_bytes / 4096 + 1;
	void __percpu **ptr = kvcalloc(n, sizeof(*ptr), GFP_KERNEL);
	bool good = ptr && grows_later(ptr, n);

	kvfree(ptr);
	return good;
}

/* However often: never is it refused as one that may sleep. */
static bool fill_without_fs(void __percpu **ptr, size_t n)
{
	const struct cpu_alloc_stats before = stats_now();
	const unsigned int scope = memalloc_nofs_save();
	size_t taken = 0;

	while (taken < n && (ptr[taken] = cpu_alloc(4096, GFP_KERNEL | __GFP_NOWARN, 4)))
		taken++;
	memalloc_nofs_restore(scope);
	for (size_t i = 0; i < taken; i++)
		cpu_free(ptr[i], 4096);
	EXPECT(taken < n);
	EXPECT(stats_now().failed_eagain == before.failed_eagain + 1);
	EXPECT(stats_now().failed_enomem == before.failed_enomem);
	return true;
}

static bool without_fs(void)
{
	const size_t n = stats_now().area_bytes / 4096 + 1;
	void __percpu **ptr = kvcalloc(n, sizeof(*ptr), GFP_KERNEL);
	bool good = ptr && fill_without_fs(ptr, n);

	kvfree(ptr);
	return good;
}

const struct ktap_test context_tests[] = {
	{"with interrupts off", without_interrupts},
	{"with a raw spinlock held", with_a_lock},
	{"from a timer, in a softirq", from_timer_softirq},
	{"from a timer, in a hard interrupt", from_hard_interrupt},
	{"from irq_work, in a hard interrupt", from_irq_work},
	{"the worker takes a block before the last is full", grows_ahead},
	{"the worker takes a block when nothing fits", grows_after_failure},
	{"GFP_ATOMIC takes no block, but has the worker take one", reserve},
	{"GFP_KERNEL within memalloc_nofs_save() takes no block either", without_fs},
	{},
};
