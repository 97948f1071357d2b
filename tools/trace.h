/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The reader of what Linux's ftrace prints for two events, plain or compressed
 * by gzip:
 *
 *   bash-16940 [001] ..... 940.436: percpu_alloc_percpu: call_site=mm_init+0x2bf/0x4d0
 *	reserved=0 is_atomic=0 size=16 align=8 base_addr=00000000f2ec9088 off=78512
 *	ptr=0000000045827b36 bytes_alloc=64 gfp_flags=GFP_KERNEL	(all one line)
 *   bash-16940 [000] d..1. 940.438: percpu_free_percpu: base_addr=00000000f2ec9088
 *	off=78512 ptr=0000000045827b36
 *
 * The kernel module cpu_alloc has the same two, with the same fields, under the
 * names alloc and free. Each may be preceded by its system: "percpu:", "cpu_alloc:".
 *
 * Everything else is counted and skipped: comments (#), other events, and
 * "CPU:1 [LOST 24 EVENTS]". What precedes the event's name may have any form.
 *
 * Pulled by its caller, one event at a time. It allocates nothing but zlib's
 * buffers; no input makes it do more than stop with a reason.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#define TRACE_LINE_MAX 16384 /* bytes of a line; the kernel's end below 8 KiB */

enum trace_kind { TRACE_ALLOC, TRACE_FREE };

/* Whose event it is. Their pointers have nothing to do with each other. */
enum trace_source { TRACE_KERNEL, TRACE_MODULE };

/*
 * Which object an event is about: its ptr. A kernel that has not yet gathered
 * entropy prints "(____ptrval____)" there; then base_addr and off say it, and a
 * base_addr that is hidden too counts as 0.
 */
struct trace_name {
	enum trace_source source;
	uint64_t address;
	uint64_t offset; /* TRACE_NO_OFFSET where address is the ptr */
};

#define TRACE_NO_OFFSET UINT64_MAX

struct trace_event {
	enum trace_kind kind;
	struct trace_name name;
	uint64_t size, align; /* in bytes, as recorded; of TRACE_ALLOC only */
};

struct trace {
	uint64_t line;	      /* the number of the line last read, or looked for */
	uint64_t comments;    /* lines */
	uint64_t other_lines; /* lines: other events, and whatever else there is */
	uint64_t lost_marks;  /* lines that say that the kernel lost events */
	uint64_t lost_events; /* how many, where they tell */
	char error[160];      /* why reading ended; empty at the end of the file */

	gzFile file;
	size_t start, end; /* of what was read and is not yet used, in text */
	char text[TRACE_LINE_MAX + 1];
};

/* Open @path, "-" for standard input. False: error says why; nothing is to be closed. */
bool trace_open(struct trace *trace, const char *path);

/* The same for a descriptor, which trace_close() closes. */
bool trace_open_fd(struct trace *trace, int fd);

/* The next of these events. False at the end, and with an error. */
bool trace_next(struct trace *trace, struct trace_event *event);

/* Bytes of the file read so far, before decompression. */
uint64_t trace_position(const struct trace *trace);

void trace_close(struct trace *trace);

#endif
