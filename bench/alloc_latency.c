/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How long the slowest calls take: one of 10,000 takes longer than the figure.
 *
 *	alloc-latency		as many threads as CPUs, and four times as many
 *
 * Each thread keeps SLOTS objects of 4 to 256 bytes, or none, and allocates or
 * frees a random one; "crossed": one of 16 that it frees is another thread's.
 * Each call is timed by the clock, which is not subtracted: "nothing" is the
 * same loop without the call, and shows the clock, the scheduler and interrupts. It comes
 * round more often; "machine alone" is what nothing exceeded as many times in the same
 * time as cpu_alloc exceeded its figure.
 * Growth of the areas is over before the rounds that count.
 */
#include "allocators.h"
#include "bench.h"
#include "random.h"

#include <string.h>

#define SLOTS 1024
#define MAILBOX 64
#define CROSSED_ONE_OF 16
#define WARM_UP 12 /* rounds: until what the caches may hold has found its place */
#define ROUND_MS 20
#define ROUND_CROWD_MS 40
#define SLOWEST_OF 10000
#define TARGET_NS 10000

/*
 * How many calls took so many ns: exact below LINEAR, then LINEAR/2 ranges for
 * each power of two.
 */
#define LINEAR 64U
#define RANGES (LINEAR + (40 - 6) * LINEAR / 2)

/* An object and its size in one word: addresses of users have 48 bits at most. */
#define SIZE_SHIFT 48

static struct worker {
	uint64_t random;
	uint64_t slot[ALLOCATORS][SLOTS];
	uint32_t calls[RANGES];
} __attribute__((aligned(128))) workers[CREW_MAX];

static uint64_t mailbox[ALLOCATORS][MAILBOX];

static uint32_t range_of(uint64_t ns)
{
	uint32_t shift;

	if (ns < LINEAR)
		return (uint32_t)ns;
	shift = 63 - (uint32_t)__builtin_clzll(ns) - 5;
	if (shift > 34)
		return RANGES - 1;
	return LINEAR + (shift - 1) * (LINEAR / 2) + (uint32_t)(ns >> shift) - LINEAR / 2;
}

/* The most ns that range @i has. */
static double end_of(uint32_t i)
{
	const uint32_t shift = i < LINEAR ? 0 : (i - LINEAR) / (LINEAR / 2) + 1;
	const uint64_t first = i < LINEAR ? i : (i - LINEAR) % (LINEAR / 2) + LINEAR / 2;

	return (double)(((first + 1) << shift) - 1);
}

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static ALWAYS_INLINE uint64_t timed_take(enum allocator who, struct worker *worker)
{
	const size_t size = 4 * (1 + random_below(&worker->random, 64));
	const uint64_t start = clock_ns();
	void *const ptr = take(who, size);

	worker->calls[range_of(clock_ns() - start)]++;
	return (uint64_t)size << SIZE_SHIFT | (uintptr_t)ptr;
}

static ALWAYS_INLINE void timed_give(enum allocator who, struct worker *worker, uint64_t object)
{
	void *const ptr = (void *)(uintptr_t)(object & (((uint64_t)1 << SIZE_SHIFT) - 1));
	const size_t size = object >> SIZE_SHIFT;
	const uint64_t start = clock_ns();

	give(who, ptr, size);
	worker->calls[range_of(clock_ns() - start)]++;
}

static ALWAYS_INLINE void step(enum allocator who, struct worker *worker, bool crossed)
{
	uint64_t *const slot = &worker->slot[who][random_below(&worker->random, SLOTS)];
	uint64_t object = *slot;

	if (!object) {
		*slot = timed_take(who, worker);
		return;
	}
	*slot = 0;
	if (crossed && random_below(&worker->random, CROSSED_ONE_OF) == 0)
		object = __atomic_exchange_n(&mailbox[who][random_below(&worker->random, MAILBOX)],
					     object, __ATOMIC_ACQ_REL);
	if (object)
		timed_give(who, worker, object);
}

static ALWAYS_INLINE uint64_t churn(enum allocator who, long thread, bool crossed)
{
	struct worker *const worker = &workers[thread];
	uint64_t done = 0;

	memset(worker->calls, 0, sizeof(worker->calls));
	do {
		for (int i = 0; i < 64; i++)
			step(who, worker, crossed);
		done += 64;
	} while (crew_goes_on());
	return done;
}

#define JOBS(who)                                                                                  \
	static uint64_t own_##who(long thread, void *argument)                                     \
	{                                                                                          \
		(void)argument;                                                                    \
		return churn(who, thread, false);                                                  \
	}                                                                                          \
	static uint64_t crossed_##who(long thread, void *argument)                                 \
	{                                                                                          \
		(void)argument;                                                                    \
		return churn(who, thread, true);                                                   \
	}

JOBS(LIBRARY)
JOBS(LIBC)
JOBS(JEMALLOC)
JOBS(NOTHING)

#define JOBS_OF(name)                                                                              \
	{                                                                                          \
		[LIBRARY] = name##_LIBRARY, [LIBC] = name##_LIBC, [JEMALLOC] = name##_JEMALLOC,    \
		[NOTHING] = name##_NOTHING                                                         \
	}

/* Of all threads. */
static uint64_t calls_in_range(uint32_t i)
{
	uint64_t sum = 0;

	for (long thread = 0; thread < crew_threads(); thread++)
		sum += workers[thread].calls[i];
	return sum;
}

static double all_calls(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < RANGES; i++)
		sum += calls_in_range(i);
	return (double)sum;
}

/* The ns that so many calls exceed. */
static double exceeded_by(double calls)
{
	uint64_t above = 0;
	uint32_t i = RANGES;

	while (i > 1 && (double)(above + calls_in_range(i - 1)) <= calls)
		above += calls_in_range(--i);
	return end_of(i - 1);
}

static uint64_t committed_bytes(void)
{
	struct cpu_alloc_stats stats;

	cpu_alloc_stats(&stats, sizeof(stats));
	return stats.committed_bytes;
}

static void measure(const char *way, crew_job *const jobs[])
{
	const bool crowd = crew_threads() > crew_cpus();
	struct rounds middle[ALLOCATORS], slowest[ALLOCATORS], machine;
	uint64_t committed = 0;
	double slow_calls = 0;

	for (int round = -WARM_UP; round < ROUNDS; round++) {
		if (round == 0)
			committed = committed_bytes();
		for (enum allocator who = 0; who < ALLOCATORS; who++) {
			if (!jobs[who] || !allocator_use(who, 0))
				continue;
			crew_time(jobs[who], NULL, crowd ? ROUND_CROWD_MS : ROUND_MS);
			if (round < 0)
				continue;
			middle[who].value[round] = exceeded_by(all_calls() / 2);
			slowest[who].value[round] = exceeded_by(all_calls() / SLOWEST_OF);
			if (who == LIBRARY)
				slow_calls = all_calls() / SLOWEST_OF;
			if (who == NOTHING)
				machine.value[round] = exceeded_by(slow_calls);
		}
	}
	for (enum allocator who = 0; who < ALLOCATORS; who++) {
		if (!jobs[who] || !allocator_use(who, 0))
			continue;
		report(middle[who], "ns", 0, 0, "latency", "%s %s median %s", crew_text(), way,
		       allocator_names[who]);
		report(slowest[who], "ns", who == LIBRARY && !crowd && crew_cpus() > 1 ? '<' : 0,
		       TARGET_NS, "latency", "%s %s 99.99th percentile %s", crew_text(), way,
		       allocator_names[who]);
	}
	report(machine, "ns", 0, 0, "latency", "%s %s machine alone", crew_text(), way);
	report(exactly((double)(committed_bytes() - committed)), "bytes", 0, 0, "latency",
	       "%s %s growth meanwhile", crew_text(), way);
}

static void measure_threads(long threads)
{
	static crew_job *const own[ALLOCATORS] = JOBS_OF(own);
	static crew_job *const crossed[ALLOCATORS] = JOBS_OF(crossed);

	crew_gather(threads);
	measure("own", own);
	measure("crossed", crossed);
	crew_dismiss();
}

int main(void)
{
	for (long thread = 0; thread < CREW_MAX; thread++)
		workers[thread].random = random_seed((uint64_t)thread);
	measure_threads(crew_cpus());
	measure_threads(4 * crew_cpus());
	return 0;
}
