/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The depot: objects that one CPU allocates and another frees pass through it and not
 * through the map. It gives back what it has as magazines do, and a single CPU has
 * nothing in it.
 */
#include "owned.h"
#include "state.h"

#include <sys/syscall.h>

#define SIZE 24
#define UNITS (SIZE / CPU_ALLOC_UNIT)
#define OBJECTS 600
#define FULL ((64 << 10) / SIZE) /* objects in the smaller area */
#define MOST (48 << 10)		 /* a third of an eighth of 1 MiB, and what others begin with */
#define REFILLED 40000		 /* for which magazines are refilled often */

static struct owned object[FULL];
static struct books books;
static const struct request request = {SIZE, 4, GFP_KERNEL};
static bool caches_of_cpus; /* each CPU has magazines of its own */

static uint32_t held_by(int index, uint32_t units)
{
	return magazine_n(magazine_at(&cpu_alloc_state.magazines, index, units));
}

static uint32_t in_depot(void)
{
	uint32_t sum = 0;

	for (uint32_t units = 1; units <= SMALL_UNITS; units++)
		sum += held_by(DEPOT, units);
	return sum;
}

static size_t bytes_in_depot(void)
{
	size_t sum = 0;

	for (uint32_t units = 1; units <= SMALL_UNITS; units++)
		sum += units_to_bytes(held_by(DEPOT, units) * units);
	return sum;
}

static void go_to(int cpu)
{
	must(pin(0, allowed_cpu(cpu)));
}

static void make(size_t n)
{
	for (size_t k = 0; k < n; k++)
		must(owned_make(&object[k], &books, request));
}

static void drop(size_t n)
{
	for (size_t k = 0; k < n; k++)
		owned_drop(&object[k], &books);
}

/* Allocated on the first CPU, freed on the second. */
static void hand_over(size_t n)
{
	go_to(0);
	make(n);
	go_to(1);
	drop(n);
}

/* What was freed elsewhere is what is allocated next, and the map does not notice. */
static int passed_on(const void *unused)
{
	uint32_t objects, n;

	(void)unused;
	owned_set_up(NULL);
	for (int round = 0; round < 5; round++) {
		hand_over(OBJECTS);
		must(in_depot() > 0);
		go_to(0);
		objects = cpu_alloc_state.map.objects;
		n = in_depot() + held_by(allowed_cpu(0), UNITS);
		make(n);
		must(in_depot() == 0 && cpu_alloc_state.map.objects == objects);
		drop(n);
	}
	must_balance(&books);
	return 0;
}

/* Of one CPU the map sees what it spills: that keeps the packing of a single thread. */
static int not_alone(const void *unused)
{
	(void)unused;
	owned_set_up(NULL);
	go_to(0);
	for (int round = 0; round < 5; round++) {
		make(OBJECTS);
		drop(OBJECTS);
		must(in_depot() == 0);
		make(OBJECTS);
		cpu_alloc_trim();
		drop(OBJECTS);
		must(in_depot() == 0);
	}
	must_balance(&books);
	return 0;
}

static int trimmed(const void *unused)
{
	(void)unused;
	owned_set_up(NULL);
	hand_over(OBJECTS);
	must(in_depot() > 0);
	cpu_alloc_trim();
	must(in_depot() == 0 && stats_now().cached_bytes == 0 && stats_now().resident_bytes == 0);
	hand_over(OBJECTS);
	must_balance(&books);
	return 0;
}

/* Before anything fails it is empty: the whole area can be had in one piece. */
static int given_back(const void *unused)
{
	(void)unused;
	owned_set_up("percpu=64K");
	for (int round = 0; round < 3; round++) {
		hand_over(FULL);
		must(in_depot() > 0);
		must_be_empty(&books);
		books.allocs++; /* that piece */
		books.frees++;
	}
	must(stats_now().failed_enomem == 0);
	return 0;
}

/* From now on the area does not get fuller than it was: all would be emptied. */
static void raise_top(void)
{
	static void *high[REFILLED];

	must(cpu_alloc_bulk(8, GFP_KERNEL, 8, REFILLED, high) == 0);
	must(cpu_alloc(8, GFP_KERNEL, 8));
	must(cpu_free_bulk(8, REFILLED, high) == 0);
}

/* What nobody fetches goes to the map, while others work on. */
static int fetched_by_nobody(const void *unused)
{
	(void)unused;
	owned_set_up(NULL);
	raise_top();
	hand_over(OBJECTS);
	must(in_depot() > 0);
	go_to(0);
	for (int n = 0; n < REFILLED / 2; n++)
		must(cpu_alloc(8, GFP_KERNEL, 8));
	must(in_depot() == 0);
	return 0;
}

/*
 * In a copy it is as it was, since a handler may have made the copy while the depot was at
 * work; whoever takes the lock first there has it emptied.
 */
static int copied(const void *unused)
{
	uint32_t n;
	pid_t child;
	int status;

	(void)unused;
	owned_set_up(NULL);
	hand_over(OBJECTS);
	n = in_depot();
	must(n > 0);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		if (in_depot() != n)
			_exit(2);
		cpu_free(cpu_alloc(400, GFP_KERNEL, 4), 400);
		_exit(in_depot() == 0 ? 0 : 3);
	}
	must(waitpid(child, &status, 0) == child);
	printf("status %#x\n", (unsigned int)status);
	must(status == 0 && in_depot() == n);
	must_balance(&books);
	return 0;
}

/* However much is handed over, of all sizes: as much as magazines of one CPU may have. */
static int bounded(const void *unused)
{
	size_t most = 0, now;

	(void)unused;
	owned_set_up("percpu=1M");
	raise_top();
	for (int round = 0; round < 400; round++) {
		const struct request some = {4 + (size_t)round * 28 % 256, 4, GFP_KERNEL};

		go_to(0);
		for (size_t k = 0; k < FULL; k++)
			must(owned_make(&object[k], &books, some));
		go_to(1);
		drop(FULL);
		now = bytes_in_depot();
		most = most < now ? now : most;
	}
	printf("%zu bytes at most\n", most);
	must(most > MOST / 4 && most <= MOST);
	must_be_well();
	return 0;
}

static void depot(const char *name, int (*function)(const void *))
{
	struct outcome o;

	if (allowed_cpu(1) < 0 || !caches_of_cpus) {
		skip(name, "one CPU, or no CPUs' own magazines");
		return;
	}
	o = run_child(function, NULL);
	ok_outcome(&o, name);
	if (exited(&o, 0))
		diag_lines("", o.out);
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	caches_of_cpus = mode.sections && !mode.cid;
	ok_path(&mode);
	depot("what one CPU frees another allocates, and the map does not notice", passed_on);
	depot("one CPU alone has nothing in the depot", not_alone);
	depot("a trim empties it", trimmed);
	depot("it is empty before anything fails", given_back);
	depot("what nobody fetches does not stay", fetched_by_nobody);
	depot("a copy of the process has it as it was, and gives it up", copied);
	depot("it holds no more than the magazines of a CPU may", bounded);
	return tap_done();
}
