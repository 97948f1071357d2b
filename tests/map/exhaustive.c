/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * All states of small maps: breadth first from the first state, every possible
 * alloc and free of every state, beside the twin. A larger map has one small
 * window of free units, on the border of two leaves or of two nodes, or where
 * the frontier passes when a tree begins or ends; an object lies below it, and
 * one above, which comes and goes as well.
 *
 *	map-exhaustive [UNITS]		free units of the whole-map case
 *
 * Two states are one if used bits, objects, frontier and held hole are equal;
 * what was an object once is left out of it.
 */
#include "effort.h"
#include "core/tree.h"
#include "pair.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define ORDERS 4U /* alignments tried; the window is smaller than the next */

/* Free units start to end - 1 in a map of @units; all others are used. */
struct window {
	const char *name;
	uint32_t units, start, end;
};

struct table {
	uint64_t *key; /* a hash table with open addresses; 0 is no key */
	uint32_t slots, count;
};

struct search {
	const struct window *window;
	struct table seen;
	struct pair *queue; /* states still to be expanded */
	uint32_t queued, capacity;
	uint64_t calls;
	bool check_all; /* the map is small enough to check after every call */
};

/* Whether @key is new; it is remembered. */
static bool table_add(struct table *table, uint64_t key)
{
	uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15ULL >> 32) & (table->slots - 1);

	while (table->key[slot] && table->key[slot] != key)
		slot = (slot + 1) & (table->slots - 1);
	if (table->key[slot])
		return false;
	table->key[slot] = key;
	if (++table->count == table->slots)
		abort();
	return true;
}

/*
 * Two bits a unit of the window, then the held hole and the frontier as seen from
 * it. Where an empty held hole lies is part of the state: it must not matter.
 */
static uint64_t state_key(const struct pair *pair, const struct window *window)
{
	uint64_t key = 1;
	uint32_t places[] = {pair->map.held.start, pair->map.held.end, pair->map.frontier};

	for (uint32_t unit = window->start; unit < window->end; unit++) {
		uint32_t n;
		enum map_verdict verdict = twin_look(&pair->twin, unit, &n);

		key = key * 4 + (verdict == MAP_OBJECT ? 1 : verdict == MAP_INTERIOR ? 2 : 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		if (places[i] < window->start)
			places[i] = window->start;
		key = key * 16 + (places[i] < window->end ? places[i] - window->start : 15);
	}
	return key;
}

/* One call has been made: right? And is the state a new one? */
static bool arrive(struct search *search, const struct pair *pair)
{
	struct pair *state;

	search->calls++;
	if (search->check_all && !pair_check((struct pair *)pair))
		return false;
	if (!table_add(&search->seen, state_key(pair, search->window)))
		return true;
	if (!pair_check((struct pair *)pair) || !pair_counts((struct pair *)pair))
		return false;
	if (search->queued == search->capacity) {
		search->capacity = search->capacity * 2 + 64;
		search->queue = realloc(search->queue, search->capacity * sizeof(*search->queue));
		if (!search->queue)
			abort();
	}
	state = &search->queue[search->queued++];
	pair_init(state, search->window->units);
	pair_copy(state, pair);
	return true;
}

static bool try_alloc(struct search *search, const struct pair *from, struct pair *pair, uint32_t n)
{
	for (uint32_t order = 0; order < ORDERS; order++) {
		pair_copy(pair, from);
		if (!pair_alloc(pair, n, order) || !arrive(search, pair))
			return false;
	}
	return true;
}

static uint32_t units_above(const struct window *window)
{
	return window->units - window->end;
}

/* What fits into the window, what just does not, and the object above it. */
static bool try_allocs(struct search *search, const struct pair *from, struct pair *pair)
{
	uint32_t size = search->window->end - search->window->start;

	for (uint32_t n = 1; n <= size + 1; n++)
		if (!try_alloc(search, from, pair, n))
			return false;
	return !units_above(search->window) ||
	       try_alloc(search, from, pair, units_above(search->window));
}

/* Every unit of the window, and the next: with a wrong size, and with the right one if any. */
static bool try_frees(struct search *search, const struct pair *from, struct pair *pair)
{
	for (uint32_t unit = search->window->start; unit <= search->window->end; unit++) {
		uint32_t n = 1;

		pair_copy(pair, from);
		twin_look(&pair->twin, unit, &n);
		if (!pair_free(pair, unit, n + 1) || !pair_free(pair, unit, n) ||
		    !arrive(search, pair))
			return false;
	}
	return true;
}

/* The window's units are one object, the rest of the map is two others; free the first. */
static bool open_window(struct pair *pair, const struct window *window)
{
	uint32_t size = window->end - window->start;
	uint32_t below = window->start, above = units_above(window);

	return pair_grow(pair, window->units) && (!below || pair_alloc(pair, below, 0)) &&
	       pair_alloc(pair, size, 0) && (!above || pair_alloc(pair, above, 0)) &&
	       pair_free(pair, window->start, size);
}

static void test_window(const struct window *window)
{
	struct search search = {.window = window, .check_all = window->units < 32};
	struct pair pair;
	uint32_t next = 0;
	bool right;

	search.seen.slots = 1 << 20;
	search.seen.key = calloc(search.seen.slots, sizeof(uint64_t));
	pair_init(&pair, window->units);
	right = open_window(&pair, window) && arrive(&search, &pair);
	while (right && next < search.queued) {
		struct pair from = search.queue[next++];

		right = try_allocs(&search, &from, &pair) && try_frees(&search, &from, &pair);
		pair_fini(&from);
	}
	ok(right, "%s: %u states, %llu calls", window->name, search.seen.count,
	   (unsigned long long)search.calls);
	if (!right)
		diag("%s", pair.wrong);
	while (next < search.queued)
		pair_fini(&search.queue[next++]);
	pair_fini(&pair);
	free(search.queue);
	free(search.seen.key);
}

int main(int argc, char **argv)
{
	const bool brief = test_effort() < 100;
	const uint32_t units = argc > 1 ? (uint32_t)atoi(argv[1]) : brief ? 6 : 10;
	const struct window windows[] = {
		{"a whole map", units, 0, units},
		{"two leaves, no tree", 1000, 508, 516},
		{"the frontier at two leaves, no tree", 516, 508, 516},
		{"two leaves of a tree", TREE_FROM + 40, 508, 515},
		{"two nodes of a tree", 2 * TREE_FROM, TREE_FROM - 3, TREE_FROM + 3},
		{"the frontier where a tree begins", TREE_FROM + 3, TREE_FROM - 3, TREE_FROM + 3},
		{"the frontier where a tree ends", TREE_FROM + 40, TREE_FROM / 2 - 3,
		 TREE_FROM / 2 + 3},
	};

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		if (!brief || windows[i].units <= 1000)
			test_window(&windows[i]);
	return tap_done();
}
