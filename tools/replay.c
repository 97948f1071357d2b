/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The replay, bottom-up: accounts, stretches, events, the whole file.
 *
 * A stretch is a row of allocations, or of frees, without one of the other kind
 * between them. Its objects are dealt to the threads, which work at the same
 * time; the next begins when all are done. So a free always follows its
 * allocation, and what is live at the end of a stretch is what was live then in
 * the trace, to the byte: the peak, which is the end of a stretch, is the same on
 * any number of threads.
 *
 * Allocations are dealt in turn, and frees in a turn of their own. Of the objects of
 * a recorded trace half or more are then freed by another thread than allocated
 * them, while the kernel freed most on the CPU that they came from; and each thread
 * meets all sizes. For caches both are the harder case.
 */
#include "replay.h"
#include "message.h"
#include "objects.h"
#include "threads.h"
#include "work.h"

#include <cpu_alloc.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CACHE_LINE 64
#define STRETCH_MOST 4096    /* objects; a longer one is cut, which changes nothing above */
#define PROGRESS_EVENTS 4096 /* between two looks at the clock */
#define PROGRESS_NS 200000000

/* What the live objects take under one way to round their sizes. */
struct gauge {
	uint64_t now, peak;
};

/* Objects to allocate, or to free: these are no longer in the table. */
struct stretch {
	enum trace_kind kind;
	size_t count;
	struct object *objects[STRETCH_MOST];
};

/* The state of one run, gone when it ends. */
struct run {
	struct replay *replay;
	struct trace trace;
	struct objects objects;
	struct stretch stretch;
	struct worker *workers; /* one a thread */
	struct threads threads; /* none if there is one thread, which is ours */
	uint64_t dealt[2];	/* objects so far, by kind */
	struct gauge asked, padded, power_of_two;
	uint64_t live;
	uint64_t file_bytes; /* 0 if not known */
	uint64_t shown_ns;   /* when the progress was shown last */
};

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

/* Stretches */

static void account(struct run *run, const struct object *object)
{
	if (run->stretch.kind == TRACE_ALLOC && !object->ptr)
		run->replay->result.failures++;
	else if (run->stretch.kind == TRACE_ALLOC)
		account_alloc(run, object);
	else if (object->ptr)
		account_free(run, object);
}

static void work(void *context, unsigned int thread, size_t item)
{
	struct run *run = context;
	struct object *object = run->stretch.objects[item];

	if (run->stretch.kind == TRACE_ALLOC)
		work_alloc(&run->workers[thread], object);
	else
		work_free(&run->workers[thread], object);
}

static void end_stretch(struct run *run)
{
	struct stretch *stretch = &run->stretch;
	uint64_t *dealt = &run->dealt[stretch->kind];

	if (run->threads.count)
		threads_share(&run->threads, *dealt, stretch->count);
	else
		for (size_t i = 0; i < stretch->count; i++)
			work(run, 0, i);
	for (size_t i = 0; i < stretch->count; i++) {
		account(run, stretch->objects[i]);
		if (stretch->kind == TRACE_FREE)
			free(stretch->objects[i]);
	}
	*dealt += stretch->count;
	stretch->count = 0;
}

static void add_to_stretch(struct run *run, enum trace_kind kind, struct object *object)
{
	struct stretch *stretch = &run->stretch;

	if (stretch->kind != kind || stretch->count == STRETCH_MOST)
		end_stretch(run);
	stretch->kind = kind;
	stretch->objects[stretch->count++] = object;
}

/* Events */

static void end_object(struct run *run, struct object *object)
{
	objects_remove(&run->objects, object);
	add_to_stretch(run, TRACE_FREE, object);
}

static void replay_alloc(struct run *run, const struct trace_event *event)
{
	struct replay *replay = run->replay;
	struct object *lost = objects_find(&run->objects, event->name), *object;

	replay->result.allocs++;
	replay->sizes[power_of_two_above(event->size)]++;
	if (lost) {
		replay->result.lost_frees++;
		end_object(run, lost);
	}
	object = objects_add(&run->objects, event->name);
	object->number = replay->result.allocs;
	object->size = event->size;
	object->align = event->align;
	add_to_stretch(run, TRACE_ALLOC, object);
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
	end_stretch(run);
	progress_clear();
}

static void free_all(struct run *run)
{
	struct object *object;

	while ((object = objects_any(&run->objects)))
		end_object(run, object);
	end_stretch(run);
	cpu_alloc_trim();
}

static void note_trace(struct run *run)
{
	struct replay_result *result = &run->replay->result;

	result->comments = run->trace.comments;
	result->other_lines = run->trace.other_lines;
	result->lost_marks = run->trace.lost_marks;
	result->lost_events = run->trace.lost_events;
	result->live_at_end = run->live;
	result->padded_bytes = run->padded.peak;
	result->power_of_two_bytes = run->power_of_two.peak;
}

static void note_workers(struct run *run)
{
	struct replay_result *result = &run->replay->result;
	struct stopwatch alloc = {0}, free = {0};

	for (unsigned int i = 0; i < result->threads; i++) {
		add_watch(&alloc, &run->workers[i].alloc);
		add_watch(&free, &run->workers[i].free);
	}
	result->ns_per_alloc = mean_ns(&alloc);
	result->ns_per_free = mean_ns(&free);
}

/* With what is live at the end of the trace. */
static void note_end(struct run *run, uint64_t top_before)
{
	struct replay_result *result = &run->replay->result;
	struct cpu_alloc_stats stats;

	cpu_alloc_stats(&stats, sizeof(stats));
	for (unsigned int i = 0; i < result->threads; i++)
		result->remote_frees += run->workers[i].remote_frees;
	/* What caches took above all objects has been in use as well. */
	if (stats.top_bytes > top_before && stats.top_bytes > result->area_top_bytes)
		result->area_top_bytes = stats.top_bytes;
	if (run->asked.peak)
		result->packing = (double)result->area_top_bytes / (double)run->asked.peak;
	result->cached_bytes = stats.cached_bytes;
	result->largest_free_bytes = stats.largest_free_bytes;
	result->resident_bytes = stats.resident_bytes;
}

static void replay_trace(struct run *run)
{
	struct replay_result *result = &run->replay->result;
	struct cpu_alloc_stats before, after;

	cpu_free(cpu_alloc(1, GFP_KERNEL, 0), 1); /* the set-up is not to be timed */
	cpu_alloc_stats(&before, sizeof(before));
	replay_events(run);
	note_trace(run);
	note_end(run, before.top_bytes);
	free_all(run);
	note_workers(run);
	cpu_alloc_stats(&after, sizeof(after));
	result->refused_frees = after.misuses - before.misuses;
	result->unfreed_bytes = after.cpu_bytes - before.cpu_bytes;
}

static uint64_t bytes_of_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

/* One thread is ours, wherever the system has it run. */
static bool start_workers(struct run *run)
{
	struct replay *replay = run->replay;
	const unsigned int count = replay->options.threads;
	const uint64_t clock_ns = measure_clock();

	replay->result.threads = count;
	run->workers = reallocate(NULL, count, sizeof(*run->workers));
	for (unsigned int i = 0; i < count; i++)
		run->workers[i] = (struct worker){replay, .number = i, .clock_ns = clock_ns};
	if (count == 1 || threads_start(&run->threads, count, work, run))
		return true;
	free(run->workers);
	return false;
}

static void stop_workers(struct run *run)
{
	if (run->threads.count)
		threads_stop(&run->threads);
	free(run->workers);
}

/* Read it all, and do what it says. False: it is malformed. */
static bool replay_opened(struct run *run)
{
	struct replay *replay = run->replay;

	if (progress_wanted()) {
		run->file_bytes = bytes_of_file(replay->path);
		run->shown_ns = now_ns();
	}
	replay_trace(run);
	if (*run->trace.error)
		complain("%s:%" PRIu64 ": %s", replay->path, run->trace.line, run->trace.error);
	return !*run->trace.error;
}

bool replay_run(struct replay *replay)
{
	struct run run = {.replay = replay};
	bool done;

	if (!trace_open(&run.trace, replay->path)) {
		complain("%s: %s", replay->path, run.trace.error);
		return false;
	}
	done = start_workers(&run);
	if (done) {
		done = replay_opened(&run);
		stop_workers(&run);
	}
	trace_close(&run.trace);
	return done;
}
