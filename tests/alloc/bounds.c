/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What magazines hold back is bounded, is known, and goes back: by a trim, before
 * anything fails, and when a CPU does nothing any more. And what handlers may call makes
 * no system call: a filter ends a process that does.
 */
#include "crowd.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#define KIB ((size_t)1 << 10)
/* May be cached on one CPU. */
#define MOST_STEADY (24 * KIB)	/* if there are no bursts */
#define MOST_OF_SIZE (32 * KIB) /* after bursts of one size */
#define MOST_OF_ALL (80 * KIB)	/* after bursts of all sizes: those, and two batches of each */
#define MOST_IN_TURN (40 * KIB) /* after bursts of one size after the other */
#define OBJECTS 2000
#define HELD 200
#define FULL ((64 * KIB) / 24) /* objects of 24 bytes in the smaller area */

static void *object[FULL];
static size_t held[HELD];   /* sizes of the first, if they are held */
static bool caches_of_cpus; /* each CPU has magazines of its own */

static size_t size_of(size_t n)
{
	return 4 + n * 28 % 256;
}

/* On CPU @cpu: allocate many of all small sizes, and free them again. */
static void use(int cpu, size_t n)
{
	must(pin(0, allowed_cpu(cpu)));
	for (size_t k = 0; k < n; k++)
		must((object[k] = cpu_alloc(size_of(k), GFP_KERNEL, 4)));
	for (size_t k = 0; k < n; k++)
		cpu_free(object[k], size_of(k));
}

static void note_cached(size_t *most)
{
	const size_t now = (size_t)stats_now().cached_bytes;

	*most = *most < now ? now : *most;
}

static int trim_and_leave(size_t most, size_t bound)
{
	printf("%zu bytes at most\n", most);
	must(most <= bound && (most > 0 || strncmp(cpu_alloc_path(), "rseq", 4) != 0));
	for (size_t n = 0; n < HELD; n++)
		cpu_free(object[n], held[n]);
	cpu_alloc_trim();
	must(stats_now().cached_bytes == 0 && stats_now().objects == 0);
	return 0;
}

/* One object comes, another goes, of all sizes. */
static int steady(const void *unused)
{
	uint64_t random = 88172645463325252;
	size_t most = 0;

	(void)unused;
	for (int n = 0; n < rounds(20000); n++) {
		const size_t k = next_random(&random) % HELD;

		cpu_free(object[k], held[k]);
		held[k] = 4 + (random >> 16) % 64 * 4;
		must((object[k] = cpu_alloc(held[k], GFP_KERNEL, 4)));
		if (n % 64 == 0)
			note_cached(&most);
	}
	return trim_and_leave(most, MOST_STEADY);
}

/* Many of a size come and go at once. */
static int in_bursts(const void *unused)
{
	size_t most = 0;

	(void)unused;
	for (int round = 0; round < 40; round++) {
		for (size_t n = 0; n < FULL; n++)
			must((object[n] = cpu_alloc(24, GFP_KERNEL, 4)));
		for (size_t n = 0; n < FULL; n++)
			cpu_free(object[n], 24);
		note_cached(&most);
	}
	return trim_and_leave(most, MOST_OF_SIZE);
}

static int in_bursts_of_all(const void *unused)
{
	size_t most = 0;

	(void)unused;
	for (int round = 0; round < 40; round++) {
		use(0, OBJECTS);
		note_cached(&most);
	}
	return trim_and_leave(most, MOST_OF_ALL);
}

/*
 * Sizes take turns: what one has grown to, others get. The area does not get fuller than it
 * was, since all would be emptied then.
 */
static int in_bursts_in_turn(const void *unused)
{
	enum { COUNT = 1024, HIGH = 256 << 10 };
	size_t most = 0;
	void *high;

	(void)unused;
	must(cpu_alloc_setup("percpu=512K") == 0 && pin(0, allowed_cpu(0)));
	must((high = cpu_alloc(HIGH, GFP_KERNEL, 4)) && cpu_alloc(4, GFP_KERNEL, 4));
	cpu_free(high, HIGH);
	for (size_t size = 4; size <= 256; size += 4) {
		for (int round = 0; round < 20; round++) {
			for (size_t n = 0; n < COUNT; n++)
				must((object[n] = cpu_alloc(size, GFP_KERNEL, 4)));
			for (size_t n = 0; n < COUNT; n++)
				cpu_free(object[n], size);
		}
		note_cached(&most);
	}
	printf("%zu bytes at most\n", most);
	must(most <= MOST_IN_TURN);
	return 0;
}

/* A trim gives back what each CPU's magazines have, and the pages. */
static int trimmed(const void *unused)
{
	(void)unused;
	for (int cpu = 0; allowed_cpu(cpu) >= 0; cpu++)
		use(cpu, OBJECTS);
	must(cpu_alloc_trim() > 0 && stats_now().cached_bytes == 0);
	must(stats_now().resident_bytes == 0);
	for (int cpu = 0; allowed_cpu(cpu) >= 0; cpu++)
		use(cpu, OBJECTS / 10);
	return 0;
}

/* Fill the area, from two CPUs in turn. */
static void fill(void)
{
	for (size_t n = 0; n < FULL; n++) {
		if (n % 16 == 0)
			must(pin(0, allowed_cpu((int)(n / 16 % 2))));
		object[n] = cpu_alloc(24, GFP_KERNEL, 4);
		must(object[n]);
	}
}

static int by_address(const void *a, const void *b)
{
	const char *const left = *(char *const *)a, *const right = *(char *const *)b;

	return (left > right) - (left < right);
}

/*
 * Magazines of two CPUs have what was between two objects: an object that needs all of
 * that place gets it.
 */
static int given_back(const void *unused)
{
	void *between;

	(void)unused;
	if (allowed_cpu(1) < 0)
		return CANNOT;
	must(cpu_alloc_setup("percpu=64K") == 0);
	for (int round = 0; round < 3; round++) {
		fill();
		qsort(object, FULL, sizeof(*object), by_address);
		for (size_t n = 1; n < FULL - 1; n++) {
			if (n % 10 == 0)
				must(pin(0, allowed_cpu((int)(n / 10 % 2))));
			cpu_free(object[n], 24);
		}
		between = cpu_alloc((FULL - 2) * 24, GFP_KERNEL, 4);
		must(between == (char *)object[0] + 24);
		cpu_free(between, (FULL - 2) * 24);
		cpu_free(object[0], 24);
		cpu_free(object[FULL - 1], 24);
	}
	must(stats_now().objects == 0 && stats_now().failed_enomem == 0);
	return 0;
}

#define REFILLED 40000 /* objects, for which magazines are refilled often */

/* A CPU that does nothing any more keeps nothing, while another works on. */
static int idle(const void *unused)
{
	static void *refilled[REFILLED];
	size_t before;

	(void)unused;
	if (allowed_cpu(1) < 0 || !caches_of_cpus)
		return CANNOT;
	must(pin(0, allowed_cpu(0)));
	/* The area shall not get fuller than it was: all would be emptied. */
	must(cpu_alloc_bulk(8, GFP_KERNEL, 8, REFILLED, refilled) == 0);
	must(cpu_alloc(8, GFP_KERNEL, 8));
	must(cpu_free_bulk(8, REFILLED, refilled) == 0);
	use(1, 500);
	before = (size_t)stats_now().cached_bytes;
	must(before > KIB);
	must(pin(0, allowed_cpu(0)));
	for (int n = 0; n < REFILLED / 2; n++)
		must(cpu_alloc(8, GFP_KERNEL, 8));
	printf("%zu bytes, then %" PRIu64 "\n", before, stats_now().cached_bytes);
	must(stats_now().cached_bytes < before / 2);
	return 0;
}

#define ALLOW(call)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/*
 * membarrier() is allowed: who is interrupted while it frees may not know that the object
 * was popped where it is, nor stay there.
 */
static bool forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(membarrier),
		ALLOW(exit),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Objects that GFP_ATOMIC gets, and those that it does not; enough to fill magazines. */
static int no_system_call(const void *unused)
{
	(void)unused;
	use(0, OBJECTS);
	if (under_valgrind() || !forbid_system_calls())
		return CANNOT;
	for (int round = 0; round < 20; round++) {
		for (size_t n = 0; n < OBJECTS; n++)
			object[n] = cpu_alloc(4 + n % 300, n % 2 ? GFP_ATOMIC : GFP_NOWAIT, 4);
		for (size_t n = 0; n < OBJECTS; n++)
			cpu_free(object[n], 4 + n % 300);
	}
	if (!cpu_alloc_bulk(24, GFP_ATOMIC, 8, OBJECTS, object))
		cpu_free_bulk(24, OBJECTS, object);
	syscall(SYS_exit, 0);
	return 1;
}

static void bound(const char *name, int (*function)(const void *))
{
	const struct outcome o = run_child(function, NULL);

	if (exited(&o, CANNOT)) {
		skip(name, "one CPU, no CPUs' own magazines, no seccomp, or valgrind's own calls");
		return;
	}
	ok_outcome(&o, name);
	if (exited(&o, 0))
		diag_lines("", o.out);
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	caches_of_cpus = mode.sections && !mode.cid;
	ok_path(&mode);
	bound("little is cached while one object comes and another goes", steady);
	bound("no more than is said is cached after bursts of a size", in_bursts);
	bound("nor after bursts of all sizes", in_bursts_of_all);
	bound("nor after bursts of one size after the other", in_bursts_in_turn);
	bound("a trim empties the magazines of all CPUs", trimmed);
	bound("what is cached on two CPUs goes back to be one object", given_back);
	bound("a CPU that does nothing keeps nothing", idle);
	bound("GFP_ATOMIC, GFP_NOWAIT and cpu_free() make no system call but membarrier()",
	      no_system_call);
	return tap_done();
}
