/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The system, behind one header: memory and files. Addresses and sizes are
 * whole pages. Nothing here uses malloc. Failures set errno.
 */
#ifndef CPU_ALLOC_OS_H
#define CPU_ALLOC_OS_H

#include <stdbool.h>
#include <stddef.h>

size_t os_page_size(void);
size_t os_round_to_page(size_t bytes);

/* Does the program want all of its memory locked from now on? (mlockall, MCL_FUTURE) */
bool os_locks_memory(void);

/*
 * Reserve address space that cannot be accessed and costs no memory: at @at
 * exactly, without replacing anything, or anywhere if that is NULL. NULL if
 * it cannot be had. It is never locked, whatever mlockall() says.
 */
void *os_reserve(void *at, size_t bytes);
void os_unreserve(void *at, size_t bytes);

/*
 * Make reserved space writable, or unreachable again. Pages come when they are
 * touched; if @lock they are locked when they come, not before.
 */
bool os_commit(void *at, size_t bytes, bool lock);
void os_uncommit(void *at, size_t bytes);

/* Make reserved space readable: zeros that cost no memory. */
bool os_show(void *at, size_t bytes);

/* From now on it reads zero in every copy of this process, however made. */
bool os_clear_in_copies(void *at, size_t bytes);

/* Give the pages back; they read zero afterwards. False: they are as they were. */
bool os_discard(void *at, size_t bytes);

/* Advice; a system that does not know it does without. */
void os_prefer_node(void *at, size_t bytes, int node);
void os_huge_pages(void *at, size_t bytes, bool wanted);

/*
 * Physical memory behind the first @each bytes of every @stride from @at to
 * @at + @bytes - 1, the shared zero page not counted. False if /proc/self/smaps
 * cannot be read. Costs O(mappings of the process).
 */
bool os_resident_bytes(const void *at, size_t bytes, size_t stride, size_t each, size_t *resident);

/* The first @size - 1 bytes of a small file, as a string. False if unreadable. */
bool os_read_file(const char *path, char *text, size_t size);

#endif
