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

static void test_stats(void)
{
	struct cpu_alloc_stats stats;

	ok(cpu_alloc_stats(&stats, sizeof(stats)) == 0 && stats.size == sizeof(stats),
	   "cpu_alloc_stats: the whole structure");
	ok(stats.allocs == 1 && stats.frees == 1 && stats.objects == 0 && stats.cpu_bytes == 0 &&
		   stats.misuses == 0 && stats.area_bytes == 1 << 20,
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
	test_stats();
	test_index();
	cpu_alloc_free_set(NULL, sizeof(cpu_set_t));
	test_library();
	return tap_done();
}
