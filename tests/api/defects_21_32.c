/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The 32 defects of the allocator of 2008, by number, from 21. Those of its
 * bitmap (27, 28, 29) are in defects_map.c. What is not built yet is todo().
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "helpers.h"

#define MIB ((size_t)1 << 20)

static int defect_21(const void *unused)
{
	const gfp_t known = GFP_KERNEL | GFP_NOWAIT | GFP_ATOMIC | __GFP_ZERO;

	(void)unused;
	for (int bit = 0; bit < 32; bit++) {
		errno = 0;
		must(known & 1U << bit ||
		     (!cpu_alloc(24, GFP_KERNEL | 1U << bit, 8) && errno == EINVAL));
	}
	must(!cpu_alloc(24, GFP_KERNEL | GFP_ATOMIC, 8) && errno == EINVAL);
	must(!cpu_alloc(24, GFP_ATOMIC, 8) && errno == EAGAIN);
	must(!cpu_alloc(24, GFP_NOWAIT, 8) && errno == EAGAIN);
	must(cpu_alloc(24, GFP_KERNEL, 8) && cpu_alloc(24, GFP_ATOMIC | __GFP_ZERO, 8));
	return 0;
}

/*
 * A strict seccomp ends a process that makes any call but read, write and exit. A free
 * makes one, membarrier(), of what was allocated on another CPU; here there is one.
 */
static int no_system_call(const void *unused)
{
	char *dirty = cpu_alloc(4000, GFP_KERNEL, 8);

	(void)unused;
	if (under_valgrind() || !bind_to(sched_getcpu()))
		return CANNOT;
	fill_instances(dirty, 1, 4000);
	cpu_free(dirty, 4000);
	if (prctl(PR_SET_SECCOMP, 1) != 0)
		return CANNOT;
	for (int n = 0; n < 100; n++) {
		char *ptr = cpu_alloc(40, GFP_ATOMIC | (n % 2 ? __GFP_ZERO : 0), 8);

		*THIS_CPU(ptr) = 1;
		if (n % 3)
			cpu_free(ptr, 40);
	}
	cpu_alloc(1UL << 40, GFP_NOWAIT, 8);
	syscall(SYS_exit, 0);
	return 1;
}

static struct {
	char *small, *large; /* to be freed in the handler, while there is a small one */
	void *bulk[2];
} interrupted;

int __real_mprotect(void *at, size_t bytes, int protection);
int __wrap_mprotect(void *at, size_t bytes, int protection);

/* Where the library calls the system: stands for an interruption at this point. */
int __wrap_mprotect(void *at, size_t bytes, int protection)
{
	if (interrupted.small)
		raise(SIGUSR1);
	return __real_mprotect(at, bytes, protection);
}

static void free_in_handler(int number)
{
	char *small = interrupted.small;

	(void)number;
	interrupted.small = NULL;
	cpu_free(small, 24);
	cpu_free(interrupted.large, 400);
	cpu_free(interrupted.large, 400);
	must(cpu_free_bulk(40, 2, interrupted.bulk) == 0);
	must(cpu_free_bulk(40, 2, interrupted.bulk) == -1 && errno == EINVAL);
}

/* It cannot have the lock: what it frees waits for who takes that next. */
static int handler_frees(const void *unused)
{
	char *small = cpu_alloc(24, GFP_KERNEL, 8), *large, *keep[2];
	struct cpu_alloc_stats now;

	(void)unused;
	keep[0] = first_fit(4, GFP_KERNEL, 4);
	large = first_fit(400, GFP_KERNEL, 8);
	keep[1] = first_fit(4, GFP_KERNEL, 4);
	must(small && large && keep[0] && keep[1]);
	must(cpu_alloc_bulk(40, GFP_KERNEL, 8, 2, interrupted.bulk) == 0);
	signal(SIGUSR1, free_in_handler);
	interrupted.large = large;
	interrupted.small = small;
	must(cpu_alloc(4 * MIB, GFP_KERNEL, 8));
	now = stats_now();
	must(!interrupted.small && now.allocs == 7 && now.frees == 4 && now.misuses == 2);
	must(now.objects == 3 && now.cpu_bytes == 4 * MIB + 8);
	must(now.cached_bytes >= 24 + 400 + 80);
	must(cpu_alloc(400, GFP_KERNEL, 8) == large);
	cpu_alloc_trim();
	must(stats_now().objects == 4 && stats_now().cached_bytes == 0);
	must(first_fit(24, GFP_KERNEL, 8) == small);
	return 0;
}

static int defect_22(const void *unused)
{
	char *ptr = cpu_alloc(8, GFP_KERNEL, 8);

	(void)unused;
	must(first_fit(4, GFP_KERNEL, 4)); /* their page does not go back meanwhile */
	for (size_t size = 1; size <= 8; size++) {
		cpu_alloc_for_each (i)
			memset(instance(ptr, i), 0xff, 8);
		cpu_free(ptr, size == 1 ? 8 : size - 1);
		must(first_fit(size, GFP_KERNEL | __GFP_ZERO, 8) == ptr);
		must(instances_zero(ptr, (size + 3) & ~(size_t)3));
	}
	return 0;
}

/* Dirty memory that comes from a magazine, and clean memory too. */
static int zeroes_recycled_tails(const void *unused)
{
	enum { COUNT = 50 };
	char *object[COUNT];

	(void)unused;
	for (size_t size = 1; size <= 64; size++)
		for (int dirty = 1; dirty >= 0; dirty--) {
			const size_t whole = (size + 3) & ~(size_t)3;

			for (int n = 0; n < COUNT; n++) {
				object[n] = cpu_alloc(size, GFP_KERNEL | __GFP_ZERO, 4);
				must(object[n] && instances_zero(object[n], whole));
				fill_instances(object[n], 0x55, dirty ? whole : 0);
			}
			for (int n = 0; n < COUNT; n++)
				cpu_free(object[n], size);
		}
	return 0;
}

static int poisons(const void *unused)
{
	char *ptr;

	(void)unused;
	must(cpu_alloc_setup("debug=on") == 0);
	ptr = cpu_alloc(24, GFP_KERNEL, 8);
	must(ptr && cpu_alloc(24, GFP_KERNEL, 8));
	memset(instance(ptr, 0), 1, 24);
	cpu_free(ptr, 24);
	must(!all_bytes(instance(ptr, 0), 1, 24) && cpu_alloc(24, GFP_KERNEL, 8) != ptr);
	return 0;
}

/* The first and the last CPU that this process may use; -1 where there is none. */
static void two_cpus(int cpu[2])
{
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
	cpu[0] = cpu[1] = -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((size_t)i, &allowed))
			cpu[cpu[0] < 0 ? 0 : 1] = i;
}

/* An address is that of the CPU where it was taken; an operation goes where the thread is. */
static int moved(const void *unused)
{
	uint64_t *count = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO), *address;
	int cpu[2];

	(void)unused;
	two_cpus(cpu);
	if (cpu[1] < 0 || !bind_to(cpu[0]))
		return CANNOT;
	address = THIS_CPU(count);
	this_cpu_add(*count, 1);
	must(bind_to(cpu[1]));
	must(address == CPU_PTR(count, cpu[0]) && address != THIS_CPU(count));
	this_cpu_add(*count, 3);
	must(*address == 1 && *CPU_PTR(count, cpu[1]) == 3 && this_cpu_read(*count) == 3);
	must(cpu_sum(*count) == 4);
	return 0;
}

#define COUNTERS 4
#define COUNTS 100000

static void *count_up(void *count)
{
	for (int n = 0; n < rounds(COUNTS); n++)
		this_cpu_add(*(uint64_t *)count, 3);
	return NULL;
}

/* Threads that are bound to no CPU, and take turns on each. */
static int loses_nothing(const void *unused)
{
	uint64_t *count = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	pthread_t thread[COUNTERS];

	(void)unused;
	for (int i = 0; i < COUNTERS; i++)
		must(pthread_create(&thread[i], NULL, count_up, count) == 0);
	for (int i = 0; i < COUNTERS; i++)
		pthread_join(thread[i], NULL);
	must(cpu_sum(*count) == UINT64_C(3) * COUNTERS * (uint64_t)rounds(COUNTS));
	return 0;
}

static int read_null(const void *index)
{
	return read_address(CPU_PTR((char *)NULL, *(const int *)index));
}

static int read_null_debug(const void *index)
{
	must(cpu_alloc_setup("debug=on") == 0);
	return read_null(index);
}

static void defect_24(void)
{
	bool fault = true;
	struct outcome o;

	for (int i = -1; i < 2; i++) {
		o = run_child(read_null, &i);
		fault &= killed(&o, SIGSEGV);
	}
	ok(fault, "defect 24: an instance of NULL faults");
	o = run_child(read_null_debug, &(int){0});
	todo("debug mode", strstr(o.err, "NULL") != NULL, "defect 24: and debug mode says why");
}

static int defect_25(const void *unused)
{
	int *array = CPU_ALLOC_ARRAY(int, 100, GFP_KERNEL);

	(void)unused;
	must(array && stats_now().cpu_bytes == 400);
	CPU_PTR(array, 0)[99] = 1;
	CPU_FREE_ARRAY(array, 100);
	must(stats_now().objects == 0);
	return 0;
}

/* More of it in bulk.c. */
static int bulk_calls(const void *unused)
{
	void *object[100];

	(void)unused;
	must(cpu_alloc_bulk(24, GFP_KERNEL | __GFP_ZERO, 8, 100, object) == 0);
	must(stats_now().objects == 100 && stats_now().cpu_bytes == 2400);
	fill_instances(object[99], 1, 24);
	must(cpu_free_bulk(24, 100, object) == 0 && stats_now().objects == 0);
	return 0;
}

#ifdef DEFINE_PER_CPU
#define HAS_STATIC_VARIABLES true
#else
#define HAS_STATIC_VARIABLES false
#endif

static int defect_26(const void *unused)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	(void)unused;
	for (int n = 0; n < 100; n++) {
		errno = 0;
		must(!cpu_alloc(24, GFP_KERNEL, 3) && errno == EINVAL);
		cpu_free(ptr + 4, 24);
	}
	must(stats_now().failed_einval == 100 && stats_now().misuses == 100);
	return 0;
}

static char *zeroed, *allocated_meanwhile;

/* The library is zeroing: would it wait if somebody allocates now? */
static void meanwhile(int number)
{
	(void)number;
	__real_mprotect(zeroed, page_bytes(), PROT_READ | PROT_WRITE);
	allocated_meanwhile = cpu_alloc(24, GFP_ATOMIC, 8);
}

/* A page that cannot be read stops the zeroing just when it is there. */
static int zeroes_outside_the_lock(const void *unused)
{
	size_t page = page_bytes();
	char *ptr = cpu_alloc(4 * page, GFP_KERNEL, 4096);

	(void)unused;
	if (under_valgrind())
		return CANNOT;
	fill_instances(ptr, 1, 4 * page);
	cpu_free(ptr, 4 * page);
	zeroed = instance(ptr, 0) + page;
	signal(SIGSEGV, meanwhile);
	must(__real_mprotect(zeroed, page, PROT_NONE) == 0);
	must(cpu_alloc(4 * page, GFP_KERNEL | __GFP_ZERO, 4096) == ptr);
	must(allocated_meanwhile && instances_zero(ptr, 4 * page));
	return 0;
}

static int defect_30(const void *unused)
{
	char *line, *other;

	(void)unused;
	must(cpu_alloc(4, GFP_KERNEL, 4));
	line = cpu_alloc(64, GFP_KERNEL, 64);
	for (int n = 0; n < 100; n++) {
		other = cpu_alloc(4, GFP_KERNEL, 4);
		cpu_alloc_for_each (i)
			must((uintptr_t)CPU_PTR(other, i) / 64 != (uintptr_t)CPU_PTR(line, i) / 64);
	}
	return 0;
}

static int defect_31(const void *unused)
{
	uint64_t most = 0; /* with what magazines hold */

	(void)unused;
	for (uint64_t n = 1; n <= 50; n++) {
		char *ptr = first_fit(100, GFP_KERNEL, 4);
		struct cpu_alloc_stats now = stats_now();

		most = most < 100 + now.cached_bytes ? 100 + now.cached_bytes : most;
		must(now.cpu_bytes == 100 && now.objects == 1);
		must(now.allocs == n && now.frees == n - 1);
		cpu_free(ptr, 100);
		must(stats_now().cpu_bytes == 0 && stats_now().frees == n);
	}
	must(stats_now().peak_bytes == most && (magazines() || most == 100));
	return 0;
}

/* Holes, alignment, odd sizes, bad frees: no drift, to the last unit. */
static int defect_32(const void *unused)
{
	char *odd, *aligned, *gap;

	(void)unused;
	must(cpu_alloc_setup("percpu=4K") == 0);
	odd = first_fit(5, GFP_KERNEL, 4);
	aligned = cpu_alloc(64, GFP_KERNEL, 1024);
	must(stats_now().cpu_bytes == 8 + 64);
	cpu_free(odd + 4, 4);
	cpu_free(odd, 64);
	cpu_free(aligned, 1);
	must(stats_now().cpu_bytes == 8 + 64 && stats_now().misuses == 3);
	gap = first_fit(1016, GFP_KERNEL, 4);
	must(gap == odd + 8 && cpu_alloc(4096 - 1088, GFP_KERNEL, 4));
	must(stats_now().cpu_bytes == 4096 && stats_now().largest_free_bytes == 0);
	cpu_free(gap, 1016);
	cpu_free(gap, 1016);
	must(stats_now().cpu_bytes == 4096 - 1016 && stats_now().largest_free_bytes == 1016);
	return 0;
}

int main(void)
{
	struct outcome o;

	ok_child("defect 21: each flag means something", defect_21, NULL);
	ok_child_or_skip("defect 21: GFP_ATOMIC makes no system call", no_system_call, NULL,
			 "no seccomp here, or valgrind's own calls");
	ok_child("defect 21: cpu_free() in a handler", handler_frees, NULL);
	ok_child("defect 22: the rounding tail is zeroed", defect_22, NULL);
	ok_child("defect 22: and of what comes from a magazine", zeroes_recycled_tails, NULL);
	o = run_child(poisons, NULL);
	todo("debug mode", exited(&o, 0), "defect 22: poison and quarantine");
	ok_child_or_skip("defect 23: an operation goes where its thread is", moved, NULL,
			 "there is one CPU, or it cannot be chosen");
	ok_child("defect 23: and loses nothing", loses_nothing, NULL);
	defect_24();
	ok_child("defect 25: arrays", defect_25, NULL);
	ok_child("defect 25: cpu_alloc_bulk(), cpu_free_bulk()", bulk_calls, NULL);
	todo("static variables", HAS_STATIC_VARIABLES, "defect 25: DEFINE_PER_CPU()");
	o = run_child(defect_26, NULL);
	ok_outcome(&o, "defect 26: errno, and all is counted");
	ok(line_count(o.err) == 16, "defect 26: and messages are limited in number");
	ok_child_or_skip("defect 29: zeroing outside the lock", zeroes_outside_the_lock, NULL,
			 "valgrind would count the fault");
	ok_child("defect 30: a line of its own", defect_30, NULL);
	ok_child("defect 31: a gauge, and counters", defect_31, NULL);
	ok_child("defect 32: the count does not drift", defect_32, NULL);
	return tap_done();
}
