/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Beside alloc_percpu(): times of both in turn, and how tightly both pack the same sizes. */
#include "ktap.h"

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/sort.h>

#define PAIRS 2000 /* an allocation and a free, of a thread */
#define ROUNDS 13
#define CPUS 4

static size_t bench_size;
static bool bench_ours;
static atomic_t waiting, running;
static atomic64_t nanoseconds; /* of all threads */
static DECLARE_COMPLETION(all_done);

static void pairs_of_ours(void)
{
	for (int n = 0; n < PAIRS; n++)
		cpu_free(cpu_alloc(bench_size, GFP_KERNEL | __GFP_ZERO, 8), bench_size);
}

static void pairs_of_theirs(void)
{
	for (int n = 0; n < PAIRS; n++)
		free_percpu(__alloc_percpu(bench_size, 8));
}

static int run_pairs(void *unused)
{
	ktime_t start;

	atomic_dec(&waiting);
	while (atomic_read(&waiting) > 0)
		cpu_relax();
	start = ktime_get();
	if (bench_ours)
		pairs_of_ours();
	else
		pairs_of_theirs();
	atomic64_add(ktime_to_ns(ktime_sub(ktime_get(), start)), &nanoseconds);
	if (atomic_dec_and_test(&running))
		complete(&all_done);
	return 0;
}

/* Nanoseconds of a pair, as each of @threads sees it, on a CPU of its own. 0: no thread. */
static u64 measure(int threads, bool ours)
{
	int cpu, n = 0;

	bench_ours = ours;
	reinit_completion(&all_done);
	atomic_set(&waiting, threads);
	atomic_set(&running, threads);
	atomic64_set(&nanoseconds, 0);
	for_each_online_cpu (cpu) {
		struct task_struct *thread;

		if (n++ == threads)
			break;
		thread = kthread_create(run_pairs, NULL, "cpu_alloc/%d", cpu);
		if (IS_ERR(thread)) {
			atomic_dec(&waiting);
			if (atomic_dec_and_test(&running))
				return 0;
			continue;
		}
		kthread_bind(thread, cpu);
		wake_up_process(thread);
	}
	wait_for_completion(&all_done);
	return div_u64(atomic64_read(&nanoseconds), threads * PAIRS);
}

static int compare_u64(const void *left, const void *right)
{
	const u64 a = *(const u64 *)left, b = *(const u64 *)right;

	return (a > b) - (a < b);
}

static u64 quartile(u64 *values, int n)
{
	sort(values, ROUNDS, sizeof(*values), compare_u64, NULL);
	return values[n * (ROUNDS - 1) / 4];
}

static void measure_both(int threads)
{
	u64 ours[ROUNDS], theirs[ROUNDS], ratio[ROUNDS]; /* of each round, in hundredths */
	u64 low, middle, high;

	for (int n = 0; n < ROUNDS; n++) {
		ours[n] = measure(threads, true);
		theirs[n] = measure(threads, false);
		ratio[n] = div64_u64(100 * ours[n], max(theirs[n], 1ULL));
	}
	low = quartile(ratio, 1);
	middle = quartile(ratio, 2);
	high = quartile(ratio, 3);
	pr_info("# %3zu bytes, %d threads: cpu_alloc %5llu ns, alloc_percpu %6llu, ratio "
		"%llu.%02llu (%llu.%02llu to %llu.%02llu)\n",
		bench_size, threads, quartile(ours, 2), quartile(theirs, 2), middle / 100,
		middle % 100, low / 100, low % 100, high / 100, high % 100);
}

int benchmark(void)
{
	static const size_t sizes[] = {8, 24, 64, 256};

	pr_info("# allocation + free, zeroed: medians of %d rounds of %d (quartiles)\n", ROUNDS,
		PAIRS);
	for (int threads = 1; threads <= min_t(int, CPUS, num_online_cpus()); threads++)
		for (size_t n = 0; n < ARRAY_SIZE(sizes); n++) {
			bench_size = sizes[n];
			measure_both(threads);
		}
	return 0;
}

/* Packing */

#define LIVE 4000
#define STEPS 40000
#define FAR 8192 /* a gap as long as that is not of our making: others have what lies there */

struct extent {
	unsigned long start, end;
};

static int compare_extent(const void *left, const void *right)
{
	const struct extent *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

/* Bytes of the area that they span, without gaps that are far. */
static u64 span(struct extent *extent, size_t n)
{
	unsigned long start;
	u64 bytes = 0;

	sort(extent, n, sizeof(*extent), compare_extent, NULL);
	start = extent[0].start;
	for (size_t i = 0; i < n; i++)
		if (i == n - 1 || extent[i + 1].start - extent[i].end > FAR) {
			bytes += extent[i].end - start;
			start = i == n - 1 ? 0 : extent[i + 1].start;
		}
	return bytes;
}

static void __percpu *take(bool ours, u32 size, u32 align)
{
	return ours ? cpu_alloc(size, GFP_KERNEL, align) : __alloc_percpu(size, align);
}

static void give(bool ours, void __percpu *ptr, u32 size)
{
	if (ours)
		cpu_free(ptr, size);
	else
		free_percpu(ptr);
}

/* The same random sizes for both. Returns the span at the end, 0 if memory ran out. */
static u64 pack(bool ours, struct extent *extent, u64 *asked)
{
	struct rnd_state random;
	size_t n = 0;
	u64 bytes;

	prandom_seed_state(&random, 2008);
	for (int step = 0; step < STEPS; step++) {
		const u32 size = 4U << prandom_u32_state(&random) % 6;
		const u32 odd = 1 + prandom_u32_state(&random) % (2 * size);
		const size_t i = prandom_u32_state(&random) % LIVE;
		void __percpu *ptr;

		if (i < n) {
			give(ours, (void __percpu *)extent[i].start,
			     extent[i].end - extent[i].start);
			extent[i] = extent[--n];
		}
		if (n == LIVE)
			continue;
		ptr = take(ours, odd, min(size, 64U));
		if (!ptr)
			break;
		extent[n].start = (__force unsigned long)ptr;
		extent[n++].end = (__force unsigned long)ptr + odd;
	}
	*asked = 0;
	for (size_t i = 0; i < n; i++)
		*asked += extent[i].end - extent[i].start;
	bytes = n ? span(extent, n) : 0;
	for (size_t i = 0; i < n; i++)
		give(ours, (void __percpu *)extent[i].start, extent[i].end - extent[i].start);
	return bytes;
}

static bool packs_as_tightly(void)
{
	struct extent *extent = kvcalloc(LIVE, sizeof(*extent), GFP_KERNEL);
	u64 asked, ours, theirs;

	EXPECT(extent);
	theirs = pack(false, extent, &asked);
	ours = pack(true, extent, &asked);
	kvfree(extent);
	pr_info("# %llu bytes asked for: cpu_alloc spans %llu, alloc_percpu %llu\n", asked, ours,
		theirs);
	EXPECT(ours && theirs && ours <= theirs);
	return true;
}

const struct ktap_test packing_tests[] = {
	{"random sizes are packed as tightly as by alloc_percpu()", packs_as_tightly},
	{},
};
