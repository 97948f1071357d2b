/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * libFuzzer: bytes become a file that the reader of traces reads, gzip or not.
 * Each line must be counted once, and the events that come out, written down
 * again in plain words, must be read as the same events.
 */
#include "trace.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS_MAX 4096 /* that are compared; gzip makes many of few bytes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Must not fail, or the input is a finding. */
static void hold(bool condition)
{
	if (!condition)
		abort();
}

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	hold(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Read all of @fd. Up to EVENTS_MAX events go to @events; returns how many there were. */
static size_t read_all(int fd, struct trace_event *events, bool *failed)
{
	static struct trace trace;
	struct trace_event event;
	size_t count = 0;

	hold(trace_open_fd(&trace, fd));
	while (trace_next(&trace, &event))
		if (count++ < EVENTS_MAX)
			events[count - 1] = event;

	hold(trace.comments + trace.other_lines + trace.lost_marks + count == trace.line - 1);
	for (const char *c = trace.error; *c; c++)
		hold(isprint((unsigned char)*c));
	hold(!trace_next(&trace, &event));
	*failed = *trace.error;
	trace_close(&trace);
	return count;
}

/* By source and kind; the module's allocations with the field that must come first. */
static const char *const event_names[2][2] = {
	{"percpu_alloc_percpu: ", "percpu_free_percpu: "},
	{"alloc: call_site=f ", "free: "},
};

static void write_event(FILE *out, const struct trace_event *event)
{
	const struct trace_name *name = &event->name;

	fprintf(out, "x-1 [000] ..... 1.0: %s",
		event_names[name->source == TRACE_MODULE][event->kind == TRACE_FREE]);
	if (name->offset == TRACE_NO_OFFSET)
		fprintf(out, "base_addr=1 off=0 ptr=%" PRIx64, name->address);
	else
		fprintf(out, "base_addr=%016" PRIx64 " off=%" PRIu64 " ptr=(____ptrval____)",
			name->address, name->offset);
	if (event->kind == TRACE_ALLOC)
		fprintf(out, " size=%" PRIu64 " align=%" PRIu64, event->size, event->align);
	fprintf(out, "\n");
}

static bool same(const struct trace_event *a, const struct trace_event *b)
{
	return a->kind == b->kind && a->size == b->size && a->align == b->align &&
	       a->name.source == b->name.source && a->name.address == b->name.address &&
	       a->name.offset == b->name.offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace_event events[EVENTS_MAX], again[EVENTS_MAX];
	char *text;
	size_t length, count;
	bool failed;
	FILE *out = open_memstream(&text, &length);

	count = read_all(file_of(data, size), events, &failed);
	if (count > EVENTS_MAX)
		count = EVENTS_MAX;
	for (size_t i = 0; i < count; i++)
		write_event(out, &events[i]);
	fclose(out);
	hold(read_all(file_of(text, length), again, &failed) == count && !failed);
	for (size_t i = 0; i < count; i++)
		hold(same(&events[i], &again[i]));
	free(text);
	return 0;
}
