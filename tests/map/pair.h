/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A map and its twin side by side. Every call goes to both; where they differ
 * the pair is wrong from then on, and says where in pair.wrong.
 *
 * Calls return false once the pair is wrong. What a call of map.h returns is
 * in pair.unit, pair.verdict or pair.batch, for the caller to go on with.
 */
#ifndef PAIR_H
#define PAIR_H

#include "core/map.h"
#include "twin.h"

#define PAIR_BATCH_MAX 64U

struct pair {
	struct map map;
	struct twin twin;
	void *memory; /* the map's */
	size_t memory_bytes;
	size_t dropped_bytes; /* by the last pair_drop(), in pages of */
	size_t page_bytes;
	uint32_t unit;
	enum map_verdict verdict;
	uint32_t batch[PAIR_BATCH_MAX], batched;
	char wrong[200]; /* empty as long as all is well */
};

void pair_init(struct pair *pair, uint32_t units_max);
void pair_fini(struct pair *pair);
void pair_copy(struct pair *to, const struct pair *from); /* of the same units_max */

bool pair_grow(struct pair *pair, uint32_t units);
bool pair_alloc(struct pair *pair, uint32_t n, uint32_t order);
bool pair_alloc_batch(struct pair *pair, uint32_t n, uint32_t order, uint32_t count);
bool pair_free(struct pair *pair, uint32_t unit, uint32_t n);

/* Frees pair.batch; those that are refused stay in it. */
bool pair_free_batch(struct pair *pair, uint32_t n);

/* Take or lend a range that the twin knows to be free; return it. */
bool pair_take(struct pair *pair, uint32_t start, uint32_t end);
bool pair_lend(struct pair *pair, uint32_t start, uint32_t end);
bool pair_return(struct pair *pair);

/*
 * Have the map name its idle pages, of @page_bytes, and zero them. A unit that
 * was an object may be forgotten by this; nothing else may change.
 */
bool pair_drop(struct pair *pair, uint32_t start, uint32_t end, uint32_t page_bytes);

/* The counts and the largest free run. Not map_check(). */
bool pair_counts(struct pair *pair);

/* The map's invariants. */
bool pair_check(struct pair *pair);

bool pair_is_free(struct pair *pair, uint32_t start, uint32_t end);

/* Every unit's verdict, with @forget a MAP_FREED less. */
bool pair_look_all(struct pair *pair, bool forget);

#endif
