/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The replay on top of an allocator that is broken: the functions below stand
 * in for the library. It has to be found out.
 */
#include "replay.h"
#include "tap.h"

#include <cpu_alloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREAS 2

/* How the stand-in misbehaves. */
static size_t distance; /* from one object to the next: too small, and they overlap */
static bool keeps_frees;
static size_t ahead; /* what it takes above the objects that it hands out */

static char *base;
static size_t next_offset, live_bytes;
static uint64_t misuses;

void *cpu_alloc(size_t size, gfp_t flags, size_t align)
{
	(void)flags, (void)align;
	__atomic_fetch_add(&live_bytes, size, __ATOMIC_RELAXED);
	return base + __atomic_fetch_add(&next_offset, distance, __ATOMIC_RELAXED);
}

void cpu_free(void *ptr, size_t size)
{
	(void)ptr;
	__atomic_fetch_add(&misuses, keeps_frees, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&live_bytes, keeps_frees ? 0 : size, __ATOMIC_RELAXED);
}

size_t cpu_alloc_trim(void)
{
	return 0;
}

int cpu_alloc_nr(void)
{
	return AREAS;
}

size_t cpu_alloc_offset(const void *ptr)
{
	return (size_t)((const char *)ptr - base);
}

int cpu_alloc_stats(struct cpu_alloc_stats *s, size_t n)
{
	memset(s, 0, n);
	s->misuses = misuses;
	s->cpu_bytes = live_bytes;
	s->top_bytes = ahead ? next_offset + ahead : 0;
	return 0;
}

static struct replay_result replay_split(const char *text, unsigned int threads)
{
	char path[40];
	struct replay replay = {.path = path, .options = {.threads = threads, .touch = true}};
	const int fd = memfd_create("trace", MFD_CLOEXEC);
	const bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	next_offset = live_bytes = 0;
	ok(written && replay_run(&replay), "the trace is read");
	close(fd);
	return replay.result;
}

static struct replay_result replay_text(const char *text)
{
	return replay_split(text, 1);
}

static const char two_objects[] = "percpu_alloc_percpu: size=24 align=8 ptr=1\n"
				  "percpu_alloc_percpu: size=24 align=8 ptr=2\n"
				  "percpu_free_percpu: ptr=1\n"
				  "percpu_free_percpu: ptr=2\n";

int main(void)
{
	struct replay_result result;

	base = mmap(NULL, (AREAS + 3) * CPU_ALLOC_STRIDE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return 1;

	distance = 24;
	result = replay_text(two_objects);
	ok(result.corruptions == 0, "objects side by side are found well");
	ok(result.area_top_bytes == 72, "the top is counted from what was given");
	ok(result.unfreed_bytes == 0, "all was freed");

	ahead = 100;
	result = replay_text(two_objects);
	ok(result.area_top_bytes == 172, "what is taken above that counts, too");
	ahead = 0;

	distance = 20;
	result = replay_text(two_objects);
	ok(result.corruptions == AREAS + 1, "4 bytes in common: one instance on each CPU changed");

	distance = 0;
	result = replay_text(two_objects);
	ok(result.corruptions == AREAS + 1, "one place for two objects: the first has changed");

	/* Both write at the same time: either is changed, or both are, by words. */
	result = replay_split(two_objects, 2);
	ok(result.corruptions >= AREAS + 1, "the same on two threads: %d instances have changed",
	   (int)result.corruptions);

	keeps_frees = true;
	distance = 24;
	result = replay_text(two_objects);
	ok(result.refused_frees == 2, "frees that were refused are counted (the set-up's is not)");
	ok(result.unfreed_bytes == 48, "and so is what stays live after them");
	return tap_done();
}
