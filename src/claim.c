/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Claims of objects that are not biased to this index: see caches.h. */
#include "caches.h"
#include "fence.h"
#include "state.h"

#define ATTEMPTS 4	/* at a section, before it takes a system call */
#define PATIENCE_MIN 64 /* shared frees until a class is biased again: doubles */
#define PATIENCE_MAX 32768

static struct state *const state = &cpu_alloc_state;

/* Somebody elsewhere freed what was popped on @index: no bias there for a while. A hint. */
static void share(int index, uint32_t units)
{
	struct magazine *magazine = magazine_at(&state->magazines, index, units);
	uint32_t patience = 2U * magazine->patience;

	if (magazine_load(&magazine->cap) == 0)
		return; /* not in use: its memory shall not come back for that */
	patience = patience < PATIENCE_MIN ? PATIENCE_MIN : patience;
	magazine->patience = (uint16_t)(patience < PATIENCE_MAX ? patience : PATIENCE_MAX);
	magazine->shared_for = magazine->patience;
	magazine->tag = object_state(OWNER_SHARED, units);
}

void caches_count_shared(uint32_t units)
{
	const int index = caches_are_there() ? cpu_alloc_index() : -1;
	struct magazine *magazine;

	if (index < 0)
		return;
	magazine = magazine_at(&state->magazines, index, units);
	if (magazine->shared_for && --magazine->shared_for == 0)
		magazine->tag = caches_self(index, units);
}

/*
 * A number that no other mover has at present. More than there are numbers share the
 * last: one who lost could then take another's move for its own.
 */
static uint32_t mover_begin(void)
{
	uint64_t taken = __atomic_load_n(&state->objects.movers, __ATOMIC_RELAXED);
	uint32_t mover;

	do {
		mover = (uint32_t)__builtin_ctzll(~taken);
		if (mover >= MOVERS - 1)
			return MOVERS - 1;
	} while (!__atomic_compare_exchange_n(&state->objects.movers, &taken, taken | 1ULL << mover,
					      false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return mover;
}

static void mover_end(uint32_t mover)
{
	if (mover < MOVERS - 1)
		__atomic_fetch_and(&state->objects.movers, ~(1ULL << mover), __ATOMIC_RELEASE);
}

/*
 * Biased to @index, of which this thread is not now. Who says MOVING stops sections
 * from claiming it, but for one that has looked already: it is over after the fence, and
 * has claimed it, or never will. Whoever else finds MOVING has lost: to this
 * thread, or to that section. (If the system has stopped to fence, two frees at once may
 * both succeed; one alone is right.)
 */
static bool claim_biased(uint32_t unit, uint32_t units, uint16_t before, int index)
{
	const uint32_t mover = mover_begin();
	const uint16_t moving = object_state(OWNER_MOVING + mover, units);
	bool claimed = false;

	if (object_exchange(&state->objects, unit, before, moving)) {
		share(index, units);
		fence_index(index);
		claimed = object_exchange(&state->objects, unit, moving, 0);
	}
	mover_end(mover);
	return claimed;
}

/* Biased to the index that this thread is on: its first attempt was interrupted. */
static bool claim_here(uint32_t unit, uint32_t units, int index)
{
#pragma GCC unroll 1 /* one section, for the tests that abort it at every instruction */
	for (int n = 0; n < ATTEMPTS; n++) {
		if (index != cpu_alloc_index())
			return false;
		if (magazine_claim(state->magazines.way, units, &state->objects.state[unit]))
			return true;
	}
	return false;
}

bool caches_claim(uint32_t unit, uint32_t units)
{
	for (;;) {
		const uint16_t before = object_read(&state->objects, unit);
		const uint32_t owner = state_owner(before);

		if (owner == OWNER_NOBODY || (owner >= OWNER_MOVING && owner < OWNER_BIASED) ||
		    units != (owner == OWNER_LARGE ? object_large_units(&state->objects, unit)
						   : state_units(before)))
			return false;
		if (owner >= OWNER_BIASED) {
			const int index = (int)(owner - OWNER_BIASED);

			if (claim_here(unit, units, index) ||
			    claim_biased(unit, units, before, index))
				return true;
		} else if (object_exchange(&state->objects, unit, before, 0)) {
			if (owner == OWNER_SHARED)
				caches_count_shared(units);
			return true;
		}
	}
}
