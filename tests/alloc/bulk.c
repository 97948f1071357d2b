/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc_bulk() and cpu_free_bulk(): all or nothing, whether it is room that is
 * missing or a pointer that is wrong; and among others who allocate one by one.
 */
#include "crowd.h"

#define MOST 4096

static void *ptrs[MOST];

/* Taken one by one, each is found to be an object of its own. */
static void take_all(struct owned *owned, struct books *books, size_t n, struct request request)
{
	for (size_t k = 0; k < n; k++)
		owned_take(&owned[k], books, request, ptrs[k]);
}

/* Each of @n objects as it should be, freed one by one, or all at once. */
static void use_bulk(struct books *books, size_t n, struct request request, bool free_bulk)
{
	static struct owned owned[MOST];

	must(cpu_alloc_bulk(request.size, request.flags, request.align, n, ptrs) == 0);
	take_all(owned, books, n, request);
	must_be_well();
	for (size_t k = 0; k < n; k++)
		if (free_bulk)
			owned_leave(&owned[k], books);
		else
			owned_drop(&owned[k], books);
	if (free_bulk)
		must(cpu_free_bulk(request.size, n, ptrs) == 0);
	must_be_well();
}

static int all_kinds(const void *unused)
{
	static const struct request requests[] = {
		{1, 1, GFP_KERNEL},
		{24, 8, GFP_KERNEL},
		{24, 8, GFP_KERNEL | __GFP_ZERO},
		{256, 4, GFP_KERNEL | __GFP_ZERO},
		{256, 64, GFP_KERNEL},
		{260, 4, GFP_KERNEL | __GFP_ZERO},
		{1000, 4096, GFP_KERNEL},
		{5000, 4, GFP_KERNEL},
	};
	struct books books = {0};

	(void)unused;
	owned_set_up(NULL);
	for (size_t k = 0; k < sizeof(requests) / sizeof(*requests); k++)
		for (size_t n = 0; n < 300; n += 1 + n / 3) {
			use_bulk(&books, n, requests[k], n % 2);
			must_balance(&books);
		}
	must_be_empty(&books);
	return 0;
}

static int nothing(const void *unused)
{
	struct cpu_alloc_stats before;
	void *some[] = {NULL, ZERO_SIZE_PTR, NULL, NULL};

	(void)unused;
	must(cpu_alloc(4, GFP_KERNEL, 4));
	before = stats_now();
	must(cpu_free_bulk(24, 3, some) == 0 && cpu_free_bulk(24, 0, NULL) == 0);
	must(cpu_alloc_bulk(24, GFP_KERNEL, 8, 0, NULL) == 0);
	must(cpu_alloc_bulk(0, GFP_KERNEL, 8, 2, some) == 0);
	must(some[0] == ZERO_SIZE_PTR && some[1] == ZERO_SIZE_PTR);
	must_change(&before, "");
	must(cpu_alloc_bulk(24, GFP_KERNEL, 3, 2, some) == -1 && errno == EINVAL);
	must_change(&before, "failed_einval");
	some[0] = some[3] = NULL;
	must((some[2] = cpu_alloc(24, GFP_KERNEL, 8)) && cpu_free_bulk(24, 4, some) == 0);
	must(stats_now().objects == before.objects && stats_now().misuses == 0);
	return 0;
}

/* As many as there are in the area, though other CPUs' magazines had some; not one more. */
static int no_room(const void *unused)
{
	const struct request request = {24, 4, GFP_KERNEL};
	const size_t all = (64 << 10) / 24;
	struct books books = {0};

	(void)unused;
	owned_set_up("percpu=64K");
	for (int cpu = 0; allowed_cpu(cpu) >= 0; cpu++) {
		must(pin(0, allowed_cpu(cpu)));
		for (size_t n = 0; n < 100; n++)
			must((ptrs[n] = cpu_alloc(8 + n % 2 * 16, GFP_KERNEL, 4)));
		for (size_t n = 0; n < 100; n++)
			cpu_free(ptrs[n], 8 + n % 2 * 16);
		books.allocs += 100;
		books.frees += 100;
	}
	for (int n = 0; n < 3; n++) {
		must(cpu_alloc_bulk(24, GFP_KERNEL, 4, all + 1, ptrs) == -1 && errno == ENOMEM);
		books.enomem++;
		must_balance(&books);
		use_bulk(&books, all, request, n % 2);
	}
	must(cpu_alloc_bulk(24, GFP_KERNEL, 4, (size_t)1 << 40, ptrs) == -1 && errno == ENOMEM);
	books.enomem++;
	must_be_empty(&books);
	return 0;
}

/* What is not committed GFP_ATOMIC does not get. */
static int not_now(const void *unused)
{
	struct cpu_alloc_stats before;

	(void)unused;
	must(cpu_alloc(4, GFP_KERNEL, 4));
	before = stats_now();
	must(cpu_alloc_bulk(1024, GFP_ATOMIC, 4, MOST, ptrs) == -1 && errno == EAGAIN);
	must(stats_now().objects == 1 && stats_now().cpu_bytes == 4);
	must(stats_now().allocs == before.allocs && stats_now().failed_eagain == 1);
	must(cpu_alloc_bulk(24, GFP_ATOMIC, 4, 8, ptrs) == 0 && stats_now().objects == 9);
	must(cpu_free_bulk(24, 8, ptrs) == 0 && stats_now().objects == 1);
	return 0;
}

#define OBJECTS 20

/* The @n-th pointer of the array is that to object @of + @offset, all others are right. */
static const struct misuse {
	const char *name;
	size_t size; /* of all of them */
	size_t n;
	int of;
	ptrdiff_t offset;
	const char *reason;
} misuses[] = {
	{"freed before, the first", 24, 0, OBJECTS, 0, "double free"},
	{"freed before", 24, 7, OBJECTS, 0, "double free"},
	{"freed before, the last", 24, OBJECTS - 1, OBJECTS, 0, "double free"},
	{"twice in the array", 24, 7, 6, 0, "double free"},
	{"twice in the array, far apart", 24, OBJECTS - 1, 0, 0, "double free"},
	{"a large one twice in the array", 400, 7, 6, 0, "double free"},
	{"interior pointer", 24, 7, 7, 4, "interior pointer"},
	{"interior pointer, large", 400, 7, 7, 8, "interior pointer"},
	{"of another size", 24, 7, OBJECTS + 1, 0, "wrong size: the object's bytes are 28"},
	{"of another size, large", 400, 7, OBJECTS + 1, 0, "wrong size: the object's bytes are 28"},
	{"misaligned pointer", 24, 7, 7, 1, "misaligned pointer"},
	{"an instance", 24, 7, 7, 2 * (ptrdiff_t)CPU_ALLOC_STRIDE,
	 "pointer to the instance of CPU 0"},
	{"foreign", 24, 7, 7, 64 << 20, "not a CPU pointer"},
};

/* Some from magazines, others by a bulk call; behind them one freed, and one of 28 bytes. */
static void make_objects(char **object, size_t size)
{
	must(cpu_alloc_bulk(size, GFP_KERNEL, 8, OBJECTS / 2, (void **)object) == 0);
	for (int n = OBJECTS / 2; n <= OBJECTS; n++)
		must((object[n] = cpu_alloc(size, GFP_KERNEL, 8)));
	must((object[OBJECTS + 1] = cpu_alloc(28, GFP_KERNEL, 4)));
	for (int n = 0; n < OBJECTS + 2; n++)
		fill_instances(object[n], n, n == OBJECTS + 1 ? 28 : size);
	cpu_free(object[OBJECTS], size);
}

static int misuse(const void *argument)
{
	const struct misuse *misuse = argument;
	char *object[OBJECTS + 2];
	struct cpu_alloc_stats before;

	make_objects(object, misuse->size);
	memcpy(ptrs, object, sizeof(object));
	ptrs[misuse->n] = object[misuse->of] + misuse->offset;
	before = stats_now();
	printf("cpu_alloc: cpu_free_bulk(%p, %zu): %s\n", ptrs[misuse->n], misuse->size,
	       misuse->reason);
	fflush(stdout);
	must(cpu_free_bulk(misuse->size, OBJECTS, ptrs) == -1 && errno == EINVAL);
	must_change(&before, "misuses");
	must(stats_now().misuses == 1);
	for (int n = 0; n < OBJECTS; n++)
		must(instances_hold(object[n], n, misuse->size));
	must(instances_hold(object[OBJECTS + 1], OBJECTS + 1, 28));
	cpu_free(object[0], misuse->size);
	must(cpu_free_bulk(misuse->size, OBJECTS - 1, (void **)object + 1) == 0);
	cpu_free(object[OBJECTS + 1], 28);
	cpu_alloc_trim();
	must(stats_now().objects == 0 && stats_now().misuses == 1 && stats_now().cached_bytes == 0);
	return 0;
}

static void try_misuses(void)
{
	for (size_t n = 0; n < sizeof(misuses) / sizeof(*misuses); n++) {
		const struct outcome o = run_child(misuse, &misuses[n]);

		if (!ok(exited(&o, 0) && strcmp(o.out, o.err) == 0, "misuse: %s", misuses[n].name))
			diag_outcome(&o);
	}
}

#define HELD 8 /* objects of one size, of each side */

static void free_some(struct owned **slot, struct books *books, size_t size, bool bulk)
{
	void *at[HELD];

	for (int n = 0; n < HELD; n++) {
		at[n] = slot[n]->ptr;
		if (bulk && at[n])
			owned_leave(slot[n], books);
		else
			owned_drop(slot[n], books);
	}
	if (bulk && cpu_free_bulk(size, HELD, at) != 0)
		owned_note("refused", at[0], size);
}

static void allocate_some(struct owned **slot, struct books *books, struct request request,
			  bool bulk)
{
	void *at[HELD];

	if (!bulk) {
		for (int n = 0; n < HELD; n++)
			owned_make(slot[n], books, request);
	} else if (cpu_alloc_bulk(request.size, request.flags, request.align, HELD, at) == 0) {
		for (int n = 0; n < HELD; n++)
			owned_take(slot[n], books, request, at[n]);
	} else if (errno == EAGAIN && request.flags & GFP_ATOMIC) {
		books->eagain++;
	} else {
		owned_note("refused", NULL, request.size);
	}
}

/* Some side by side, now in bulk, now one by one. */
static void step(struct side *side)
{
	const uint64_t random = next_random(&side->random);
	struct owned **slot = &side->slot[random % 8 * HELD];
	const struct request request = {4 + random % 8 * 36, 4,
					side->handler ? GFP_ATOMIC : GFP_KERNEL};
	const bool bulk = random >> 8 & 1;

	for (int n = 0; n < HELD; n++)
		if (slot[n]->ptr) {
			free_some(slot, &side->books, request.size, bulk);
			return;
		}
	allocate_some(slot, &side->books, request, bulk);
}

static int amid(const void *unused)
{
	struct books books;

	(void)unused;
	owned_set_up(NULL);
	crowd_run(&(struct crowd){.step = step, .quiet_points = 4, .ms = rounds(500)});
	books = crowd_books();
	must_be_empty(&books);
	return 0;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	ok_child("objects of all kinds, in bulk and one by one", all_kinds, NULL);
	ok_child("no objects, no pointers, no bytes", nothing, NULL);
	ok_child("all or nothing: no room", no_room, NULL);
	ok_child("all or nothing: not now", not_now, NULL);
	try_misuses();
	crowd_child("in bulk and one by one, from everywhere", amid, NULL);
	return tap_done();
}
