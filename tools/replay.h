/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Do what a trace did, through the public interface: make each allocation with
 * its real size and alignment, write a pattern into the instance of every
 * index, and check it before the free.
 *
 * One process replays one trace: the library's statistics remember the highest
 * top that there ever was.
 */
#ifndef TOOLS_REPLAY_H
#define TOOLS_REPLAY_H

#include "history.h"
#include "trace.h"

struct replay_options {
	unsigned int threads; /* 1 to THREADS_MOST */
	bool touch;	      /* write and check the pattern */
	bool remember;	      /* fill in the history */
};

/*
 * The results: X(type, name, where the report for people has it, text). Bytes
 * are those of one area. Every event is one of allocs, frees, skipped_frees.
 */
#define REPLAY_RESULTS(X)                                                                          \
	X(uint64_t, threads, LIST, "threads")                                                      \
	X(uint64_t, events, LIST, "events")                                                        \
	X(uint64_t, allocs, LIST, "allocations")                                                   \
	X(uint64_t, frees, LIST, "frees")                                                          \
	X(uint64_t, remote_frees, LIST_IF_ANY, "frees by another thread than allocated")           \
	X(uint64_t, skipped_frees, LIST_IF_ANY, "frees of what is older than the trace")           \
	X(uint64_t, lost_frees, LIST_IF_ANY, "frees missing in the trace")                         \
	X(uint64_t, live_at_end, LIST, "objects live at the end")                                  \
	X(uint64_t, failures, LIST, "allocations that failed")                                     \
	X(uint64_t, refused_frees, LIST_IF_ANY, "frees that the library refused")                  \
	X(uint64_t, unfreed_bytes, LIST_IF_ANY, "bytes still live when all was freed")             \
	X(uint64_t, corruptions, LIST, "instances found changed")                                  \
	X(uint64_t, comments, LIST_IF_ANY, "lines skipped: comments")                              \
	X(uint64_t, other_lines, LIST_IF_ANY, "lines skipped: other events")                       \
	X(uint64_t, lost_marks, LIST_IF_ANY, "lines skipped: events lost")                         \
	X(uint64_t, lost_events, LIST_IF_ANY, "events that these lines name")                      \
	X(uint64_t, peak_bytes_requested, PACKING, "asked for at the peak")                        \
	X(uint64_t, area_top_bytes, PACKING, "taken by cpu_alloc: top of the area")                \
	X(uint64_t, padded_bytes, PACKING, "if padded to cache lines")                             \
	X(uint64_t, power_of_two_bytes, PACKING, "if rounded to powers of two")                    \
	X(double, packing, NOWHERE, "")                                                            \
	X(uint64_t, peak_objects, LIST, "objects live at the peak")                                \
	X(uint64_t, cached_bytes, LIST, "bytes that caches hold at the end")                       \
	X(uint64_t, largest_free_bytes, LIST, "bytes of the largest free run at the end")          \
	X(uint64_t, resident_bytes, LIST, "bytes resident at the end, all areas")                  \
	X(double, ns_per_alloc, LIST, "nanoseconds an allocation")                                 \
	X(double, ns_per_free, LIST, "nanoseconds a free")

struct replay_result {
#define REPLAY_MEMBER(type, name, where, text) type name;
	REPLAY_RESULTS(REPLAY_MEMBER)
#undef REPLAY_MEMBER
};

/* sizes[i]: allocations of more than 2^(i - 1) and at most 2^i bytes; of 0 in sizes[0]. */
#define REPLAY_SIZES 65

struct replay {
	const char *path;
	struct replay_options options;
	struct replay_result result;
	uint64_t sizes[REPLAY_SIZES];
	struct history history;
};

/* The i for which 2^(i - 1) < @n <= 2^i; 0 for n = 0. */
static inline unsigned int power_of_two_above(uint64_t n)
{
	return n > 1 ? 64 - (unsigned int)__builtin_clzll(n - 1) : 0;
}

/*
 * Replay @replay->path. False: the file cannot be read or is malformed, and that
 * has been told. All objects have been freed in either case.
 */
bool replay_run(struct replay *replay);

#endif
