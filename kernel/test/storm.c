/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * All CPUs at once: threads that allocate, write all instances, check and free; and for
 * each a timer that does the same in hard interrupts.
 */
#include "compat.h"
#include "ktap.h"

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#define SECONDS 2     /* of the test */
#define SLOTS 64      /* objects of a thread */
#define TIMER_SLOTS 8 /* and of its timer */
#define TIMER_US 500
#define LARGE 4096
#define SLOT_BYTES 256 /* three times what one has on average: then none goes short */

struct slot {
	void __percpu *ptr;
	u32 size;
	u8 tag;
};

struct crowd {
	struct slot slot[SLOTS];
	size_t slots;
	struct rnd_state random;
	u64 rounds;
	bool wrong; /* an object did not hold what was written */
};

static struct member {
	struct task_struct *thread;
	struct hrtimer timer;
	struct crowd in_thread, in_timer;
} * members;
static size_t member_count;

static void drop(struct crowd *crowd, struct slot *slot)
{
	if (!instances_hold(slot->ptr, slot->size, slot->tag))
		crowd->wrong = true;
	cpu_free(slot->ptr, slot->size);
	slot->ptr = NULL;
}

static void make(struct crowd *crowd, struct slot *slot, gfp_t gfp)
{
	const u32 dice = prandom_u32_state(&crowd->random);

	slot->size = 1 + (dice >> 8) % (dice % 64 ? 256 : LARGE);
	slot->tag = dice;
	slot->ptr = cpu_alloc(slot->size, gfp | __GFP_NOWARN, 4U << dice % 5);
	if (!slot->ptr)
		return;
	if (gfp & __GFP_ZERO && !instances_are_zero(slot->ptr, slot->size))
		crowd->wrong = true;
	fill_instances(slot->ptr, slot->size, slot->tag);
}

static void step(struct crowd *crowd, gfp_t gfp)
{
	struct slot *slot = &crowd->slot[prandom_u32_state(&crowd->random) % crowd->slots];

	if (slot->ptr)
		drop(crowd, slot);
	else
		make(crowd, slot, prandom_u32_state(&crowd->random) % 4 ? gfp : gfp | __GFP_ZERO);
	crowd->rounds++;
}

static void drop_all(struct crowd *crowd)
{
	for (size_t n = 0; n < crowd->slots; n++)
		if (crowd->slot[n].ptr)
			drop(crowd, &crowd->slot[n]);
}

static enum hrtimer_restart ring(struct hrtimer *timer)
{
	struct member *member = container_of(timer, struct member, timer);

	step(&member->in_timer, GFP_ATOMIC);
	hrtimer_forward_now(timer, ns_to_ktime(TIMER_US * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static int run_member(void *data)
{
	struct member *member = data;

	hrtimer_start(&member->timer, ns_to_ktime(TIMER_US * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_PINNED_HARD);
	while (!kthread_should_stop()) {
		step(&member->in_thread, GFP_KERNEL);
		cond_resched();
	}
	return 0;
}

static void begin(struct crowd *crowd, size_t slots, u64 seed)
{
	crowd->slots = slots;
	prandom_seed_state(&crowd->random, seed);
}

int storm_start(void)
{
	member_count = 2 * num_online_cpus();
	members = kvcalloc(member_count, sizeof(*members), GFP_KERNEL);
	if (!members)
		return -ENOMEM;
	for (size_t n = 0; n < member_count; n++) {
		struct member *member = &members[n];

		begin(&member->in_thread, SLOTS, 2 * n + 1);
		begin(&member->in_timer, TIMER_SLOTS, 2 * n + 2);
		hrtimer_setup(&member->timer, ring, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
		member->thread = kthread_run(run_member, member, "cpu_alloc/%zu", n);
		if (IS_ERR(member->thread)) {
			member_count = n;
			storm_stop();
			return -ENOMEM;
		}
	}
	return 0;
}

bool storm_stop(void)
{
	u64 in_threads = 0, in_timers = 0;
	bool wrong = false, idle = false;

	for (size_t n = 0; n < member_count; n++) {
		struct member *member = &members[n];

		kthread_stop(member->thread);
		hrtimer_cancel(&member->timer);
		drop_all(&member->in_thread);
		drop_all(&member->in_timer);
		wrong |= member->in_thread.wrong || member->in_timer.wrong;
		idle |= !member->in_thread.rounds || !member->in_timer.rounds;
		in_threads += member->in_thread.rounds;
		in_timers += member->in_timer.rounds;
	}
	pr_info("# %zu threads: %llu allocations and frees, %llu in interrupts\n", member_count,
		in_threads, in_timers);
	kvfree(members);
	return !wrong && !idle;
}

static bool is_ample(u64 bytes)
{
	return bytes >= member_count * (SLOTS + TIMER_SLOTS) * SLOT_BYTES;
}

static bool all_at_once(void)
{
	const struct cpu_alloc_stats before = stats_now();
	struct cpu_alloc_stats now;

	EXPECT(storm_start() == 0);
	msleep(1000 * SECONDS);
	EXPECT(storm_stop());
	now = stats_now();
	EXPECT(now.cpu_bytes == before.cpu_bytes && now.misuses == before.misuses);
	EXPECT(now.allocs - before.allocs == now.frees - before.frees);
	EXPECT(now.failed_enomem == before.failed_enomem || !is_ample(now.area_bytes));
	return true;
}

const struct ktap_test storm_tests[] = {
	{"threads and interrupts on all processors at once", all_at_once},
	{},
};
