/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* cpu_alloc_bulk() and cpu_free_bulk(): all or nothing, side by side, and what they refuse. */
#include <pthread.h>
#include <sched.h>

#include "helpers.h"

#define KIB ((size_t)1 << 10)
#define COUNT 1000

static void *object[COUNT];

static bool all_hold(size_t n, size_t bytes)
{
	for (size_t i = 0; i < n; i++)
		if (!instances_hold(object[i], (int)i, bytes))
			return false;
	return true;
}

static void fill_all(size_t n, size_t bytes)
{
	for (size_t i = 0; i < n; i++)
		fill_instances(object[i], (int)i, bytes);
}

struct kind {
	size_t size, align, n;
};

/* Side by side from the lowest address that fits, zero, their owners' own. */
static int round_trip(const void *argument)
{
	const struct kind *kind = argument;
	const size_t whole = (kind->size + 3) & ~(size_t)3;
	const size_t distance = (whole + kind->align - 1) & ~(kind->align - 1);
	struct cpu_alloc_stats now;
	char *first;

	must(cpu_alloc(4, GFP_KERNEL, 4));
	first = first_fit(kind->size, GFP_KERNEL, kind->align);
	cpu_free(first, kind->size);
	settle();
	for (int dirty = 0; dirty < 2; dirty++) {
		must(cpu_alloc_bulk(kind->size, GFP_KERNEL | __GFP_ZERO, kind->align, kind->n,
				    object) == 0);
		for (size_t i = 0; i < kind->n; i++) {
			must(object[i] == first + i * distance);
			must(instances_zero(object[i], whole));
		}
		fill_all(kind->n, whole);
		must(all_hold(kind->n, whole));
		now = stats_now();
		must(now.objects == 1 + kind->n && now.cpu_bytes == 4 + kind->n * whole);
		must(now.allocs == 2 + kind->n * (1 + (uint64_t)dirty));
		must(cpu_free_bulk(kind->size, kind->n, object) == 0);
		now = stats_now();
		must(now.objects == 1 && now.cpu_bytes == 4 && now.allocs == now.frees + 1);
	}
	must(now.misuses == 0);
	return 0;
}

/* Each is an object as any other: one call for all may end what single calls began. */
static int mixes_with_single_calls(const void *unused)
{
	(void)unused;
	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, COUNT / 2, object) == 0);
	for (int n = COUNT / 2; n < COUNT; n++)
		object[n] = cpu_alloc(24, GFP_KERNEL, 8);
	fill_all(COUNT, 24);
	for (int n = 0; n < COUNT; n += 3) {
		cpu_free(object[n], 24);
		object[n] = n % 2 ? NULL : ZERO_SIZE_PTR;
	}
	for (int n = 0; n < COUNT; n++)
		must(n % 3 == 0 || instances_hold(object[n], n, 24));
	must(cpu_free_bulk(24, COUNT, object) == 0);
	must(stats_now().objects == 0 && stats_now().frees == COUNT);
	must(stats_now().misuses == 0);
	return 0;
}

/* There is room for some, not for all. */
static int none_if_not_all(const void *unused)
{
	const size_t fit = 64 * KIB / 100;
	struct cpu_alloc_stats before;

	(void)unused;
	must(cpu_alloc_setup("percpu=64K") == 0 && cpu_alloc(4, GFP_KERNEL, 4));
	settle();
	before = stats_now();
	errno = 0;
	must(cpu_alloc_bulk(100, GFP_KERNEL, 4, COUNT, object) == -1 && errno == ENOMEM);
	must(stats_now().committed_bytes == 64 * KIB);
	before.committed_bytes = 64 * KIB;
	must_change(&before, "failed_enomem");
	must(cpu_alloc_bulk(100, GFP_KERNEL, 4, fit, object) == 0);
	must(cpu_alloc_bulk(100, GFP_KERNEL, 4, 1, object + fit) == -1 && errno == ENOMEM);
	must(cpu_free_bulk(100, fit, object) == 0 && stats_now().objects == 1);
	must(cpu_alloc_bulk(SIZE_MAX, GFP_KERNEL, 4, 1, object) == -1 && errno == ENOMEM);
	return 0;
}

/* What magazines hold is to be had before there is no room. */
static int takes_from_magazines(const void *unused)
{
	enum { OBJECTS = 64 * 1024 / 256 };

	(void)unused;
	must(cpu_alloc_setup("percpu=64K") == 0);
	for (int n = 0; n < OBJECTS; n++)
		must((object[n] = cpu_alloc(256, GFP_KERNEL, 8)));
	for (int n = 0; n < OBJECTS; n++)
		cpu_free(object[n], 256);
	must(!magazines() || stats_now().cached_bytes > 0);
	must(cpu_alloc_bulk(64 * KIB / 2, GFP_KERNEL, 8, 2, object) == 0);
	return 0;
}

/* One of them must not be freed: that is said, and nothing else happens. */
static int frees_all_or_none(const void *argument)
{
	const int bad = *(const int *)argument;
	void *good;
	struct cpu_alloc_stats before;

	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, COUNT, object) == 0);
	fill_all(COUNT, 24);
	good = object[bad];
	object[bad] = object[(bad + 1) % COUNT]; /* twice */
	before = stats_now();
	errno = 0;
	must(cpu_free_bulk(24, COUNT, object) == -1 && errno == EINVAL);
	must_change(&before, "misuses");
	object[bad] = (char *)good + 4;
	must(cpu_free_bulk(24, COUNT, object) == -1 && errno == EINVAL);
	object[bad] = &before;
	must(cpu_free_bulk(24, COUNT, object) == -1 && errno == EINVAL);
	object[bad] = good;
	must(cpu_free_bulk(20, COUNT, object) == -1 && errno == EINVAL);
	must_change(&before, "misuses");
	must(stats_now().misuses == 4 && all_hold(COUNT, 24));
	must(cpu_free_bulk(24, COUNT, object) == 0 && stats_now().objects == 0);
	must(cpu_free_bulk(24, COUNT, object) == -1 && errno == EINVAL);
	return 0;
}

/* The words are those of cpu_free(). */
static int reports(const void *unused)
{
	(void)unused;
	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, 2, object) == 0);
	printf("cpu_alloc: cpu_free_bulk(%p, 20): wrong size: the object's bytes are 24\n",
	       object[0]);
	printf("cpu_alloc: cpu_free_bulk(%p, 24): double free\n", object[1]);
	printf("cpu_alloc: cpu_alloc(24, 0x1, 3): alignment is not a power of two\n");
	fflush(stdout);
	must(cpu_free_bulk(20, 2, object) == -1);
	cpu_free(object[1], 24);
	must(cpu_free_bulk(24, 2, object) == -1);
	must(cpu_alloc_bulk(24, GFP_KERNEL, 3, 2, object) == -1 && errno == EINVAL);
	must(stats_now().misuses == 2 && stats_now().failed_einval == 1);
	return 0;
}

static int of_nothing(const void *unused)
{
	(void)unused;
	errno = 0;
	must(cpu_alloc_bulk(24, GFP_ATOMIC, 8, 2, object) == -1 && errno == EAGAIN);
	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, 0, NULL) == 0);
	must(cpu_alloc_bulk(24, GFP_KERNEL, 3, 0, NULL) == -1 && errno == EINVAL);
	must(cpu_free_bulk(24, 0, NULL) == 0);
	must(cpu_alloc_bulk(0, GFP_KERNEL, 8, COUNT, object) == 0);
	for (int n = 0; n < COUNT; n++)
		must(object[n] == ZERO_SIZE_PTR);
	must(cpu_free_bulk(0, COUNT, object) == 0 && cpu_free_bulk(24, COUNT, object) == 0);
	must(stats_now().allocs == 0 && stats_now().frees == 0 && stats_now().misuses == 0);
	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, 2, object) == 0);
	must(cpu_alloc_bulk(24, GFP_ATOMIC, 8, 2, object + 2) == 0);
	must(stats_now().objects == 4);
	return 0;
}

/* Several at once, against each other and single calls. */
static void *take_turns(void *argument)
{
	const size_t n = *(const size_t *)argument;
	void **mine = calloc(n, sizeof(*mine)), *one;

	for (int round = rounds(300); mine && round > 0; round--) {
		must(cpu_alloc_bulk(24, GFP_KERNEL | __GFP_ZERO, 8, n, mine) == 0);
		for (size_t i = 0; i < n; i++) {
			must(instances_zero(mine[i], 24));
			fill_instances(mine[i], (int)(i * n), 24);
		}
		one = cpu_alloc(24, GFP_KERNEL, 8);
		for (size_t i = 0; i < n; i++)
			must(instances_hold(mine[i], (int)(i * n), 24));
		cpu_free(mine[n / 2], 24);
		mine[n / 2] = one;
		must(cpu_free_bulk(24, n, mine) == 0);
	}
	free(mine);
	return NULL;
}

static int by_threads(const void *unused)
{
	size_t n[] = {1, 7, 64, 200};
	pthread_t thread[4];

	(void)unused;
	for (int i = 0; i < 4; i++)
		must(pthread_create(&thread[i], NULL, take_turns, &n[i]) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cpu_alloc_trim();
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	must(stats_now().cached_bytes == 0);
	must(stats_now().allocs == (1 + 7 + 64 + 200 + 4) * (uint64_t)rounds(300));
	return 0;
}

int main(void)
{
	const struct kind kinds[] = {
		{4, 4, 1},    {4, 4, COUNT},   {7, 4, COUNT}, {24, 8, 63},	{24, 8, 64},
		{24, 8, 65},  {24, 8, 129},    {20, 16, 100}, {64, 64, COUNT},	{256, 8, 99},
		{260, 4, 99}, {400, 8, COUNT}, {5000, 8, 40}, {9000, 4096, 40}, {100000, 8, 3}};
	struct outcome o;
	char name[64];

	for (size_t n = 0; n < sizeof(kinds) / sizeof(*kinds); n++) {
		snprintf(name, sizeof(name), "%zu of %zu bytes, aligned to %zu", kinds[n].n,
			 kinds[n].size, kinds[n].align);
		ok_child(name, round_trip, &kinds[n]);
	}
	ok_child("beside single calls; NULL and ZERO_SIZE_PTR", mixes_with_single_calls, NULL);
	ok_child("room for some: none, and ENOMEM", none_if_not_all, NULL);
	ok_child("what magazines hold is no reason for ENOMEM", takes_from_magazines, NULL);
	ok_child("the first must not be freed: none is", frees_all_or_none, &(int){0});
	ok_child("one of the middle must not be freed", frees_all_or_none, &(int){COUNT / 2});
	ok_child("the last must not be freed", frees_all_or_none, &(int){COUNT - 1});
	o = run_child(reports, NULL);
	if (!ok(exited(&o, 0) && strcmp(o.out, o.err) == 0, "misuse is reported by name"))
		diag_outcome(&o);
	ok_child("no objects, objects of no bytes, GFP_ATOMIC", of_nothing, NULL);
	ok_child("four threads", by_threads, NULL);
	return tap_done();
}
