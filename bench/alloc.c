/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc and cpu_free beside other allocators, in patterns.
 *
 *	alloc			all patterns, one thread up to one a CPU (1, 2, 4,
 *				8, 16), and four a CPU
 *	alloc pair LABEL	allocate and free one object, one thread, beside
 *				malloc alone; LABEL says in the CSV how the
 *				environment lets the library work
 *
 * A figure is the time of one allocation and one free as a thread sees it, or with
 * more threads than CPUs, as a CPU sees it.
 *
 *	shared		one thread works; just before, another has freed an object
 *			that it had allocated
 *	hand-over	one thread allocates, all others free: the time from one
 *			object to the next; "nothing" is what passing pointers
 *			takes alone
 */
#include "allocators.h"
#include "bench.h"

#include <sched.h>
#include <string.h>

#define ROUND_MS 4	 /* threads with CPUs of their own */
#define ROUND_LONG_MS 20 /* several turns of the scheduler */
#define AT_ONCE 256	 /* objects, from one look at the time to the next */
#define SHARED_PAIRS 16384
#define BURST_MAX 1024U	   /* objects */
#define BATCH 64	   /* objects that are handed over at once */
#define RING_BATCHES 16ULL /* on their way to one thread, at most */

struct load {
	size_t size;
	uint32_t objects; /* of a burst */
};

/* One object at a time. */
static ALWAYS_INLINE uint64_t some_pairs(enum allocator who, const struct load *load,
					 uint64_t pairs)
{
	const size_t size = load->size;

	for (uint64_t i = 0; i < pairs; i++) {
		void *ptr = take(who, size);

		use_value((uintptr_t)ptr);
		give(who, ptr, size);
	}
	return pairs;
}

static ALWAYS_INLINE uint64_t pairs(enum allocator who, const struct load *load)
{
	uint64_t done = 0;

	do {
		done += some_pairs(who, load, AT_ONCE);
	} while (crew_goes_on());
	return done;
}

/* Many, then all of them freed in the order in which they came. */
static ALWAYS_INLINE uint64_t bursts(enum allocator who, const struct load *load)
{
	const size_t size = load->size;
	const uint32_t objects = load->objects;
	void *object[BURST_MAX];
	uint64_t done = 0;

	do {
		for (uint32_t i = 0; i < BURST_MAX; i += objects) {
			for (uint32_t k = 0; k < objects; k++)
				object[k] = take(who, size);
			use_value((uintptr_t)object);
			for (uint32_t k = 0; k < objects; k++)
				give(who, object[k], size);
		}
		done += BURST_MAX;
	} while (crew_goes_on());
	return done;
}

/* From thread 0 to each of the others. */
static struct ring {
	uint64_t filled __attribute__((aligned(128)));	/* batches, by thread 0 */
	uint64_t emptied __attribute__((aligned(128))); /* batches, by the other */
	void *object[RING_BATCHES][BATCH] __attribute__((aligned(128)));
} rings[CREW_MAX];

static bool all_handed_over;

static ALWAYS_INLINE void allocate_batches(enum allocator who, size_t size)
{
	long receiver = 1;

	while (crew_goes_on()) {
		struct ring *ring = &rings[receiver];
		const uint64_t filled = ring->filled;
		const uint64_t emptied = __atomic_load_n(&ring->emptied, __ATOMIC_ACQUIRE);

		receiver = receiver == crew_threads() - 1 ? 1 : receiver + 1;
		if (filled - emptied == RING_BATCHES) {
			sched_yield();
			continue;
		}
		for (uint32_t i = 0; i < BATCH; i++)
			ring->object[filled % RING_BATCHES][i] = take(who, size);
		__atomic_store_n(&ring->filled, filled + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&all_handed_over, true, __ATOMIC_RELEASE);
}

static ALWAYS_INLINE uint64_t free_batches(enum allocator who, size_t size, struct ring *ring)
{
	uint64_t done = 0;

	for (;;) {
		const bool all = __atomic_load_n(&all_handed_over, __ATOMIC_ACQUIRE);
		const uint64_t emptied = ring->emptied;

		if (emptied == __atomic_load_n(&ring->filled, __ATOMIC_ACQUIRE)) {
			if (all)
				return done;
			sched_yield();
			continue;
		}
		for (uint32_t i = 0; i < BATCH; i++) {
			use_value((uintptr_t)ring->object[emptied % RING_BATCHES][i]);
			give(who, ring->object[emptied % RING_BATCHES][i], size);
		}
		__atomic_store_n(&ring->emptied, emptied + 1, __ATOMIC_RELEASE);
		done += BATCH;
	}
}

/* Thread 0 allocates, the others free. */
static ALWAYS_INLINE uint64_t hand_over(enum allocator who, const struct load *load, long thread)
{
	if (thread)
		return free_batches(who, load->size, &rings[thread]);
	allocate_batches(who, load->size);
	return 0;
}

/* The patterns as jobs, for each allocator. */
#define JOB(name, who, statement)                                                                  \
	static uint64_t name##_##who(long thread, void *argument)                                  \
	{                                                                                          \
		const struct load *load = argument;                                                \
                                                                                                   \
		(void)thread;                                                                      \
		return statement;                                                                  \
	}
#define JOBS(who)                                                                                  \
	JOB(pairs, who, pairs(who, load))                                                          \
	JOB(bursts, who, bursts(who, load))                                                        \
	JOB(hand_over, who, hand_over(who, load, thread))

JOBS(LIBRARY)
JOBS(LIBC)
JOBS(JEMALLOC)
JOBS(POOL)
JOB(hand_over, NOTHING, hand_over(NOTHING, load, thread))
JOB(some_of_first, LIBRARY, thread ? 0 : some_pairs(LIBRARY, load, SHARED_PAIRS))
JOB(some_of_first, LIBC, thread ? 0 : some_pairs(LIBC, load, SHARED_PAIRS))

#define JOBS_OF(name)                                                                              \
	[LIBRARY] = name##_LIBRARY, [LIBC] = name##_LIBC, [JEMALLOC] = name##_JEMALLOC,            \
	[POOL] = name##_POOL

struct pattern {
	const char *name;
	double target;			    /* times malloc, at most */
	bool together;			    /* one operation is the work of all threads */
	void (*prepare)(struct load *load); /* before a round */
	crew_job *jobs[ALLOCATORS];	    /* NULL: not compared */
};

/*
 * For "shared": objects that the first thread allocated, and the other frees. One
 * such free has the first thread's CPU expect more for so many of its own frees;
 * the more often, the longer, up to a bound. SHARED_PAIRS are well below that.
 */
#define FREES_BEFORE 12
#define STOCK (FREES_BEFORE + 2 * (ROUNDS + 1)) /* one for each turn of either allocator */

static void *stock[STOCK];
static int stock_length;

static uint64_t allocate_stock(long thread, void *argument)
{
	if (thread)
		return 0;
	for (int i = 0; i < 8; i++) /* whatever was expected before is over */
		some_of_first_LIBRARY(thread, argument);
	for (stock_length = 0; stock_length < STOCK; stock_length++)
		stock[stock_length] = take(LIBRARY, ((const struct load *)argument)->size);
	return 0;
}

static uint64_t free_of_stock(long thread, void *argument)
{
	if (thread == 1)
		cpu_free(stock[--stock_length], ((const struct load *)argument)->size);
	return 0;
}

/* One free elsewhere; at first some more. */
static void free_elsewhere(struct load *load)
{
	if (stock_length == 0) {
		crew_do(allocate_stock, load);
		for (int i = 0; i < FREES_BEFORE; i++)
			crew_do(free_of_stock, load);
	}
	crew_do(free_of_stock, load);
}

static void start_hand_over(struct load *load)
{
	(void)load;
	all_handed_over = false;
}

static const struct pattern pair_alone = {
	.name = "alloc+free",
	.target = 0.8,
	.jobs = {JOBS_OF(pairs)},
};
static const struct pattern pair_shared = {
	.name = "alloc+free shared",
	.target = 1.5,
	.prepare = free_elsewhere,
	.jobs = {[LIBRARY] = some_of_first_LIBRARY, [LIBC] = some_of_first_LIBC},
};
static const struct pattern pair_at_once = {
	.name = "alloc+free",
	.target = 0.9,
	.jobs = {JOBS_OF(pairs)},
};
static const struct pattern burst = {
	.name = "burst",
	.target = 0.9,
	.jobs = {JOBS_OF(bursts)},
};
static const struct pattern one_allocates = {
	.name = "hand-over",
	.target = 0.4,
	.together = true,
	.prepare = start_hand_over,
	.jobs = {JOBS_OF(hand_over), [NOTHING] = hand_over_NOTHING},
};

static const char *label = "";
static bool by_sections;

static bool takes_part(const struct pattern *pattern, enum allocator who, size_t size)
{
	if (*label && who > LIBC)
		return false;
	return pattern->jobs[who] && allocator_use(who, size);
}

/* Rounds of all who take part, in turns; the first of each does not count. */
static void run_rounds(const struct pattern *pattern, struct load *load, struct rounds *rounds)
{
	const bool crowd = crew_threads() > crew_cpus();
	const int ms = crowd || pattern->together ? ROUND_LONG_MS : ROUND_MS;

	for (int round = -1; round < ROUNDS; round++)
		for (enum allocator who = 0; who < ALLOCATORS; who++) {
			double ns;

			if (!takes_part(pattern, who, load->size))
				continue;
			if (pattern->prepare)
				pattern->prepare(load);
			ns = crew_time(pattern->jobs[who], load, ms);
			if (pattern->together)
				ns /= (double)crew_threads();
			if (round >= 0)
				rounds[who].value[round] = ns;
		}
}

static void describe(char *text, size_t n, const struct load *load)
{
	char objects[32] = "";

	if (load->objects)
		snprintf(objects, sizeof(objects), " objects=%u", load->objects);
	snprintf(text, n, "%s size=%zu%s%s", crew_text(), load->size, objects, label);
}

static void measure(const struct pattern *pattern, struct load load)
{
	struct rounds rounds[ALLOCATORS];
	char what[128];

	run_rounds(pattern, &load, rounds);
	describe(what, sizeof(what), &load);
	for (enum allocator who = 0; who < ALLOCATORS; who++)
		if (takes_part(pattern, who, load.size))
			report(rounds[who], "ns", 0, 0, pattern->name, "%s %s", what,
			       allocator_names[who]);
	report(ratio(&rounds[LIBRARY], &rounds[LIBC]), "times", by_sections ? '<' : 0,
	       pattern->target, pattern->name, "%s cpu_alloc/malloc", what);
}

static void measure_bursts(void)
{
	measure(&burst, (struct load){24, 64});
	measure(&burst, (struct load){24, BURST_MAX});
}

static void measure_sizes(const struct pattern *pattern)
{
	static const size_t sizes[] = {8, 24, 64, 256};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(pattern, (struct load){.size = sizes[i]});
}

/* Before any other thread is there: the C library saves itself locks as long. */
static void measure_alone(void)
{
	crew_gather(1);
	measure_sizes(&pair_alone);
}

static void measure_shared(void)
{
	crew_gather(2);
	measure_sizes(&pair_shared);
	crew_dismiss();
}

static void measure_at_once(long threads)
{
	crew_gather(threads);
	measure(&pair_at_once, (struct load){.size = 24});
	measure_bursts();
	crew_dismiss();
}

static void measure_hand_over(long threads)
{
	crew_gather(threads);
	measure(&one_allocates, (struct load){.size = 24});
	crew_dismiss();
}

/* Last what has objects of one CPU lie beside those of another: see alloc_layout.c. */
static void measure_all(void)
{
	measure_alone();
	measure_bursts();
	for (long threads = 2; threads <= crew_cpus(); threads *= 2)
		measure_at_once(threads);
	measure_at_once(4 * crew_cpus());
	for (long threads = 2; threads <= crew_cpus(); threads *= 2)
		measure_hand_over(threads);
	if (crew_cpus() >= 2)
		measure_shared();
}

int main(int argc, char **argv)
{
	by_sections = !strncmp(cpu_alloc_path(), "rseq", 4);
	if (!cpu_alloc(1000, GFP_KERNEL, 8)) /* set up, and no longer empty */
		fail("cpu_alloc");
	if (argc == 1) {
		measure_all();
	} else if (argc == 3 && !strcmp(argv[1], "pair")) {
		static char text[64];

		snprintf(text, sizeof(text), " %s", argv[2]);
		label = text;
		measure_alone();
	} else {
		fputs("usage: alloc [pair LABEL]\n", stderr);
		return 2;
	}
	return 0;
}
