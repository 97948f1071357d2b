/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every misuse of cpu_free() and cpu_alloc(), each in a process of its own: the
 * exact message, the exit status, and that nothing has changed.
 *
 * The child prints the message that it expects; its standard error is compared
 * with that. The objects that it plays with:
 *
 *	offset	0	24	48	72	96		...	8192
 *		live	next	freed	last	just freed		nothing was here yet
 *
 * "Just freed" means that a magazine has it, where there are magazines, while all
 * others come from the map and went back to it.
 */
#include <sched.h>

#include "helpers.h"

#define REPORT_MAX 16 /* messages of a kind, as documented at on_error= */

enum place {
	LIVE,
	NEXT,
	FREED,
	JUST_FREED,
	FRESH,
	LAST_UNIT,
	BEHIND,
	BEFORE,
	STACK,
	HEAP,
	CODE,
	NUMBER
};

#define HANDLE INT32_MIN /* not an instance */
#define LAST INT32_MAX	 /* the instance of the last index */

/* cpu_free(@place + @offset, @size), or its instance @index. */
static const struct misuse {
	const char *name;
	enum place place;
	int index;
	ptrdiff_t offset;
	size_t size;
	const char *reason; /* behind it comes the CPU's number, if there is one */
} misuses[] = {
	{"freed twice", FREED, HANDLE, 0, 24, "double free"},
	{"freed twice, other size", FREED, HANDLE, 0, 8, "double free"},
	{"interior pointer, 4 bytes in", LIVE, HANDLE, 4, 24, "interior pointer"},
	{"interior pointer, the last unit", NEXT, HANDLE, 20, 4, "interior pointer"},
	{"inside what was freed", FREED, HANDLE, 4, 24, "not an object"},
	{"freed twice on end", JUST_FREED, HANDLE, 0, 24, "double free"},
	{"freed twice on end, other size", JUST_FREED, HANDLE, 0, 8, "double free"},
	{"inside what was just freed", JUST_FREED, HANDLE, 4, 24, "not an object"},
	{"one byte off", LIVE, HANDLE, 1, 24, "misaligned pointer"},
	{"two bytes off", LIVE, HANDLE, 2, 24, "misaligned pointer"},
	{"three bytes off", LIVE, HANDLE, 3, 20, "misaligned pointer"},
	{"a unit too short", LIVE, HANDLE, 0, 20, "wrong size: the object's bytes are 24"},
	{"far too short", LIVE, HANDLE, 0, 1, "wrong size: the object's bytes are 24"},
	{"size 0", LIVE, HANDLE, 0, 0, "wrong size: the object's bytes are 24"},
	{"a byte too long", LIVE, HANDLE, 0, 25, "wrong size: the object's bytes are 24"},
	{"over the neighbour", LIVE, HANDLE, 0, 48, "wrong size: the object's bytes are 24"},
	{"size 2^64 - 1", LIVE, HANDLE, 0, SIZE_MAX, "wrong size: the object's bytes are 24"},
	{"size 2^64 - 3", LIVE, HANDLE, 0, SIZE_MAX - 2, "wrong size: the object's bytes are 24"},
	{"size + 2^32", LIVE, HANDLE, 0, (size_t)24 + (1UL << 32),
	 "wrong size: the object's bytes are 24"},
	{"size + 2^34", LIVE, HANDLE, 0, (size_t)24 + (1UL << 34),
	 "wrong size: the object's bytes are 24"},
	{"never allocated", FRESH, HANDLE, 0, 24, "not an object"},
	{"the area's last unit", LAST_UNIT, HANDLE, 0, 4, "not an object"},
	{"over the area's end", LAST_UNIT, HANDLE, 0, 64, "not an object"},
	{"behind the area", BEHIND, HANDLE, 0, 24, "not a CPU pointer"},
	{"before the first handle", BEFORE, HANDLE, 0, 24, "not a CPU pointer"},
	{"instance of CPU ", LIVE, 0, 0, 24, "pointer to the instance of CPU "},
	{"instance of the last CPU", LIVE, LAST, 0, 24, "pointer to the instance of CPU "},
	{"instance for strays", LIVE, -1, 0, 24, "pointer to the instance for strays"},
	{"inside an instance", NEXT, 0, 5, 24, "pointer to the instance of CPU "},
	{"on the stack", STACK, HANDLE, 0, 24, "not a CPU pointer"},
	{"of malloc()", HEAP, HANDLE, 0, 24, "not a CPU pointer"},
	{"a function", CODE, HANDLE, 0, 24, "not a CPU pointer"},
	{"the number 1", NUMBER, HANDLE, 1, 24, "not a CPU pointer"},
	{"ZERO_SIZE_PTR + 1", NUMBER, HANDLE, 17, 0, "not a CPU pointer"},
	{"the last address", NUMBER, HANDLE, -1, 1, "not a CPU pointer"},
	{"the last address, huge", NUMBER, HANDLE, -1, SIZE_MAX, "not a CPU pointer"},
};

/* cpu_alloc() with what it does not take. */
static const struct refusal {
	size_t size;
	gfp_t flags;
	size_t align;
	const char *reason;
} refusals[] = {
	{24, GFP_KERNEL, 3, "alignment is not a power of two"},
	{24, GFP_KERNEL, 12, "alignment is not a power of two"},
	{24, GFP_KERNEL, SIZE_MAX, "alignment is not a power of two"},
	{24, GFP_KERNEL, (size_t)4 + (1UL << 32), "alignment is not a power of two"},
	{24, GFP_KERNEL, 8192, "alignment is above 4096"},
	{24, GFP_KERNEL, 1UL << 32, "alignment is above 4096"},
	{24, GFP_KERNEL, 1UL << 63, "alignment is above 4096"},
	{24, GFP_KERNEL | 0x10, 8, "unknown flag"},
	{24, GFP_KERNEL | 0x10000, 8, "unknown flag"},
	{24, 0x80000000, 8, "unknown flag"},
	{24, GFP_KERNEL | GFP_ATOMIC, 8, "GFP_KERNEL goes with no other mode"},
	{24, GFP_KERNEL | GFP_NOWAIT, 8, "GFP_KERNEL goes with no other mode"},
	{0, GFP_KERNEL, 3, "alignment is not a power of two"},
	{0, GFP_KERNEL | 0x10, 8, "unknown flag"},
};

struct attempt {
	const struct misuse *misuse;
	const struct refusal *refusal;
	const char *options;
};

struct objects {
	char *live, *next, *freed, *last;
};

static struct objects make_objects(const char *options)
{
	struct objects o;

	must(cpu_alloc_setup(options) == 0);
	o.live = first_fit(24, GFP_KERNEL, 8);
	o.next = first_fit(24, GFP_KERNEL, 8);
	o.freed = first_fit(24, GFP_KERNEL, 8);
	o.last = first_fit(24, GFP_KERNEL, 8);
	must(o.live && o.last == o.live + 72);
	fill_instances(o.live, 80, 96);
	cpu_free(o.freed, 24);
	settle();
	return o;
}

/* As good as new: the bytes are there, every object can be freed, holes be used. */
static void must_be_usable(const struct objects *o)
{
	struct cpu_alloc_stats before = stats_now();

	must(instances_hold(o->live, 80, 96));
	must(first_fit(24, GFP_KERNEL, 8) == o->freed);
	must(first_fit(24, GFP_KERNEL, 8) == o->last + 24);
	for (char *ptr = o->live; ptr <= o->last + 24; ptr += 24)
		cpu_free(ptr, 24);
	must(stats_now().objects == 0 && stats_now().cpu_bytes == 0);
	must(stats_now().misuses == before.misuses);
	must(first_fit(65536, GFP_KERNEL, 8) == o->live);
}

/* Behind `last`, while something fills the hole at `freed`. */
static char *free_one_more(const struct objects *o)
{
	char *filler = first_fit(24, GFP_KERNEL, 8), *ptr = first_fit(24, GFP_KERNEL, 8);

	must(filler == o->freed && ptr == o->last + 24);
	cpu_free(filler, 24);
	settle();
	cpu_free(ptr, 24);
	return ptr;
}

static char *volatile heap; /* or leak checkers complain */

static char *place_of(const struct misuse *misuse, const struct objects *o, void *here)
{
	switch (misuse->place) {
	case LIVE:
		return o->live;
	case NEXT:
		return o->next;
	case FREED:
		return o->freed;
	case JUST_FREED:
		return free_one_more(o);
	case FRESH:
		return o->live + 8192;
	case LAST_UNIT:
		return o->live + stats_now().area_bytes - 4;
	case BEHIND:
		return o->live + stats_now().area_bytes;
	case BEFORE:
		return o->live - 4;
	case STACK:
		return here;
	case HEAP:
		return heap = malloc(24);
	case CODE:
		return (char *)(uintptr_t)printf;
	case NUMBER:
		break;
	}
	return NULL;
}

/* What a magazine has is an object all the same, if nobody's. */
static const char *reason_of(const struct misuse *misuse)
{
	if (misuse->place == JUST_FREED && misuse->offset && magazines())
		return "interior pointer";
	return misuse->reason;
}

static int misuse_free(const void *argument)
{
	const struct attempt *attempt = argument;
	const struct misuse *misuse = attempt->misuse;
	struct objects o = make_objects(attempt->options);
	uintptr_t ptr = (uintptr_t)place_of(misuse, &o, &o) + (uintptr_t)misuse->offset;
	int index = misuse->index == LAST ? cpu_alloc_nr() - 1 : misuse->index;
	struct cpu_alloc_stats before = stats_now();

	if (index != HANDLE)
		ptr += (uintptr_t)(index + 2) * CPU_ALLOC_STRIDE;
	printf("cpu_alloc: cpu_free(0x%" PRIxPTR ", %zu): %s", ptr, misuse->size,
	       reason_of(misuse));
	printf(index >= 0 ? "%d\n" : "\n", index);
	fflush(stdout);
	errno = ENOTTY;
	cpu_free((void *)ptr, misuse->size);
	must(errno == ENOTTY);
	must_change(&before, "misuses");
	must(stats_now().misuses == 1);
	must_be_usable(&o);
	return 0;
}

static int misuse_alloc(const void *argument)
{
	const struct attempt *attempt = argument;
	const struct refusal *r = attempt->refusal;
	struct objects o = make_objects(attempt->options);
	struct cpu_alloc_stats before = stats_now();

	printf("cpu_alloc: cpu_alloc(%zu, 0x%x, %zu): %s\n", r->size, r->flags, r->align,
	       r->reason);
	fflush(stdout);
	errno = 0;
	must(!cpu_alloc(r->size, r->flags, r->align) && errno == EINVAL);
	must_change(&before, "failed_einval");
	must_be_usable(&o);
	return 0;
}

static void ok_said(const struct outcome *o, bool ended, const char *how, const char *name)
{
	if (!ok(ended && o->err[0] && strcmp(o->out, o->err) == 0, "%s: %s", how, name))
		diag_outcome(o);
}

static void try_both(int (*function)(const void *), struct attempt attempt, const char *name)
{
	struct outcome o;

	attempt.options = "on_error=warn";
	o = run_child(function, &attempt);
	ok_said(&o, exited(&o, 0), "warn", name);
	attempt.options = "on_error=abort";
	o = run_child(function, &attempt);
	ok_said(&o, killed(&o, SIGABRT), "abort", name);
}

static int misuse_often(const void *often)
{
	struct objects o = make_objects("on_error=warn");

	for (int n = 0; n < *(const int *)often; n++)
		cpu_free(o.freed, 24);
	must(stats_now().misuses == (uint64_t) * (const int *)often);
	must_be_usable(&o);
	return 0;
}

/* Each kind of report has its own limit; what is silent is counted. */
static void limited(void)
{
	const int often[] = {15, 16, 17, 1000};

	for (size_t n = 0; n < sizeof(often) / sizeof(*often); n++) {
		struct outcome o = run_child(misuse_often, &often[n]);
		unsigned int lines = often[n] < REPORT_MAX ? (unsigned int)often[n] : REPORT_MAX;

		if (!ok(exited(&o, 0) && line_count(o.err) == lines,
			"%d misuses: %u messages, all counted", often[n], lines))
			diag_outcome(&o);
	}
}

/* Nobody can be told: no harm, and it counts all the same. */
static int closed_standard_error(const void *unused)
{
	struct objects o = make_objects("");

	(void)unused;
	close(STDERR_FILENO);
	errno = ENOTTY;
	cpu_free(o.freed, 24);
	must(errno == ENOTTY && stats_now().misuses == 1);
	must_be_usable(&o);
	return 0;
}

int main(void)
{
	for (size_t n = 0; n < sizeof(misuses) / sizeof(*misuses); n++)
		try_both(misuse_free, (struct attempt){.misuse = &misuses[n]}, misuses[n].name);
	for (size_t n = 0; n < sizeof(refusals) / sizeof(*refusals); n++) {
		const struct refusal *r = &refusals[n];
		char name[96];

		snprintf(name, sizeof(name), "cpu_alloc(%zu, 0x%x, %zu)", r->size, r->flags,
			 r->align);
		try_both(misuse_alloc, (struct attempt){.refusal = r}, name);
	}
	limited();
	ok_child("standard error is closed", closed_standard_error, NULL);
	return tap_done();
}
