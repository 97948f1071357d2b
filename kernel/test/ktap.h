/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Self-tests of the module. They print KTAP to the kernel's log. Which run says the
 * parameter run=:
 *
 *	tests	   all that shall warn of nothing (the default)
 *	packing	   beside alloc_percpu(); for an area of 1 MiB at least
 *	misuse	   what gives warnings
 *	storm	   threads and timers that allocate, write, check and free until unloaded
 *	leak	   leaves three objects behind
 *	flood	   leaves the area full of them
 *	failures   asks a thousand times for what cannot be
 *	benchmark  times beside those of alloc_percpu()
 *
 * Of the first three, insmod fails with EINVAL if one has failed.
 */
#ifndef CPU_ALLOC_TEST_KTAP_H
#define CPU_ALLOC_TEST_KTAP_H

#include <linux/cpu_alloc.h>
#include <linux/kernel.h>
#include <linux/printk.h>

struct ktap_test {
	const char *name;
	bool (*run)(void);
};

/* Each ends with a test without a name. */
extern const struct ktap_test basic_tests[], context_tests[], storm_tests[], exhaustion_tests[],
	packing_tests[], misuse_tests[];

/* In a test: it has failed, and ends, unless @condition. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			pr_info("# %s:%d: not %s\n", kbasename(__FILE__), __LINE__, #condition);   \
			return false;                                                              \
		}                                                                                  \
	} while (0)

/* What the other runs do; of a storm: has nothing gone wrong? */
int storm_start(void);
bool storm_stop(void);
int leak(void);
int flood(void);
int fail_often(void);
int benchmark(void);

/* Write @tag into every instance of an object; is it all still there? */
static inline void fill_instances(void __percpu *ptr, size_t size, u8 tag)
{
	int cpu;

	for_each_possible_cpu (cpu)
		memset(per_cpu_ptr(ptr, cpu), (u8)(tag + cpu), size);
}

static inline bool instances_hold(void __percpu *ptr, size_t size, u8 tag)
{
	int cpu;

	for_each_possible_cpu (cpu)
		if (memchr_inv(per_cpu_ptr(ptr, cpu), (u8)(tag + cpu), size))
			return false;
	return true;
}

static inline bool instances_are_zero(void __percpu *ptr, size_t size)
{
	int cpu;

	for_each_possible_cpu (cpu)
		if (memchr_inv(per_cpu_ptr(ptr, cpu), 0, size))
			return false;
	return true;
}

static inline struct cpu_alloc_stats stats_now(void)
{
	struct cpu_alloc_stats stats;

	cpu_alloc_stats(&stats);
	return stats;
}

#endif
