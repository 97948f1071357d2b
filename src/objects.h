/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Whose each object is: what lets a free be judged without a lock, so that of any
 * number of frees of one object exactly one succeeds.
 *
 * 16 bits for each unit of an area, once, not per CPU. Those of an object's first unit
 * are `owner << 6 | units - 1`, where the owner is
 *
 *	NOBODY	    not live: in the map, in a magazine, on its way
 *	SHARED	    live; a locked exchange claims it
 *	LARGE	    live, above 64 units: their number is in the next 5 entries
 *	MOVING + n  live; mover n is about to claim it from another index
 *	BIASED + i  live, popped on index i, where a section claims it
 *
 * A live object becomes the freer's by a change of its state to 0: the claim. Then
 * it goes to a magazine, to the map, or is pending: claimed, while the lock that the
 * map needs is taken. Pending units are bits, so that whoever frees never waits; the
 * next holder of the lock takes them to the map. Above the bits two levels of summary
 * tell where to look.
 */
#ifndef CPU_ALLOC_OBJECTS_H
#define CPU_ALLOC_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMALL_UNITS 64U /* of the largest object that has its size in its state */

/* clang-format off */
enum owner {
	OWNER_NOBODY, OWNER_SHARED, OWNER_LARGE, OWNER_MOVING,
	OWNER_BIASED = 64,
	OWNER_END = 1024
};
/* clang-format on */

#define MOVERS (OWNER_BIASED - OWNER_MOVING) /* at once, each with a number of its own */

#define PENDING_LEVELS 3

struct objects {
	uint16_t *state;
	uint64_t *pending[PENDING_LEVELS]; /* one bit a unit; a word; a word of those */
	uint32_t pending_words;		   /* of the uppermost level */
	uint32_t units;
	/* Changed by atomic instructions: */
	uint64_t pending_objects, pending_units;
	uint64_t movers; /* bit n: number n is taken */
};

/* Bytes that the states, and the pending bits, of @units need. */
size_t objects_state_bytes(uint32_t units);
size_t objects_pending_bytes(uint32_t units);

/* @state, @pending: all zero. States of what is not committed need only be readable. */
void objects_init(struct objects *objects, void *state, void *pending, uint32_t units);

static inline uint16_t object_state(uint32_t owner, uint32_t units)
{
	return (uint16_t)(owner << 6 | (units - 1));
}

static inline uint32_t state_owner(uint16_t state)
{
	return state >> 6;
}

/* Of a live object that is not large. */
static inline uint32_t state_units(uint16_t state)
{
	return (state & (SMALL_UNITS - 1)) + 1;
}

static inline uint16_t object_read(const struct objects *objects, uint32_t unit)
{
	return __atomic_load_n(&objects->state[unit], __ATOMIC_ACQUIRE);
}

/* Nobody else has the object: it becomes live, or stays so. */
static inline void object_set(struct objects *objects, uint32_t unit, uint16_t state)
{
	__atomic_store_n(&objects->state[unit], state, __ATOMIC_RELEASE);
}

/* Locked: from @before to @after, unless somebody else was faster. */
static inline bool object_exchange(struct objects *objects, uint32_t unit, uint16_t before,
				   uint16_t after)
{
	return __atomic_compare_exchange_n(&objects->state[unit], &before, after, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Make an object live that no magazine gave: shared, or large. */
void object_set_shared(struct objects *objects, uint32_t unit, uint32_t units);

/* Of a large object. */
uint32_t object_large_units(const struct objects *objects, uint32_t unit);

/* Name the pages of states that tell only of some of units @start to @end - 1, all free. */
void objects_idle(const struct objects *objects, uint32_t start, uint32_t end, size_t page_bytes,
		  void (*drop)(void *context, void *address, size_t bytes));

/*
 * A claimed object waits for the lock. Async-signal-safe; no loop, no lock: three
 * atomic instructions on the bits, two on the counts.
 */
void pending_add(struct objects *objects, uint32_t unit, uint32_t units);

static inline bool pending_any(const struct objects *objects)
{
	return __atomic_load_n(&objects->pending_objects, __ATOMIC_RELAXED) > 0;
}

/*
 * Under the lock: take pending units out, in rising order within what was there, at
 * most @most. Returns their number. The counts are the caller's to correct: by
 * pending_forget(), when the objects are elsewhere.
 */
uint32_t pending_take(struct objects *objects, uint32_t *units, uint32_t most);
void pending_forget(struct objects *objects, uint32_t objects_gone, uint64_t units_gone);

#endif
