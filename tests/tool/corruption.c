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

static char *base;
static size_t next_offset;
static uint64_t misuses;

void *cpu_alloc(size_t size, gfp_t flags, size_t align)
{
	char *ptr = base + next_offset;

	(void)size, (void)flags, (void)align;
	next_offset += distance;
	return ptr;
}

void cpu_free(void *ptr, size_t size)
{
	(void)ptr, (void)size;
	misuses += keeps_frees;
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
	return 0;
}

static struct replay_result replay_text(const char *text)
{
	char path[40];
	struct replay replay = {.path = path, .options.touch = true};
	const int fd = memfd_create("trace", MFD_CLOEXEC);
	const bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	next_offset = 0;
	ok(written && replay_run(&replay), "the trace is read");
	close(fd);
	return replay.result;
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

	distance = 20;
	result = replay_text(two_objects);
	ok(result.corruptions == AREAS + 1, "4 bytes in common: one instance on each CPU changed");

	distance = 0;
	result = replay_text(two_objects);
	ok(result.corruptions == AREAS + 1, "one place for two objects: the first has changed");

	keeps_frees = true;
	distance = 24;
	result = replay_text(two_objects);
	ok(result.refused_frees == 2, "frees that were refused are counted (the set-up's is not)");
	return tap_done();
}
