/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A small area, exhausted by many threads and their handlers: ENOMEM is true, and
 * everything is usable afterwards.
 *
 *	truth	Who gets ENOMEM has all stand still. What is asked for then until
 *		there is no more is not to be had after a trim either; the map has no
 *		such hole; and once an object that is large enough is freed, it is.
 *	quota	What all may hold together fits, so that there is never ENOMEM,
 *		though hardly anything is free, and that in the wrong magazines.
 */
#include "crowd.h"

#define AREA "percpu=64K"
#define AREA_BYTES ((uint64_t)64 << 10)
#define MOST_TAKEN 20000

static struct request refused; /* the last for which there was no room */
static int refusals;

static gfp_t mode_of_side(const struct side *side, uint64_t random)
{
	return (side->handler ? GFP_ATOMIC : GFP_KERNEL) | (random & 1 ? __GFP_ZERO : 0);
}

/* More is allocated than freed. */
static void fill_up(struct side *side)
{
	const uint64_t random = next_random(&side->random), before = side->books.enomem;
	struct owned *owned = side->slot[random % CROWD_SLOTS];
	struct request request = {.align = 4, .flags = mode_of_side(side, random >> 8)};

	if (owned->ptr) {
		if ((random >> 9) % 8 == 0)
			owned_drop(owned, &side->books);
		return;
	}
	request.size = random >> 12 & 1 ? 4 + 4 * ((random >> 16) % 64) : 1 + (random >> 16) % 800;
	if (owned_make(owned, &side->books, request) || side->books.enomem == before)
		return;
	__atomic_store(&refused.size, &request.size, __ATOMIC_RELAXED);
	crowd_want_quiet();
}

/* One that somebody has, of @size bytes at the least. */
static struct owned *find_large(size_t size)
{
	struct owned *owned;

	for (size_t n = 0; (owned = crowd_slot(n)); n++)
		if (owned->ptr && owned->size >= size)
			return owned;
	return NULL;
}

/* Take all that there is. Returns how many objects there were. */
static int take_all(struct owned *taken, struct books *books, struct request request)
{
	int n = 0;

	for (; owned_make(&taken[n], books, request); n++)
		must(n < MOST_TAKEN - 1);
	return n;
}

static struct books quiet_books; /* of what is done at quiet points */

/* Or one refusal would follow the other. */
static void make_room(void)
{
	static uint64_t random = 88172645463325252;
	struct owned *owned;

	for (size_t n = 0; (owned = crowd_slot(n)); n++)
		if (next_random(&random) & 1)
			owned_drop(owned, &quiet_books);
}

/* Is there a hole for it? Small ones of an even number of units get even ones. */
static bool has_hole(size_t size)
{
	return stats_now().largest_free_bytes >= size + CPU_ALLOC_UNIT;
}

/* Nobody else is there. */
static void check_refusal(void)
{
	static struct owned taken[MOST_TAKEN];
	const struct request request = {.size = refused.size, .align = 4, .flags = GFP_KERNEL};
	struct owned *large = find_large(request.size);
	struct books *books = &quiet_books;
	int n;

	if (!request.size || !large)
		return;
	refused.size = 0;
	n = take_all(taken, books, request);
	must(!has_hole(request.size));
	cpu_alloc_trim();
	must(stats_now().cached_bytes == 0 && !has_hole(request.size));
	must(!owned_make(&taken[n], books, request));
	owned_drop(large, books);
	must(owned_make(large, books, request));
	while (n > 0)
		owned_drop(&taken[--n], books);
	make_room();
	must_be_well();
	refusals++;
}

static int truth(const void *unused)
{
	const struct crowd crowd = {
		.step = fill_up,
		.quiet = check_refusal,
		.books = &quiet_books,
		.quiet_points = 2,
		.ms = rounds(500),
	};
	struct books books;

	(void)unused;
	owned_set_up(AREA);
	crowd_run(&crowd);
	books = crowd_books();
	must_be_empty(&books);
	printf("%d refusals were true\n", refusals);
	must(refusals > 0);
	return 0;
}

/* What a side may have, in bytes. */
static size_t (*quota_of)(const struct side *side);
static size_t (*quota_size)(uint64_t random);

static size_t whole_units(size_t size)
{
	return (size + CPU_ALLOC_UNIT - 1) & ~(CPU_ALLOC_UNIT - 1);
}

/* Of each side: its first slots are in use. */
struct hoard {
	size_t n, bytes;
	size_t least; /* how far it falls */
	bool falling;
};

static void drop_any(struct side *side, struct hoard *hoard, uint64_t random)
{
	struct owned **last = &side->slot[--hoard->n], **any = &side->slot[random % (hoard->n + 1)];
	struct owned *owned = *any;

	*any = *last;
	*last = owned;
	hoard->bytes -= whole_units(owned->size);
	owned_drop(owned, &side->books);
}

/* Up to the quota, and down again: mostly a little, so that there is hardly room. */
static void hoard_step(struct side *side)
{
	static struct hoard hoards[CROWD_MOST][2];
	struct hoard *hoard = &hoards[side->number][side->handler];
	const uint64_t random = next_random(&side->random), before = side->books.enomem;
	const struct request request = {quota_size(random >> 16), 4, mode_of_side(side, random)};
	const bool full = hoard->bytes + whole_units(request.size) > quota_of(side);

	hoard->falling = hoard->n > 0 && (full || (hoard->falling && hoard->n > hoard->least));
	if (full)
		hoard->least = random >> 40 & 255 ? hoard->n - 1 - (random >> 48 & 3) : 0;
	if (hoard->falling) {
		drop_any(side, hoard, random >> 32);
	} else if (owned_make(side->slot[hoard->n], &side->books, request)) {
		hoard->n++;
		hoard->bytes += whole_units(request.size);
	} else if (side->books.enomem != before) {
		owned_note("no room, though there is", NULL, request.size);
	}
}

static int keep_to_quota(void)
{
	const struct crowd crowd = {.step = hoard_step, .quiet_points = 2, .ms = rounds(400)};
	struct books books;

	crowd_run(&crowd);
	books = crowd_books();
	must_be_empty(&books);
	must(books.enomem == 0);
	return 0;
}

#define IN_HANDLER 8 /* objects of a handler's quota: it does not come often */

/* All together they may have all that there is. Objects of one size leave no gaps. */
static size_t all_there_is(const struct side *side)
{
	const size_t members = (size_t)crowd_members(), all = AREA_BYTES / 24;
	const size_t left = all - IN_HANDLER * members;

	if (side->handler)
		return (size_t)IN_HANDLER * 24;
	return (left / members + ((size_t)side->number < left % members)) * 24;
}

static size_t always_24(uint64_t random)
{
	(void)random;
	return 24;
}

static int one_size(const void *unused)
{
	(void)unused;
	owned_set_up(AREA);
	quota_of = all_there_is;
	quota_size = always_24;
	return keep_to_quota();
}

/* An eighth of it: more than that is never lost in gaps between them. */
static size_t an_eighth(const struct side *side)
{
	const size_t all = AREA_BYTES / 8 / (size_t)crowd_members();

	return side->handler ? all / 4 : all / 4 * 3;
}

static size_t any_small(uint64_t random)
{
	return 1 + random % 256;
}

static int many_sizes(const void *unused)
{
	(void)unused;
	owned_set_up(AREA);
	quota_of = an_eighth;
	quota_size = any_small;
	return keep_to_quota();
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	crowd_child("ENOMEM is true", truth, NULL);
	crowd_child("objects of one size: no ENOMEM while all of them fit", one_size, NULL);
	crowd_child("objects of all sizes: no ENOMEM while most of the area is free", many_sizes,
		    NULL);
	return tap_done();
}
