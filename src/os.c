/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Linux: mmap and its relatives, /proc/self/smaps. See os.h. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define MPOL_PREFERRED 1 /* linux/mempolicy.h is not installed everywhere */
#define NODES_MAX 1024

size_t os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

size_t os_round_to_page(size_t bytes)
{
	const size_t page = os_page_size();

	return (bytes + page - 1) / page * page;
}

/*
 * Has mlockall() caught these pages? madvise() refuses to drop locked pages.
 * Only for memory that holds nothing yet: elsewhere they would be dropped.
 */
static bool is_locked(void *at)
{
	return madvise(at, os_page_size(), MADV_DONTNEED) != 0 && errno == EINVAL;
}

bool os_locks_memory(void)
{
	const size_t page = os_page_size();
	void *fresh = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool locks;

	if (fresh == MAP_FAILED)
		return false;
	locks = is_locked(fresh);
	munmap(fresh, page);
	return locks;
}

void *os_reserve(void *at, size_t bytes)
{
	const int fixed = at ? MAP_FIXED_NOREPLACE : 0;
	void *got = mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed,
			 -1, 0);

	if (got == MAP_FAILED)
		return NULL;
	if (at && got != at) { /* before Linux 4.17 the flag was only a hint */
		munmap(got, bytes);
		errno = EEXIST;
		return NULL;
	}
	if (is_locked(got))
		munlock(got, bytes); /* reserved space shall not count as locked */
	return got;
}

void os_unreserve(void *at, size_t bytes)
{
	munmap(at, bytes);
}

bool os_commit(void *at, size_t bytes, bool lock)
{
	/* Making locked pages writable would bring them all in: let them come when touched. */
	if ((is_locked(at) || lock) && syscall(SYS_mlock2, at, bytes, MLOCK_ONFAULT) != 0)
		munlock(at, bytes);
	return mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

void os_uncommit(void *at, size_t bytes)
{
	mprotect(at, bytes, PROT_NONE);
}

bool os_show(void *at, size_t bytes)
{
	return mprotect(at, bytes, PROT_READ) == 0;
}

bool os_clear_in_copies(void *at, size_t bytes)
{
	return madvise(at, bytes, MADV_WIPEONFORK) == 0;
}

bool os_discard(void *at, size_t bytes)
{
	if (madvise(at, bytes, MADV_DONTNEED) == 0)
		return true;
	return errno == EINVAL && madvise(at, bytes, MADV_DONTNEED_LOCKED) == 0;
}

void os_prefer_node(void *at, size_t bytes, int node)
{
	const unsigned bits = 8 * sizeof(unsigned long);
	unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))] = {0};

	if (node < 0 || node >= NODES_MAX)
		return;
	mask[(unsigned)node / bits] |= 1UL << (unsigned)node % bits;
	/* The kernel takes one bit less than it is told. */
	syscall(SYS_mbind, at, bytes, MPOL_PREFERRED, mask, NODES_MAX + 1UL, 0UL);
}

void os_huge_pages(void *at, size_t bytes, bool wanted)
{
	madvise(at, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

/* One line of smaps: "start-end perms ..." opens a mapping, "Anonymous: n kB" follows. */
struct smaps {
	uintptr_t start, end; /* what is asked for, */
	size_t stride, each;  /* and of that only so much of each stride */
	bool inside;	      /* the mapping of the last line lies there */
	size_t kib;
};

static void smaps_line(struct smaps *smaps, const char *line)
{
	unsigned long start, end, kib;

	if (sscanf(line, "Anonymous: %lu kB", &kib) == 1)
		smaps->kib += smaps->inside ? kib : 0;
	else if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
		smaps->inside = start >= smaps->start && end <= smaps->end &&
				(start - smaps->start) % smaps->stride < smaps->each;
}

/* Opening and reading are cancellation points; our callers hold locks. */

static int open_file(const char *path, int *cancel)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void close_file(int fd, int cancel)
{
	if (fd >= 0)
		close(fd);
	pthread_setcancelstate(cancel, NULL);
}

static ssize_t read_some(int fd, char *text, size_t size)
{
	ssize_t n;

	do {
		n = read(fd, text, size);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Count all lines that are whole. Returns the bytes left over, moved to the front. */
static size_t smaps_text(struct smaps *smaps, char *text, size_t length)
{
	char *line = text, *end;

	text[length] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		smaps_line(smaps, line);
	}
	length -= (size_t)(line - text);
	memmove(text, line, length);
	return length;
}

bool os_resident_bytes(const void *at, size_t bytes, size_t stride, size_t each, size_t *resident)
{
	struct smaps smaps = {(uintptr_t)at, (uintptr_t)at + bytes, stride, each, false, 0};
	char text[8192];
	size_t have = 0;
	ssize_t n = -1;
	int cancel;
	const int fd = open_file("/proc/self/smaps", &cancel);

	while (fd >= 0 && (n = read_some(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		have = smaps_text(&smaps, text, have + (size_t)n);
		if (have == sizeof(text) - 1)
			have = 0; /* no line that we look for is that long */
	}
	close_file(fd, cancel);
	*resident = smaps.kib * 1024;
	return n == 0;
}

bool os_read_file(const char *path, char *text, size_t size)
{
	size_t have = 0;
	ssize_t n = -1;
	int cancel;
	const int fd = open_file(path, &cancel);

	while (fd >= 0 && have < size - 1 && (n = read_some(fd, text + have, size - 1 - have)) > 0)
		have += (size_t)n;
	close_file(fd, cancel);
	text[have] = '\0';
	return n >= 0 && have > 0;
}
