/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The protocol between magazines, states, pending objects and the map, for spin:
 * `make check-model`. Three threads on three CPUs do what they like, for ever; the
 * search visits all states that they can reach. Asserted is:
 *
 *   - No object is handed out twice: it is in one place, and only who has taken it from
 *     there puts it elsewhere (moved()).
 *   - Exactly one free of each allocation succeeds. A second one finds an object that is
 *     not live (claimed()). One is refused only if another has succeeded meanwhile or
 *     before, or is about to: the mover's, or that which the mover loses to (refused()).
 *   - ENOMEM is true: what was free when the magazines had been closed has been offered,
 *     unless it was allocated since (out_of_memory()).
 *   - The map is touched under the lock alone; and so is the depot, which is part of it here.
 *
 * A step is one access to memory that others see, or the loads of a section, and what
 * only this thread sees. A section's commit takes place if since its loads nobody began
 * a section on that CPU, and nobody fenced it. So the next section to begin stands for a
 * preemption or a signal, and as each may begin on any CPU, threads wander. Whom an
 * object is biased to is a hint in the code, and may be any CPU here.
 *
 * Memory is sequentially consistent here. What a processor may reorder in the code is a
 * commit that others cannot see yet: it is like a section that has not committed, and a
 * fence ends both. Left out: sizes, which a claim compares together with the owner; large
 * objects, which are claimed as shared ones are; processes without sections; reserves; bulk
 * calls; fork(); idle indices, whose flush is a part of that of all. The bits of pending
 * objects are in pending.pml.
 *
 * -D chooses a scenario: OBJECTS (how many), WILD (threads free object 0 when they like,
 * else what they have allocated), MAP (objects are in the map at first, and magazines are
 * small), FLUSHER (one thread does nothing but flush), SHARED_ONLY (nothing is biased),
 * TWO_THREADS. -DMUTANT_... breaks the protocol in one place.
 */

#define NOBODY 0
#define NOTHING 255

/* state[] */
#define DEAD 0
#define SHARED 1
#define BIASED(cpu) (2 + (cpu))
#define BIASED_TO(state) ((state) - 2)
#ifdef MUTANT_MOVER_WITHOUT_NAME
#define MOVING(thread) 5
#else
#define MOVING(thread) (5 + (thread)) /* in the code: a number that no other mover has */
#endif

#ifdef MAP
#define CAP 1
#else
#define CAP OBJECTS
#endif
#define CAP_MAX 2
#define CLOSED 255 /* a floor */

typedef magazine {
	byte n;
	byte floor;
	byte cap;
	byte slot[CAP_MAX];
	byte section /* the thread that is in a section here */
}

magazine mag[3];
byte state[OBJECTS];
byte pending; /* one bit an object */
byte map;     /* the same: it is free there */
byte lock;    /* its holder */

/* What the code need not know: where each object is. The first four are free. */
#define IN_MAP 0
#define IN_MAGAZINE 1
#define IN_PENDING 2
#define IN_BATCH 3 /* between them */
#define IN_HAND 4  /* of a thread in cpu_alloc() or cpu_free() */
#define IN_USE 5

byte where[OBJECTS];
byte over[OBJECTS]; /* threads: the allocation that their free found there has ended */
byte idle;	    /* objects that have been free since all was closed */

#define BIT(i) (1 << (i))
#define ALL_THREADS 255

#if OBJECTS == 1
#define EACH(step) step(0)
#elif OBJECTS == 2
#define EACH(step) step(0); step(1)
#else
#define EACH(step) step(0); step(1); step(2)
#endif

#ifdef MUTANT_SECTION_NOT_ABORTED
#define UNDISTURBED true
#else
#define UNDISTURBED (mag[c].section == me)
#endif

/*
 * Steps of a thread. Its own are: me; c, the CPU that it is on, or was when a section
 * failed; x, b, objects; v, a state or other value; n; ok.
 */

inline moved(x, from, to)
{
	assert(where[x] == from);
	where[x] = to;
	if
	:: to == IN_HAND -> idle = idle & ~BIT(x)
	:: else
	fi
}

inline claimed(x)
{
	moved(x, IN_USE, IN_HAND);
	over[x] = ALL_THREADS;
	ok = true
}

inline refused(x)
{
	assert(over[x] & BIT(me) || state[x] >= MOVING(0))
}

inline on_any_cpu()
{
	if
	:: c = 0
	:: c = 1
	:: c = 2
	fi
}

inline any_state()
{
	if
	:: v = SHARED
#ifndef SHARED_ONLY
	:: v = BIASED(0)
	:: v = BIASED(1)
	:: v = BIASED(2)
#endif
	fi
}

/* cpu_fence() */
inline fence(cpu)
{
	mag[cpu].section = NOBODY
}

/* Sections, of magazine.h: the loads are one step, the commit is one. */

/* x = NOTHING: it had nothing. Else v: what the state shall be. */
inline magazine_pop(x, to)
{
	do
	:: atomic {
		on_any_cpu();
		if
		:: mag[c].n > mag[c].floor ->
			mag[c].section = me;
			n = mag[c].n - 1;
			x = mag[c].slot[n];
			if
			:: v = SHARED
#ifndef SHARED_ONLY
			:: v = BIASED(c)
#endif
			fi
		:: else ->
			c = 0;
			break
		fi
	   }
#ifdef MUTANT_STATE_BEFORE_POP
	   state[x] = v;
#endif
	   atomic {
		if
		:: UNDISTURBED ->
			mag[c].section = NOBODY;
			mag[c].n = n;
			mag[c].slot[n] = 0;
			moved(x, IN_MAGAZINE, to);
			n = 0;
			c = 0;
			break
		:: else ->
			x = NOTHING;
			v = 0;
			n = 0;
			c = 0
		fi
	   }
	od
}

/* !ok: that of CPU c was full, or closed. */
inline magazine_push(x, from)
{
	do
	:: atomic {
		on_any_cpu();
		if
		:: mag[c].n < mag[c].cap ->
			mag[c].section = me;
			n = mag[c].n
		:: else ->
			ok = false;
			break
		fi
	   }
	   atomic {
		if
		:: UNDISTURBED ->
			mag[c].section = NOBODY;
			mag[c].slot[n] = x; /* a store before the commit, where nobody looks */
			mag[c].n = n + 1;
			moved(x, from, IN_MAGAZINE);
			n = 0;
			c = 0;
			ok = true;
			break
		:: else ->
			n = 0;
			c = 0
		fi
	   }
	od
}

inline magazine_claim(x)
{
	do
	:: atomic {
		on_any_cpu();
		if
#ifdef MUTANT_CLAIM_WITHOUT_COMPARE
		:: true ->
#else
		:: state[x] == BIASED(c) ->
#endif
			mag[c].section = me
		:: else ->
			c = 0;
			break
		fi
	   }
	   atomic {
		if
		:: UNDISTURBED ->
			mag[c].section = NOBODY;
			state[x] = DEAD;
			claimed(x);
			c = 0;
			break
		:: else ->
			c = 0
		fi
	   }
	od
}

/* Claims without a section: caches_claim(). */

/* object_exchange(v, 0); ok: it was v */
inline exchange_for_dead(x)
{
#ifdef MUTANT_EXCHANGE_WITHOUT_COMPARE
	ok = (state[x] == v);
	atomic {
		if
		:: ok ->
			state[x] = DEAD;
			claimed(x)
		:: else ->
			assert(over[x] & BIT(me))
		fi;
		v = 0
	}
#else
	atomic {
		if
		:: state[x] == v ->
			state[x] = DEAD;
			claimed(x)
		:: else ->
			assert(over[x] & BIT(me))
		fi;
		v = 0
	}
#endif
}

inline claim_biased(x)
{
#ifdef MUTANT_CLAIM_WITHOUT_MOVING
	fence(BIASED_TO(v));
	exchange_for_dead(x)
#else
	atomic { /* object_exchange(v, moving) */
		if
		:: state[x] == v ->
			state[x] = MOVING(me);
			ok = true
		:: else ->
			v = 0
		fi
	}
	if
	:: ok ->
#ifdef MUTANT_CLAIM_WITHOUT_FENCE
		atomic {
#else
		atomic {
			fence(BIASED_TO(v));
#endif
			v = MOVING(me);
			ok = false
		}
		exchange_for_dead(x)
	:: else
	fi
#endif
}

#if defined(MUTANT_THIRD_WITHOUT_FENCE) || defined(MUTANT_THIRD_WITH_FENCE)
#define THIRD_CLAIMS
#endif

inline caches_claim(x)
{
	do
	:: atomic {
		v = state[x]; /* object_read() */
		if
#ifdef THIRD_CLAIMS
		:: v == DEAD ->
#else
		:: v == DEAD || v >= MOVING(0) -> /* somebody else's free, no less than this one */
#endif
			refused(x);
			v = 0;
			break
		:: else
		fi
	   }
	   if
	   :: v == SHARED ->
		exchange_for_dead(x)
	   :: v > SHARED && v < MOVING(0) ->
		claim_biased(x)
#ifdef THIRD_CLAIMS
	   :: v >= MOVING(0) ->
#ifdef MUTANT_THIRD_WITH_FENCE
		fence(0);
		fence(1);
		fence(2);
#endif
		exchange_for_dead(x)
#endif
	   fi;
	   if
	   :: ok -> break
	   :: else
	   fi
	od
}

/* Under the lock. What nobody else can see meanwhile, the map, is part of other steps. */

inline lock_take()
{
	atomic { lock == NOBODY -> lock = me }
}

inline lock_drop()
{
	assert(lock == me);
	lock = NOBODY
}

/* map_alloc_batch(), of one; x = NOTHING: there is none */
inline map_alloc(x, to)
{
	assert(lock == me);
	x = 0;
	do
	:: x < OBJECTS && !(map & BIT(x)) -> x++
	:: else -> break
	od;
	if
	:: x < OBJECTS ->
		map = map & ~BIT(x);
		moved(x, IN_MAP, to)
	:: else ->
		x = NOTHING
	fi
}

/* map_free_batch(), of one */
inline map_free(x, from)
{
	assert(lock == me);
	moved(x, from, IN_MAP);
	map = map | BIT(x)
}

inline settle(x)
{
	if
	:: v & BIT(x) -> map_free(x, IN_PENDING)
	:: else
	fi
}

/* caches_settle(): bits are taken one after the other; here in one step */
inline caches_settle()
{
#ifdef MUTANT_PENDING_BY_STORE
	v = pending;
	atomic {
		EACH(settle);
		pending = 0;
		v = 0
	}
#else
	atomic {
		v = pending;
		EACH(settle);
		pending = 0;
		v = 0
	}
#endif
}

inline close_index(cpu)
{
#ifndef MUTANT_POPS_NOT_CLOSED
	mag[cpu].floor = CLOSED;
#endif
#ifndef MUTANT_PUSHES_NOT_CLOSED
	mag[cpu].cap = 0
#endif
}

inline open_index(cpu)
{
	mag[cpu].floor = 0;
	mag[cpu].cap = CAP
}

inline drain_index(cpu)
{
	atomic {
		n = mag[cpu].n;
		do
		:: n > 0 ->
			n--;
			v = mag[cpu].slot[n];
			mag[cpu].slot[n] = 0;
			map_free(v, IN_MAGAZINE)
		:: else -> break
		od;
		v = 0
	}
	mag[cpu].n = 0
}

inline watch(x)
{
	if
	:: where[x] < IN_HAND -> idle = idle | BIT(x)
	:: else
	fi
}

inline watch_what_is_free()
{
	atomic {
		EACH(watch)
	}
}

inline caches_close()
{
#ifndef MUTANT_FLUSH_WITHOUT_CLOSE
	close_index(0);
	close_index(1);
	close_index(2);
#endif
	watch_what_is_free();
#ifndef MUTANT_FLUSH_WITHOUT_FENCE
	fence(0); /* cpu_fence_all() */
	fence(1);
	fence(2)
#endif
}

inline caches_open()
{
	open_index(0);
	open_index(1);
	open_index(2);
	idle = 0
}

inline caches_drain()
{
#ifdef MUTANT_OPEN_BEFORE_DRAIN
	open_index(0);
	open_index(1);
	open_index(2);
#endif
	drain_index(0);
	drain_index(1);
	drain_index(2);
#ifndef MUTANT_FLUSH_WITHOUT_PENDING
	caches_settle()
#endif
}

inline out_of_memory()
{
	assert(idle == 0)
}

/* caches_find() has found nothing in the map. */
inline find_at_last(x)
{
#ifdef MUTANT_ENOMEM_WITHOUT_FLUSH
	watch_what_is_free();
#else
	caches_close();
	caches_drain();
#endif
	atomic {
		map_alloc(x, IN_HAND);
		if
		:: x == NOTHING -> out_of_memory()
		:: else
		fi
	}
	caches_open()
}

/* The interface, with what it does under the lock. */

/* alloc_slow(), caches_refill() */
inline refill()
{
	lock_take();
	caches_settle();
	atomic {
		map_alloc(x, IN_HAND);
		if
		:: x != NOTHING -> map_alloc(b, IN_BATCH)
		:: else
		fi
	}
	if
	:: x == NOTHING -> find_at_last(x)
	:: x == NOTHING -> skip /* GFP_NOWAIT: EAGAIN */
	:: b != NOTHING ->
#ifdef MUTANT_REFILL_AFTER_UNLOCK
		atomic { lock_drop() }
#endif
		magazine_push(b, IN_BATCH);
#ifdef MUTANT_REFILL_AFTER_UNLOCK
		lock_take();
#endif
		atomic {
			if
			:: ok -> ok = false
			:: else -> map_free(b, IN_BATCH)
			fi;
			b = NOTHING;
			c = 0
		}
	:: x != NOTHING && b == NOTHING
	fi;
	atomic {
		lock_drop();
		if
		:: x != NOTHING -> any_state()
		:: else
		fi
	}
}

inline cpu_alloc()
{
	magazine_pop(x, IN_HAND);
#ifdef MAP
	if
	:: x == NOTHING -> refill()
	:: else
	fi;
#endif
	atomic { /* object_set() */
		if
		:: x != NOTHING ->
			state[x] = v;
			moved(x, IN_HAND, IN_USE);
			v = 0
		:: else
		fi
	}
}

/* Without the lock: more room in the magazine that was full. Not if it was closed. */
inline caches_grow_cap()
{
#ifdef MUTANT_CAP_BY_STORE
	v = mag[c].cap;
	if
	:: v > 0 && v < CAP_MAX -> mag[c].cap = 2 * v
	:: else
	fi;
#else
	v = mag[c].cap;
	atomic {
		if
		:: v > 0 && v < CAP_MAX && mag[c].cap == v -> mag[c].cap = 2 * v
		:: else
		fi
	};
#endif
	atomic {
		v = 0;
		c = 0
	}
}

inline caches_give(x)
{
	if
	:: atomic { lock == NOBODY -> lock = me; c = 0 } /* lock_try() */
		caches_settle();
		magazine_pop(b, IN_BATCH); /* give_batch() */
		atomic {
			v = 0;
			map_free(x, IN_HAND);
			if
			:: b != NOTHING ->
				map_free(b, IN_BATCH);
				b = NOTHING
			:: else
			fi;
			lock_drop()
		}
	:: atomic { lock != NOBODY -> skip }
		caches_grow_cap(); /* grow_and_push() */
		magazine_push(x, IN_HAND);
		atomic {
			if
			:: ok -> skip
			:: else -> /* pending_add() */
				moved(x, IN_HAND, IN_PENDING);
				pending = pending | BIT(x);
				c = 0
			fi
		}
	fi
}

inline cpu_free(x)
{
#ifdef MUTANT_PUSH_BEFORE_CLAIM
	magazine_push(x, where[x]);
	ok = false;
#endif
	magazine_claim(x);
	if
	:: ok -> skip
	:: else -> caches_claim(x)
	fi;
	if
	:: ok ->
#ifndef MUTANT_PUSH_BEFORE_CLAIM
		magazine_push(x, IN_HAND);
#endif
#ifdef MAP
		if
		:: ok -> skip
		:: else -> caches_give(x)
		fi;
#endif
		ok = false
	:: else
	fi
}

inline begins_free(x)
{
	if
	:: where[x] == IN_USE -> over[x] = over[x] & ~BIT(me)
	:: else -> over[x] = over[x] | BIT(me)
	fi
}

proctype thread(byte me)
{
	byte c, v, n, x = NOTHING, b = NOTHING;
	bool ok;

	do
#ifdef WILD
	:: cpu_alloc();
	   x = NOTHING
	:: atomic {
		x = 0;
		begins_free(x)
	   }
	   cpu_free(x);
	   x = NOTHING
#else
	:: x == NOTHING ->
	   cpu_alloc()
	:: atomic {
		x != NOTHING ->
		begins_free(x)
	   }
	   cpu_free(x);
	   x = NOTHING
#endif
	od
}

/* cpu_alloc_trim(), caches_flush() */
proctype flusher(byte me)
{
	byte v, n;

	do
	:: lock_take();
	   caches_close();
	   caches_drain();
	   caches_open();
	   atomic { lock_drop() }
	od
}

inline starts(x)
{
#ifdef MAP
	map = map | BIT(x);
#else
	where[x] = IN_MAGAZINE;
	mag[0].slot[x] = x;
	mag[0].n++;
#endif
	over[x] = ALL_THREADS
}

init
{
	atomic {
		caches_open();
		EACH(starts);
		run thread(1);
		run thread(2);
#if defined(FLUSHER)
		run flusher(3)
#elif !defined(TWO_THREADS)
		run thread(3)
#endif
	}
}
