/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The replay, bottom-up: time, accounts, objects, events, the whole file. */
#include "replay.h"
#include "message.h"
#include "objects.h"
#include "pattern.h"

#include <cpu_alloc.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CACHE_LINE 64
#define CORRUPTIONS_TOLD 10  /* per file; the others are only counted */
#define PROGRESS_EVENTS 4096 /* between two looks at the clock */
#define PROGRESS_NS 200000000

/* What the live objects take under one way to round their sizes. */
struct gauge {
	uint64_t now, peak;
};

/* Calls of one function. */
struct stopwatch {
	uint64_t ns, calls;
};

/* The state of one run, gone when it ends. */
struct run {
	struct replay *replay;
	struct trace trace;
	struct objects objects;
	struct gauge asked, padded, power_of_two;
	struct stopwatch alloc, free;
	uint64_t clock_ns; /* that reading the clock twice takes */
	uint64_t live;
	uint64_t file_bytes; /* 0 if not known */
	uint64_t shown_ns;   /* when the progress was shown last */
};

/* Time */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t measure_clock(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t start = now_ns(), ns = now_ns() - start;

		if (ns < least)
			least = ns;
	}
	return least;
}

static void stop_watch(struct run *run, struct stopwatch *watch, uint64_t start)
{
	uint64_t ns = now_ns() - start;

	watch->ns += ns > run->clock_ns ? ns - run->clock_ns : 0;
	watch->calls++;
}

static double mean(const struct stopwatch *watch)
{
	return watch->calls ? (double)watch->ns / (double)watch->calls : 0;
}

static void show_progress(struct run *run)
{
	uint64_t events = run->replay->result.events, now;

	if (events % PROGRESS_EVENTS || (now = now_ns()) - run->shown_ns < PROGRESS_NS)
		return;
	run->shown_ns = now;
	if (run->file_bytes)
		progress("%s: %.0f %%, %" PRIu64 " events", run->replay->path,
			 100.0 * (double)trace_position(&run->trace) / (double)run->file_bytes,
			 events);
	else
		progress("%s: %" PRIu64 " events", run->replay->path, events);
}

/* Accounts */

static void raise_gauge(struct gauge *gauge, uint64_t bytes)
{
	gauge->now += bytes;
	if (gauge->peak < gauge->now)
		gauge->peak = gauge->now;
}

static uint64_t padded_size(const struct object *object)
{
	return (object->size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

/* Such allocators align a class to its size: an alignment takes a class as large. */
static uint64_t power_of_two_size(const struct object *object)
{
	uint64_t least = object->size > object->align ? object->size : object->align;

	return object->size ? (uint64_t)1 << power_of_two_above(least) : 0;
}

static uint32_t units_of(const struct object *object)
{
	return (uint32_t)((object->size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT);
}

static void note_place(struct run *run, const struct object *object)
{
	struct replay *replay = run->replay;
	uint32_t unit = (uint32_t)(cpu_alloc_offset(object->ptr) / CPU_ALLOC_UNIT);
	uint64_t top = ((uint64_t)unit + units_of(object)) * CPU_ALLOC_UNIT;

	if (replay->result.area_top_bytes < top)
		replay->result.area_top_bytes = top;
	if (replay->options.remember)
		history_add(&replay->history, unit, units_of(object));
}

static void account_alloc(struct run *run, const struct object *object)
{
	struct replay_result *result = &run->replay->result;

	if (object->size) /* ZERO_SIZE_PTR lies nowhere */
		note_place(run, object);
	run->live++;
	raise_gauge(&run->asked, object->size);
	raise_gauge(&run->padded, padded_size(object));
	raise_gauge(&run->power_of_two, power_of_two_size(object));
	if (result->peak_bytes_requested < run->asked.peak) {
		result->peak_bytes_requested = run->asked.peak;
		result->peak_objects = run->live;
		run->replay->history.peak_count = run->replay->history.count;
	}
}

static void account_free(struct run *run, const struct object *object)
{
	struct replay *replay = run->replay;

	if (object->size && replay->options.remember)
		history_add(&replay->history,
			    (uint32_t)(cpu_alloc_offset(object->ptr) / CPU_ALLOC_UNIT), 0);
	run->live--;
	run->asked.now -= object->size;
	run->padded.now -= padded_size(object);
	run->power_of_two.now -= power_of_two_size(object);
}

/* Objects */

static void fill(const struct object *object)
{
	cpu_alloc_for_each (i)
		pattern_write(CPU_PTR(object->ptr, i), object->size, object->number, i);
}

static void check(struct run *run, const struct object *object)
{
	struct replay_result *result = &run->replay->result;

	cpu_alloc_for_each (i) {
		size_t at = pattern_check(CPU_PTR(object->ptr, i), object->size, object->number, i);

		if (at == object->size || result->corruptions++ >= CORRUPTIONS_TOLD)
			continue;
		complain("%s: allocation %" PRIu64 ", %" PRIu64 " bytes at %#zx of the area: "
			 "changed at byte %zu of index %d",
			 run->replay->path, object->number, object->size,
			 cpu_alloc_offset(object->ptr), at, i);
	}
}

static void begin_object(struct run *run, const struct trace_event *event)
{
	struct object *object = objects_add(&run->objects, event->name);
	uint64_t start;

	object->number = run->replay->result.allocs;
	object->size = event->size;
	object->align = event->align;
	start = now_ns();
	object->ptr = cpu_alloc(object->size, GFP_KERNEL, object->align);
	stop_watch(run, &run->alloc, start);
	if (!object->ptr) {
		run->replay->result.failures++;
		return;
	}
	account_alloc(run, object);
	if (run->replay->options.touch)
		fill(object);
}

static void end_object(struct run *run, struct object *object)
{
	uint64_t start;

	if (object->ptr) {
		if (run->replay->options.touch)
			check(run, object);
		account_free(run, object);
		start = now_ns();
		cpu_free(object->ptr, object->size);
		stop_watch(run, &run->free, start);
	}
	objects_remove(&run->objects, object);
}

/* Events */

static void replay_alloc(struct run *run, const struct trace_event *event)
{
	struct replay *replay = run->replay;
	struct object *lost = objects_find(&run->objects, event->name);

	replay->result.allocs++;
	replay->sizes[power_of_two_above(event->size)]++;
	if (lost) {
		replay->result.lost_frees++;
		end_object(run, lost);
	}
	begin_object(run, event);
}

static void replay_free(struct run *run, const struct trace_event *event)
{
	struct object *object = objects_find(&run->objects, event->name);

	if (!object) {
		run->replay->result.skipped_frees++;
		return;
	}
	run->replay->result.frees++;
	end_object(run, object);
}

static void replay_events(struct run *run)
{
	struct trace_event event;

	while (trace_next(&run->trace, &event)) {
		run->replay->result.events++;
		if (event.kind == TRACE_ALLOC)
			replay_alloc(run, &event);
		else
			replay_free(run, &event);
		if (run->shown_ns)
			show_progress(run);
	}
	progress_clear();
}

static void free_all(struct run *run)
{
	struct object *object;

	while ((object = objects_any(&run->objects)))
		end_object(run, object);
	cpu_alloc_trim();
}

static void note_end(struct run *run, const struct cpu_alloc_stats *now)
{
	struct replay_result *result = &run->replay->result;

	result->comments = run->trace.comments;
	result->other_lines = run->trace.other_lines;
	result->lost_marks = run->trace.lost_marks;
	result->lost_events = run->trace.lost_events;
	result->live_at_end = run->live;
	result->padded_bytes = run->padded.peak;
	result->power_of_two_bytes = run->power_of_two.peak;
	result->largest_free_bytes = now->largest_free_bytes;
	result->resident_bytes = now->resident_bytes;
	if (run->asked.peak)
		result->packing = (double)result->area_top_bytes / (double)run->asked.peak;
}

/* From the first event on, with the figures taken while what is live at the end still is. */
static void replay_trace(struct run *run)
{
	struct replay_result *result = &run->replay->result;
	struct cpu_alloc_stats before, end, after;

	cpu_alloc_stats(&before, sizeof(before));
	replay_events(run);
	cpu_alloc_stats(&end, sizeof(end));
	note_end(run, &end);
	free_all(run);
	cpu_alloc_stats(&after, sizeof(after));

	result->refused_frees = after.misuses - before.misuses;
	result->ns_per_alloc = mean(&run->alloc);
	result->ns_per_free = mean(&run->free);
}

static uint64_t bytes_of_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

bool replay_run(struct replay *replay)
{
	struct run run = {.replay = replay, .clock_ns = measure_clock()};

	if (!trace_open(&run.trace, replay->path)) {
		complain("%s: %s", replay->path, run.trace.error);
		return false;
	}
	if (progress_wanted()) {
		run.file_bytes = bytes_of_file(replay->path);
		run.shown_ns = now_ns();
	}
	cpu_free(cpu_alloc(1, GFP_KERNEL, 0), 1); /* the set-up is not to be timed */
	replay_trace(&run);
	trace_close(&run.trace);
	if (!*run.trace.error)
		return true;
	complain("%s:%" PRIu64 ": %s", replay->path, run.trace.line, run.trace.error);
	return false;
}
