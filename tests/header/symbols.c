/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Every public symbol, called through the shared library. symbols.py checks that none is left out.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cpu_alloc.h>

#include "tap.h"

static void test_setup(void)
{
	ok(cpu_alloc_setup("percpu=nonsense") == -1 && errno == EINVAL,
	   "cpu_alloc_setup: EINVAL for a bad item");
	ok(cpu_alloc_setup("percpu=1M,cpus=8") == 0, "cpu_alloc_setup: before the first use");
}

static void test_alloc(void)
{
	uint64_t *object = (uint64_t *)cpu_alloc(8, GFP_KERNEL | __GFP_ZERO, 64);
	size_t offset = cpu_alloc_offset(object);
	uint64_t sum = 0;

	ok(object && offset % 64 == 0 && offset < 1 << 20, "cpu_alloc: an aligned object");
	ok(cpu_alloc_offset(&offset) == SIZE_MAX, "cpu_alloc_offset: SIZE_MAX off the areas");
	ok(cpu_alloc_nr() >= 8, "cpu_alloc_nr: at least what cpus= says");
	cpu_alloc_for_each (i)
		*CPU_PTR(object, i) += (uint64_t)(i + 2);
	cpu_alloc_for_each (i)
		sum += *CPU_PTR(object, i);
	ok(sum == (uint64_t)(cpu_alloc_nr() + 1) * (uint64_t)(cpu_alloc_nr() + 2) / 2,
	   "CPU_PTR: an instance for each index");
	errno = 123;
	cpu_free(object, 8);
	ok(errno == 123, "cpu_free: keeps errno");
	ok(cpu_alloc_setup("percpu=2M") == -1 && errno == EBUSY,
	   "cpu_alloc_setup: EBUSY after the first use");
}

static void test_bulk(void)
{
	void *object[3];

	ok(cpu_alloc_bulk(24, GFP_KERNEL, 8, 3, object) == 0 &&
		   (char *)object[2] == (char *)object[0] + 48,
	   "cpu_alloc_bulk: three, side by side");
	ok(cpu_free_bulk(24, 3, object) == 0, "cpu_free_bulk: and all are free");
	ok(cpu_free_bulk(24, 3, object) == -1 && errno == EINVAL, "cpu_free_bulk: but once");
}

static void test_stats(void)
{
	struct cpu_alloc_stats stats;

	ok(cpu_alloc_stats(&stats, sizeof(stats)) == 0 && stats.size == sizeof(stats),
	   "cpu_alloc_stats: the whole structure");
	ok(stats.allocs == 4 && stats.frees == 4 && stats.objects == 0 && stats.cpu_bytes == 0 &&
		   stats.misuses == 1 && stats.area_bytes == 1 << 20,
	   "cpu_alloc_stats: what has happened");
	ok(cpu_alloc_stats(&stats, 4) == -1 && errno == EINVAL, "cpu_alloc_stats: no room");
	ok(cpu_alloc_trim() % (size_t)sysconf(_SC_PAGESIZE) == 0, "cpu_alloc_trim: whole pages");
}

/* On one CPU, so that both ways to ask give its number. */
static void test_index(void)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		return skip("cpu_alloc_index", "the CPU cannot be chosen");
	ok(cpu_alloc_index() == cpu, "cpu_alloc_index: the CPU's number");
	ok(cpu_alloc_index_slow() == cpu, "cpu_alloc_index_slow: the same");
	ok(cpu_alloc_known_offset != 0 && cpu_alloc_index_offset != 0, "the offsets are set");
}

/*
 * Each operation once, by its symbol. CPU pointers and sums need not stay on a CPU,
 * the results of the others are those of a thread that does: see test_index().
 */
#define TEST_OPERATIONS(width)                                                                     \
	static void test_operations_##width(void)                                                  \
	{                                                                                          \
		uint##width##_t *v = CPU_ALLOC_ARRAY(uint##width##_t, 2, GFP_KERNEL | __GFP_ZERO); \
		uint##width##_t old = 1, sums[2];                                                  \
		bool right = true;                                                                 \
                                                                                                   \
		this_cpu_write_##width(v, 40);                                                     \
		right &= this_cpu_read_##width(v) == 40;                                           \
		this_cpu_add_##width(v, 5);                                                        \
		this_cpu_sub_##width(v, 3);                                                        \
		this_cpu_inc_##width(v);                                                           \
		right &= this_cpu_add_return_##width(v, 7) == 50;                                  \
		right &= this_cpu_sub_return_##width(v, 8) == 42;                                  \
		right &= this_cpu_inc_return_##width(v) == 43;                                     \
		right &= this_cpu_dec_return_##width(v) == 42;                                     \
		this_cpu_dec_##width(v);                                                           \
		this_cpu_and_##width(v, 0x0f);                                                     \
		this_cpu_or_##width(v, 0x30);                                                      \
		right &= this_cpu_xchg_##width(v, 6) == 0x39;                                      \
		right &= this_cpu_cmpxchg_##width(v, 6, 7) == 6;                                   \
		right &= !this_cpu_try_cmpxchg_##width(v, &old, 8) && old == 7;                    \
		right &= this_cpu_try_cmpxchg_##width(v, &old, 8);                                 \
		cpu_sum_array_##width(v, 2, sums);                                                 \
		right &= cpu_sum_##width(v) == 8 && sums[0] == 8 && sums[1] == 0;                  \
		ok(right, "this_cpu_*_%d, cpu_sum_%d", width, width);                              \
		CPU_FREE_ARRAY(v, 2);                                                              \
	}

TEST_OPERATIONS(8)
TEST_OPERATIONS(16)
TEST_OPERATIONS(32)
TEST_OPERATIONS(64)

static void test_pairs(void)
{
	cpu_alloc_u128 *wide = CPU_ALLOC(cpu_alloc_u128, GFP_KERNEL | __GFP_ZERO), found = 11;
	uint64_t *pair = (uint64_t *)wide, first, second;

	this_cpu_add2_64(pair, 1, 2);
	cpu_alloc_add2_slow((uintptr_t)pair, 10, 20);
	this_cpu_read2_64(pair, &first, &second);
	ok(first == 11 && second == 22, "this_cpu_add2_64, this_cpu_read2_64");
	cpu_alloc_read2_slow((uintptr_t)pair, &first, &second);
	ok(first == 11 && second == 22, "and the slow paths");
	found += (cpu_alloc_u128)22 << 64;
	ok(this_cpu_cmpxchg_128(wide, found, 5) == found, "this_cpu_cmpxchg_128");
	cpu_alloc_cmpxchg_128_slow((uintptr_t)wide, &found, 6);
	ok(found == 5, "and the slow path");
	ok(cpu_alloc_op_slow(CPU_ALLOC_OP_XADD, 8, (uintptr_t)pair, 2, 0) == 5 &&
		   this_cpu_read(*pair) == 7,
	   "cpu_alloc_op_slow: the old value");
	CPU_FREE(wide);
}

static void test_fences(void)
{
	cpu_alloc_rseq_clear();
	ok(cpu_fence(0) == 0 && cpu_fence(-1) == 0 && cpu_fence_all() == 0, "cpu_fence");
	ok(cpu_fence(cpu_alloc_nr()) == -1 && errno == EINVAL, "cpu_fence: no such index");
	ok(strncmp(cpu_alloc_path(), "rseq", 4) == 0 || strncmp(cpu_alloc_path(), "atomic", 6) == 0,
	   "cpu_alloc_path: %s", cpu_alloc_path());
}

static void test_library(void)
{
	void *symbol = dlsym(RTLD_DEFAULT, "cpu_alloc");
	Dl_info info = {0};

	ok(symbol && dladdr(symbol, &info) && strstr(info.dli_fname, "libcpu_alloc.so"),
	   "all of this came from the shared library");
}

int main(void)
{
	test_setup();
	test_alloc();
	test_bulk();
	test_stats();
	test_index();
	test_operations_8();
	test_operations_16();
	test_operations_32();
	test_operations_64();
	test_pairs();
	test_fences();
	cpu_alloc_free_set(NULL, sizeof(cpu_set_t));
	test_library();
	return tap_done();
}
