/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The caches: all magazines, and how objects come to them and back to the map.
 *
 *	map --caches_refill()--> magazine --magazine_pop()--> program
 *	 ^                        |     ^                       |
 *	 +-----caches_flush()-----+     +---caches_give()-------+
 *	 ^                        |                             |
 *	 +-----caches_give()------+      pending <--------------+
 *	 +-----------------------------------+
 *
 * How many objects a magazine holds, `cap`, is small at first, for tight packing, and
 * doubles where the lock was found taken. Half of that goes to or from the map at once,
 * up to BATCH_MAX: that bounds how long the lock is held.
 *
 * The depot: where one CPU frees what another allocates, batches go from the one's
 * magazine to the other's by way of a magazine that is no CPU's, and not through the
 * map. No section ever works on that: it is under the lock.
 *
 * "Under the lock" is that of state.h.
 */
#ifndef CPU_ALLOC_CACHES_H
#define CPU_ALLOC_CACHES_H

#include "magazine.h"
#include "objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 128U	 /* objects, but for reserves */
#define DEPOT (-1)	 /* an index that no thread has: its magazines are the depot */
#define SETTLED_MAX 256U /* pending objects that one call takes to the map */

/* Which magazines of an index are in use, and what became of them. Under the lock. */
struct index_use {
	uint64_t classes;   /* bit n: magazines of n + 1 units */
	uint64_t seen;	    /* the sum of their words when somebody looked last */
	uint32_t cap_units; /* what they may hold together; changed without the lock, too */
	uint32_t contended; /* how often it found the lock taken; halved by each flush */
	uint32_t hand;	    /* the class that gave room to others last */
};

struct caches {
	struct index_use *use;
	int used_below; /* beside the depot, no index from here on has magazines in use;
			   read without the lock, too */
	int looked_at;	/* the index that was looked at last, whether it is idle */
	uint16_t refilled_on[SMALL_UNITS + 1]; /* 1 + the index of a class's last refill, or 0 */
	uint64_t atomic_classes; /* GFP_ATOMIC has asked for; read and set without the lock */
	uint64_t refills;
	uint64_t refilled; /* units, since the last flush */
	uint64_t flushes;  /* for the top's sake */
	/* For the statistics, see caches_count(). */
	uint64_t pushed; /* by refills, and to the depot */
	uint64_t popped; /* to the map, to the depot and from it */
	uint64_t taken;	 /* from closed magazines */
	uint64_t gone;	 /* pops of magazines that were given back */
	uint64_t pops;	 /* of all, at the last drain */
};

/* What all caches hold at this moment, and what went through them. Under the lock. */
struct caches_count {
	uint64_t objects, units; /* pending ones too */
	uint64_t allocs, frees;
	uint64_t pops; /* of all magazines ever */
};
struct caches_count caches_count(void);

/* Bytes of index_use for @indices and the depot. */
size_t caches_bytes(int indices);

/* @use reads zero. Under the lock. */
void caches_init(struct index_use *use);

/* Can objects be taken back from other indices, as they must be before memory runs out? */
bool caches_are_possible(void);

/* From now on there are magazines, in @memory, which reads zero. Under the lock. */
void caches_start(char *memory);

/*
 * The magazine has nothing: take a batch of objects of @units from the map, keep
 * one, and put the others into it. Under the lock. Returns a slot, and the state
 * that the object shall get, or MAGAZINE_NOTHING. @find is how room is found.
 */
uint32_t caches_refill(uint32_t units, uint32_t order, bool contended, bool may_wait,
		       uint32_t *state);

/*
 * Pop from this CPU's magazine, the reserve too, however often the thread is
 * interrupted. Returns a slot and the object's state, or MAGAZINE_NOTHING.
 * Async-signal-safe.
 */
uint32_t caches_pop(uint32_t units, uint32_t *tag);

/*
 * Take up to @count objects of @units, of any size, from one hole of the map; their
 * units, rising, go to @found. If @may_wait: flush before the top rises while too much
 * is cached, grow, and before giving up take all back from the magazines. Under the
 * lock, which is dropped while pages are on their way to the system; a copy of the
 * process may fail to take it again. Returns how many there are, 0 if none fit.
 */
uint32_t caches_find(uint32_t units, uint32_t order, uint32_t *found, uint32_t count,
		     bool may_wait);

/*
 * The next GFP_KERNEL call for @units on this index shall come here, though there are
 * objects for it. Under the lock.
 */
void caches_call(uint32_t units);
void caches_call_all(void); /* the same for all classes of all indices */

/* A claimed object goes home: without the lock, without waiting. Async-signal-safe. */
void caches_give(uint32_t unit, uint32_t units);

/* The same for @count of @units each, in one hold of the lock. Sorts @found. Under the lock. */
void caches_give_to_map(uint32_t units, uint32_t *found, uint32_t count);

/*
 * Claim the live object of @units at @unit, wherever it was popped. False: it is not
 * live, or another free was faster, or it has another size; nothing has changed.
 * Async-signal-safe; a system call, membarrier(), only for objects biased to another index.
 */
bool caches_claim(uint32_t unit, uint32_t units);

/* A shared object of @units was freed here: enough of these, and there is a bias again. */
void caches_count_shared(uint32_t units);

/* Pending objects to the map, at most so many. Returns how many. Under the lock. */
uint32_t caches_settle(uint32_t most);

/*
 * Under the lock. Close all magazines, and see that no section is at work on them;
 * false: that cannot be seen, and all are open. While they are closed: take all to the map,
 * the pending objects too. Open them again. All three.
 */
bool caches_close(void);
void caches_drain(void);
void caches_open(void);
void caches_flush(void);

/* Flush, and the memory of the magazines goes back to the system. Under the lock. */
void caches_trim(void);

/*
 * In a copy of the process their memory is clear, and nobody else is here. The depot's is
 * not: whoever has the lock may have been interrupted in there, and goes on in the copy.
 * Under the lock.
 */
void caches_forget(void);

/* After a refill that may call the system: drain an index that does nothing. Under the lock. */
void caches_look_for_idle(void);

/* What the files of this layer share. Of one magazine, under the lock unless it says otherwise. */

/* That of @index, in use from now on. NULL: there is none. */
struct magazine *caches_use(int index, uint32_t units);

/* That of the depot. */
struct magazine *caches_use_depot(uint32_t units);

/* Objects that one holds at first, and that it keeps for GFP_ATOMIC. */
uint32_t caches_base_cap(uint32_t units);
uint32_t caches_reserve(uint32_t units);

/* The state of what is popped on @index while nobody elsewhere frees it. */
uint16_t caches_self(int index, uint32_t units);

/*
 * Double the cap of a magazine of @index, up to a bound for it and one for all of the
 * index. Also without the lock: that of a closed one is 0, and stays so. The second tells
 * whether all together leave room for that.
 */
bool caches_grow_cap(int index, uint32_t units);
bool caches_have_room(int index, uint32_t units);

/* Halve it, but not below what it was at first. */
void caches_shrink_cap(int index, uint32_t units);

/* Push to this CPU's, however often the thread is interrupted. Async-signal-safe. */
bool caches_push(uint32_t units, uint32_t slot);

#endif
