/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The state of the library, one for the process, and who may touch it.
 *
 *	trim_lock	held while pages are on their way back to the system
 *	lock		everything else; taken after trim_lock
 *
 * `areas.base`, `count` and `limit` stay as they are once `ready`, so that
 * handles can be translated without the lock: by state_is_ready().
 */
#ifndef CPU_ALLOC_STATE_H
#define CPU_ALLOC_STATE_H

#include "area.h"
#include "core/map.h"
#include "cpu_alloc.h"
#include "options.h"
#include "pages.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct counters {
	uint64_t allocs, frees, given_back_bytes;
	uint64_t peak_units, top_units;
	/* Counted without the lock too, hence by atomic instructions. */
	uint64_t failed_einval, failed_enomem, failed_eagain, misuses;
};

/* How many idle pages have been too many for a while, see trim.c. */
struct surplus {
	uint32_t idle_low; /* the fewest idle pages since the window began */
	uint32_t calls;	   /* into the window */
	uint32_t due;	   /* pages to give back */
	uint32_t below;	   /* where to look for them next */
};

/* What the system would not give: noted under the lock, reported without it. */
struct trouble {
	const char *what, *of; /* NULL: nothing */
	size_t bytes;
	int error;
};

struct state {
	pthread_mutex_t lock, trim_lock;
	bool options_known, in_use, ready;
	int nr; /* areas, once in_use; read without the lock */
	struct options options;
	bool cid; /* concurrency ids are asked for, and there are some */
	struct areas areas;
	struct map map;
	struct pages pages;
	void *own; /* metadata: the map's memory, then the pages' states */
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

/* Take what was noted out, under the lock; report it, without. */
struct trouble state_take_trouble(void);
void state_report(const struct trouble *trouble);

/* After a GFP_KERNEL allocation, under the lock: is a step of giving back due? */
bool trim_is_due(void);

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

static inline void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif
