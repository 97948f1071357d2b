/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The names that <sched.h> has too: CPU_ALLOC(n) and CPU_FREE(cpu_set_t *) must
 * go on working beside ours. Also built as C++.
 */
#include <stdlib.h>

#include <cpu_alloc.h>

#include "tap.h"

static int glibc_frees;

/* glibc's, which its CPU_FREE() calls; ours here, to be counted. */
#ifdef __cplusplus
extern "C" void __sched_cpufree(cpu_set_t *set) noexcept
#else
void __sched_cpufree(cpu_set_t *set)
#endif
{
	glibc_frees++;
	free(set);
}

static uint64_t objects(void)
{
	struct cpu_alloc_stats stats;

	return cpu_alloc_stats(&stats, sizeof(stats)) == 0 ? stats.objects + stats.misuses : 1000;
}

static void test_glibc(void)
{
	size_t size = CPU_ALLOC_SIZE(2000);
	cpu_set_t *set = CPU_ALLOC(2000);

	CPU_ZERO_S(size, set);
	CPU_SET_S(3, size, set);
	CPU_SET_S(1999, size, set);
	ok(CPU_COUNT_S(size, set) == 2 && CPU_ISSET_S(1999, size, set) &&
		   !CPU_ISSET_S(4, size, set),
	   "CPU_ALLOC(n): a set of <sched.h>");
	ok(objects() == 0, "CPU_ALLOC(n): no object of ours");
	CPU_FREE(set);
	ok(glibc_frees == 1 && objects() == 0, "CPU_FREE(its set): goes to glibc");
}

static void test_ours(void)
{
	cpu_set_t *set = CPU_ALLOC(cpu_set_t, GFP_KERNEL | __GFP_ZERO);
	cpu_set_t *const array = CPU_ALLOC_ARRAY(cpu_set_t, 3, GFP_KERNEL);
	long *number = CPU_ALLOC(long, GFP_KERNEL);

	ok(set && array && number && objects() == 3,
	   "CPU_ALLOC(cpu_set_t, flags): objects of ours");
	CPU_SET(5, CPU_PTR(set, 0));
	ok(CPU_COUNT(CPU_PTR(set, 0)) == 1 && CPU_COUNT(CPU_PTR(set, -1)) == 0,
	   "a set in each area");
	CPU_FREE(set);
	CPU_FREE(number);
	CPU_FREE_ARRAY(array, 3);
	ok(glibc_frees == 1 && objects() == 0, "CPU_FREE(a set of ours): comes to us");
	set = NULL;
	CPU_FREE(set);
	set = CPU_ALLOC_ARRAY(cpu_set_t, 0, GFP_KERNEL);
	CPU_FREE(set);
	ok(glibc_frees == 1 && objects() == 0, "CPU_FREE(no set): nothing");
}

/* One object of ours, then a misuse of it: it stays, and is counted. */
static void test_instance(void)
{
	cpu_set_t *set = CPU_ALLOC(cpu_set_t, GFP_KERNEL);
	void *untyped = CPU_ALLOC(2000);

	CPU_FREE(CPU_PTR(set, 0));
	ok(glibc_frees == 1 && objects() == 2, "CPU_FREE(an instance of ours): refused");
	CPU_FREE(untyped);
	ok(glibc_frees == 2 && objects() == 2, "CPU_FREE(a set as void *): goes to glibc");
}

int main(void)
{
	test_glibc();
	test_ours();
	test_instance();
	return tap_done();
}
