/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * That the library of the map-kernel-* tests is what it says: the core behind
 * kernel/deps.h, and its structures those that the tests know.
 */
#include "core/map.h"
#include "layout.h"
#include "tap.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define UNITS 100U

__attribute__((noreturn)) void kernel_bug(const char *condition);

static jmp_buf caught;
static const char *bug; /* the condition that held */

void kernel_bug(const char *condition)
{
	bug = condition;
	longjmp(caught, 1);
}

/* The condition for which @call ends in BUG_ON(), NULL if it does not. */
static const char *bug_of(void (*call)(struct map *map), struct map *map)
{
	if (setjmp(caught) != 0)
		return bug;
	call(map);
	return NULL;
}

static void take_one(struct map *map)
{
	map_alloc(map, 1, 0);
}

static void take_none(struct map *map)
{
	map_alloc(map, 0, 0);
}

static void grow_too_far(struct map *map)
{
	map_grow(map, UNITS + 1);
}

static void assertions(void)
{
	void *memory = calloc(1, map_memory_bytes(UNITS));
	struct map map;
	const char *condition;

	map_init(&map, memory, UNITS);
	map_grow(&map, UNITS);
	ok(!bug_of(take_one, &map), "a right call goes through");
	condition = bug_of(take_none, &map);
	ok(condition, "no units: BUG_ON(%s)", condition ? condition : "nothing");
	condition = bug_of(grow_too_far, &map);
	ok(condition, "more than there is memory for: BUG_ON(%s)",
	   condition ? condition : "nothing");
	free(memory);
}

static bool same(const struct layout *a, const struct layout *b)
{
	return !strcmp(a->structure, b->structure) && !strcmp(a->member, b->member) &&
	       a->offset == b->offset && a->size == b->size && a->whole == b->whole;
}

static void layouts(void)
{
	const struct layout *kernel = layout_of_kernel, *tests = layout_of_tests;

	for (; kernel->member && tests->member; kernel++, tests++)
		if (!same(kernel, tests))
			break;
	if (!ok(!kernel->member && !tests->member, "all members lie where the tests see them"))
		diag("struct %s: not %s", kernel->member ? kernel->structure : "map",
		     kernel->member ? kernel->member : tests->member);
}

int main(void)
{
	assertions();
	layouts();
	return tap_done();
}
