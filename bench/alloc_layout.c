/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * No cliff: layouts that could have threads on different CPUs write to the same
 * cache lines, each beside the best of them.
 *
 *	alloc-layout		as many threads as CPUs
 *
 * Objects of 8 bytes have two entries of the state array, so that those of 16
 * neighbours fill a line. A thread's hot objects are those that it freed last and
 * will be given next. Layouts:
 *
 *	own		from memory that the thread itself took; nothing crossed
 *	apart		freed by the thread, allocated by another, pages apart
 *	beside		the same, but neighbours of the other threads' hot objects
 *	crossed		each thread frees what the next has allocated
 *	drained		all caches were emptied; all threads start at once
 *
 * Two patterns for each: one object at a time, and HOT at a time. "increments":
 * objects stay live, and each thread counts in its own, pages apart or beside.
 */
#include "bench.h"
#include "crew.h"

#include <cpu_alloc.h>
#include <errno.h>

#define SIZE ((size_t)8)
#define HOT 8		 /* objects of a thread */
#define LINE_BYTES 128	 /* of the area, that one line of states describes */
#define APART_BYTES 4096 /* at least */
#define RUN_MAX 65536	 /* objects */
#define OWN (APART_BYTES / SIZE)
#define CROSSED 64 /* objects of a thread */
#define ROUND_MS 4
#define TARGET 2

static struct {
	void *hot[HOT], *room[2 * HOT], *own[OWN];
	bool as_meant;
} __attribute__((aligned(128))) workers[CREW_MAX];

static void *run[RUN_MAX];
static size_t run_length;

static void *allocate(void)
{
	void *ptr = cpu_alloc(SIZE, GFP_KERNEL, SIZE);

	if (!ptr)
		fail("alloc-layout: cpu_alloc");
	return ptr;
}

static void allocate_all(void **ptr, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ptr[i] = allocate();
}

static void free_all(void **ptr, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cpu_free(ptr[i], SIZE);
}

/* Patterns. */

static uint64_t one_at_a_time(long thread, void *argument)
{
	uint64_t done = 0;

	(void)thread;
	(void)argument;
	do {
		for (int i = 0; i < 256; i++)
			cpu_free(allocate(), SIZE);
		done += 256;
	} while (crew_goes_on());
	return done;
}

static uint64_t hot_at_a_time(long thread, void *argument)
{
	void *ptr[HOT];
	uint64_t done = 0;

	(void)thread;
	(void)argument;
	do {
		for (int i = 0; i < 256 / HOT; i++) {
			allocate_all(ptr, HOT);
			free_all(ptr, HOT);
		}
		done += 256;
	} while (crew_goes_on());
	return done;
}

static uint64_t increments(long thread, void *argument)
{
	uint64_t *const counter = workers[thread].hot[0];
	uint64_t done = 0;

	(void)argument;
	do {
		for (int i = 0; i < 1024; i++)
			this_cpu_inc(*counter);
		done += 1024;
	} while (crew_goes_on());
	return done;
}

/* A long run of live objects, in the order of addresses, of which hot ones are chosen. */

static int compare_pointers(const void *a, const void *b)
{
	const uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;

	return (left > right) - (left < right);
}

static uint64_t allocate_run(long thread, void *argument)
{
	(void)argument;
	if (thread)
		return 0;
	run_length = (size_t)(crew_threads() + 2) * 2 * OWN;
	allocate_all(run, run_length);
	qsort(run, run_length, sizeof(run[0]), compare_pointers);
	return 0;
}

static uint64_t free_run(long thread, void *argument)
{
	(void)argument;
	if (thread == 0)
		for (size_t i = 0; i < run_length; i++)
			if (run[i])
				cpu_free(run[i], SIZE);
	return 0;
}

/* Where @n objects are neighbours in the run, from the start of a line of states. */
static size_t find_neighbours(size_t n)
{
	for (size_t i = 0; i + n <= run_length; i++)
		if (cpu_alloc_offset(run[i]) % LINE_BYTES == 0 &&
		    (uintptr_t)run[i + n - 1] - (uintptr_t)run[i] == (n - 1) * SIZE)
			return i;
	errno = ERANGE;
	fail("alloc-layout: no neighbours");
}

static void choose(long thread, size_t which, size_t index)
{
	workers[thread].hot[which] = run[index];
	run[index] = NULL;
}

/* In turns: those that are in use at the same time are neighbours. */
static void choose_beside(void)
{
	const size_t threads = (size_t)crew_threads(), first = find_neighbours(HOT * threads);

	for (size_t i = 0; i < HOT * threads; i++)
		choose((long)(i % threads), i / threads, first + i);
}

static void choose_apart(void)
{
	for (long thread = 0; thread < crew_threads(); thread++)
		for (size_t i = 0; i < HOT; i++)
			choose(thread, i, (size_t)(thread + 1) * 2 * OWN + i);
}

static bool is_hot(long thread, const void *ptr)
{
	for (size_t i = 0; i < HOT; i++)
		if (workers[thread].hot[i] == ptr)
			return true;
	return false;
}

/*
 * Free the hot ones here, after making room for them, and see whether this
 * thread is given them again.
 */
static uint64_t free_hot(long thread, void *argument)
{
	void *ptr[HOT];

	(void)argument;
	allocate_all(workers[thread].room, 2 * HOT);
	free_all(workers[thread].hot, HOT);
	allocate_all(ptr, HOT);
	workers[thread].as_meant = true;
	for (size_t i = 0; i < HOT; i++)
		if (!is_hot(thread, ptr[i]))
			workers[thread].as_meant = false;
	for (size_t i = HOT; i; i--)
		cpu_free(ptr[i - 1], SIZE);
	return 0;
}

static uint64_t free_room(long thread, void *argument)
{
	(void)argument;
	free_all(workers[thread].room, 2 * HOT);
	return 0;
}

static uint64_t free_live_hot(long thread, void *argument)
{
	(void)argument;
	free_all(workers[thread].hot, HOT);
	return 0;
}

/* Layouts: how each is built, and taken down again. */

static void build_apart(void)
{
	crew_do(allocate_run, NULL);
	choose_apart();
	crew_do(free_hot, NULL);
}

static void build_beside(void)
{
	crew_do(allocate_run, NULL);
	choose_beside();
	crew_do(free_hot, NULL);
}

static void clear_run(void)
{
	crew_do(free_room, NULL);
	crew_do(free_run, NULL);
}

static uint64_t allocate_own(long thread, void *argument)
{
	(void)argument;
	allocate_all(workers[thread].own, OWN);
	free_all(workers[thread].own + OWN - HOT, HOT);
	return 0;
}

static void build_own(void)
{
	crew_do(allocate_own, NULL);
}

static uint64_t free_own(long thread, void *argument)
{
	(void)argument;
	free_all(workers[thread].own, OWN - HOT);
	return 0;
}

static void clear_own(void)
{
	crew_do(free_own, NULL);
}

static uint64_t allocate_some(long thread, void *argument)
{
	(void)argument;
	allocate_all(workers[thread].own, CROSSED);
	return 0;
}

static uint64_t free_of_next(long thread, void *argument)
{
	const long *distance = argument;

	free_all(workers[(thread + *distance) % crew_threads()].own, CROSSED);
	return 0;
}

static void build_crossed(void)
{
	long distance = 1;

	crew_do(allocate_some, NULL);
	crew_do(free_of_next, &distance);
}

static void build_drained(void)
{
	long distance = 0;

	crew_do(allocate_some, NULL);
	crew_do(free_of_next, &distance);
	cpu_alloc_trim();
}

static void clear_nothing(void)
{
}

enum { OWN_MEMORY, APART, BESIDE, AFTER_CROSSING, AFTER_DRAIN, LAYOUTS };

static const char *const names[LAYOUTS] = {"own", "apart", "beside", "crossed", "drained"};

static const struct {
	void (*build)(void), (*clear)(void);
} layouts[LAYOUTS] = {
	[OWN_MEMORY] = {build_own, clear_own},
	[APART] = {build_apart, clear_run},
	[BESIDE] = {build_beside, clear_run},
	[AFTER_CROSSING] = {build_crossed, clear_nothing},
	[AFTER_DRAIN] = {build_drained, clear_nothing},
};

static double median(struct rounds rounds)
{
	sort_rounds(&rounds);
	return rounds.value[ROUNDS / 2];
}

static double share_as_meant(void)
{
	double sum = 0;

	for (long thread = 0; thread < crew_threads(); thread++)
		sum += workers[thread].as_meant;
	return sum / (double)crew_threads();
}

/* Each beside the best of all, whichever that is. */
static void report_layouts(const char *pattern, const struct rounds *rounds, int first, int end)
{
	int best = first;

	for (int i = first; i < end; i++)
		if (median(rounds[i]) < median(rounds[best]))
			best = i;
	for (int i = first; i < end; i++)
		report(rounds[i], "ns", 0, 0, "layout", "%s %s %s", crew_text(), pattern, names[i]);
	for (int i = first; i < end; i++)
		if (i != best)
			report(ratio(&rounds[i], &rounds[best]), "times", '<', TARGET, "layout",
			       "%s %s %s/best", crew_text(), pattern, names[i]);
}

/* Does the library hand out what the layouts are about? Of all threads, so many. */
static void report_as_meant(struct rounds apart, struct rounds beside)
{
	report(apart, "share", 0, 0, "layout", "%s apart as meant", crew_text());
	report(beside, "share", 0, 0, "layout", "%s beside as meant", crew_text());
}

static void measure_layouts(void)
{
	struct rounds one[LAYOUTS], hot[LAYOUTS], as_meant[LAYOUTS];

	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < LAYOUTS; i++) {
			cpu_alloc_trim();
			layouts[i].build();
			as_meant[i].value[round] = share_as_meant();
			one[i].value[round] = crew_time(one_at_a_time, NULL, ROUND_MS);
			layouts[i].clear();
			cpu_alloc_trim();
			layouts[i].build();
			hot[i].value[round] = crew_time(hot_at_a_time, NULL, ROUND_MS);
			layouts[i].clear();
		}
	report_as_meant(as_meant[APART], as_meant[BESIDE]);
	report_layouts("one", one, 0, LAYOUTS);
	report_layouts("eight", hot, 0, LAYOUTS);
}

/* Live objects: what is beside them lies in other areas. */
static double time_increments(void (*choose_hot)(void))
{
	double ns;

	crew_do(allocate_run, NULL);
	choose_hot();
	ns = crew_time(increments, NULL, ROUND_MS);
	crew_do(free_live_hot, NULL);
	crew_do(free_run, NULL);
	return ns;
}

static void measure_increments(void)
{
	struct rounds rounds[LAYOUTS];

	for (int round = 0; round < ROUNDS; round++) {
		rounds[APART].value[round] = time_increments(choose_apart);
		rounds[BESIDE].value[round] = time_increments(choose_beside);
	}
	report_layouts("increments", rounds, APART, BESIDE + 1);
}

int main(void)
{
	if (crew_cpus() < 2)
		return 0;
	crew_gather(crew_cpus());
	measure_layouts();
	measure_increments();
	crew_dismiss();
	return 0;
}
