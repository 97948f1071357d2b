/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The state of the library, one for the process, and who may touch it.
 *
 *	trim_lock	held while pages are on their way back to the system
 *	lock		everything else; taken after trim_lock
 *	none		objects and magazines: by their own rules, see there
 *
 * `areas.base`, `count` and `limit` stay as they are once `ready`, so that
 * handles can be translated without the lock: by state_is_ready().
 */
#ifndef CPU_ALLOC_STATE_H
#define CPU_ALLOC_STATE_H

#include "area.h"
#include "caches.h"
#include "core/map.h"
#include "cpu_alloc.h"
#include "lock.h"
#include "magazine.h"
#include "objects.h"
#include "options.h"
#include "pages.h"

#include <stdbool.h>
#include <stdint.h>

struct counters {
	uint64_t given_back_bytes;
	uint64_t peak_units, top_units;
	/* Counted without the lock too, hence by atomic instructions. The first two past magazines.
	 */
	uint64_t allocs, frees;
	uint64_t failed_einval, failed_enomem, failed_eagain, misuses;
};

/* How many idle pages have been too many for a while, see trim.c. */
struct surplus {
	uint32_t idle_low; /* the fewest idle pages since the window began */
	uint32_t calls;	   /* into the window */
	uint32_t due;	   /* pages to give back */
	uint32_t below;	   /* where to look for them next */
	bool begun_anew;   /* the window, before its end */
};

/* What the system would not give: noted under the lock, reported without it. */
struct trouble {
	const char *what, *of; /* NULL: nothing */
	size_t bytes;
	int error;
};

struct state {
	/* What all calls read. */
	struct areas areas;
	struct objects objects;
	struct magazines magazines;
	struct pages pages;
	bool options_known, in_use, ready;
	int nr; /* areas, once in_use; read without the lock */
	struct lock lock __attribute__((aligned(64))), trim_lock;
	struct options options;
	bool cid; /* concurrency ids are asked for, and there are some */
	struct map map;
	struct caches caches;
	void *own; /* metadata, see state.c */
	size_t own_bytes;
	struct counters counters;
	struct surplus surplus;
	struct trouble trouble;
};

extern struct state cpu_alloc_state;

/* Read the environment and decide what follows from it, if nobody has. */
void state_know_options(void);

/* Fix the options and the number of areas. Under the lock. */
void state_use(void);

/* Reserve and commit what the first object needs. Under the lock. */
bool state_set_up(void);

/*
 * Make room for @units above the frontier. Under the lock. False if that is
 * beyond the limit of an area (state_may_grow), or the system refused.
 */
bool state_grow(uint32_t units, uint32_t order);
bool state_may_grow(uint32_t units, uint32_t order);

/* Does this process have magazines? For good, once it has. */
static inline bool caches_are_there(void)
{
	return __atomic_load_n(&cpu_alloc_state.magazines.sizes, __ATOMIC_ACQUIRE) > 0;
}

/* And are objects biased to indices there? */
static inline bool caches_are_biased(void)
{
	return __atomic_load_n(&cpu_alloc_state.magazines.offsets, __ATOMIC_ACQUIRE) > 0;
}

/* GFP_ATOMIC asks for this class: from now on refills leave it a reserve. */
static inline void caches_note_atomic(uint32_t units)
{
	uint64_t *classes = &cpu_alloc_state.caches.atomic_classes;
	const uint64_t bit = 1ULL << (units - 1);

	if (!(__atomic_load_n(classes, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(classes, bit, __ATOMIC_RELAXED);
}

/* Is a run of pages on its way back to the system? Under the lock. */
static inline bool state_is_lent(void)
{
	return cpu_alloc_state.map.lent.start != cpu_alloc_state.map.lent.end;
}

/* Units have been taken, up to @end: the most, and the highest, ever? Under the lock. */
static inline void state_note_peak(uint32_t end)
{
	struct counters *counters = &cpu_alloc_state.counters;

	if (counters->peak_units < cpu_alloc_state.map.used_units)
		counters->peak_units = cpu_alloc_state.map.used_units;
	if (counters->top_units < end)
		counters->top_units = end;
}

/* Take what was noted out, under the lock; report it, without. */
struct trouble state_take_trouble(void);
void state_report(const struct trouble *trouble);

/*
 * Under the lock. A call that changed the map. Is a step of giving back due? May one
 * become due, if calls come to the map?
 */
void trim_tick(void);
bool trim_is_due(void);
bool trim_is_near(void);

/* Give one bounded run of pages back. Without the lock. */
void trim_step(void);

static inline bool state_is_ready(void)
{
	return __atomic_load_n(&cpu_alloc_state.ready, __ATOMIC_ACQUIRE);
}

static inline size_t units_to_bytes(uint64_t units)
{
	return (size_t)units * CPU_ALLOC_UNIT;
}

/* Whole units that @size takes; more than any area has if it is beyond them. */
static inline uint32_t units_of(size_t size)
{
	return size > CPU_ALLOC_STRIDE ? MAP_UNITS_MAX
				       : (uint32_t)((size + CPU_ALLOC_UNIT - 1) / CPU_ALLOC_UNIT);
}

/* A handle may have its lowest bit set. */
static inline uint32_t unit_of(const void *handle)
{
	return (uint32_t)(((uintptr_t)handle - (uintptr_t)cpu_alloc_state.areas.base) /
			  CPU_ALLOC_UNIT);
}

static inline void *handle_of(uint32_t unit)
{
	return cpu_alloc_state.areas.base + units_to_bytes(unit);
}

static inline void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif
