/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every operation, disturbed at every instruction of every critical section in this
 * program: by an abort, by a signal whose handler does the same operation, by a
 * move to another CPU. Whatever comes, the operation is done exactly once. No list
 * of sections is kept by hand: they are found by their symbols, and one that no
 * operation leads to is a failure.
 *
 * usage: inject [PATH]		skipped unless cpu_alloc_path() begins with PATH
 *
 * A fence is not injected: it is felt only by what runs, and a traced thread that
 * stands still will be aborted anyway.
 */
#include "tap.h"
#include "trial.h"

#include <errno.h>
#include <string.h>

#define MAX_PLACES 64 /* instructions of a section */
#define WAY_PLACES 16 /* instructions before it: of a symbol, all of them */

#ifdef __OPTIMIZE__
#define INLINED true
#else
#define INLINED false
#endif

static struct path paths[128]; /* of each operation */
static size_t trial_count;

static void fail_places(const struct trial *trial, const char *wrong)
{
	const struct section *section = trial->path->attempts[trial->attempt].section;

	diag("%s at %s%+td%s: %s", trial->operation->name, section->name,
	     (ptrdiff_t)(trial->place - section->start), trial->meets ? ", compared" : "", wrong);
}

/* At one place. A comparison is tried with both outcomes. */
static bool try_place(struct trial *trial, uintptr_t place)
{
	const bool compares = operation_compares(trial->operation) && trial->disturbance != MOVE;
	bool good = true;

	trial->place = place;
	for (int meets = 0; meets <= compares; meets++) {
		const char *wrong;

		trial->meets = meets;
		wrong = trial_run(trial);
		trial_count++;
		if (wrong)
			fail_places(trial, wrong);
		good = good && !wrong;
	}
	return good;
}

/* At every instruction of the section of one attempt, and behind it. */
static bool try_section(struct trial *trial)
{
	const struct attempt *attempt = &trial->path->attempts[trial->attempt];
	uintptr_t places[MAX_PLACES];
	const size_t n = trial_instructions(trial->operation, trial->path, trial->attempt, places,
					    MAX_PLACES);
	bool good = n > 0;

	if (n == 0)
		diag("%s: its instructions cannot be listed", attempt->section->name);
	for (size_t k = 0; k < n; k++)
		good = try_place(trial, places[k]) && good;
	if (n > 0)
		good = try_place(trial, attempt->section->end) && good;
	if (trial->disturbance == ABORT && n > 0)
		attempt->section->visited = true;
	return good;
}

/*
 * A thread may also be moved on its way to the section: what it knew of its CPU is
 * stale then. Of long ways the last instructions are tried.
 */
static bool try_way(struct trial *trial)
{
	const struct attempt *attempt = &trial->path->attempts[trial->attempt];
	const size_t n = attempt->way_length;
	bool good = true;

	for (size_t k = n > WAY_PLACES ? n - WAY_PLACES : 0; k < n; k++)
		good = try_place(trial, attempt->way[k]) && good;
	return good;
}

/* Was the section of this attempt entered by an earlier one? */
static bool again(const struct path *path, size_t attempt)
{
	for (size_t k = 0; k < attempt; k++)
		if (path->attempts[k].section == path->attempts[attempt].section)
			return true;
	return false;
}

/*
 * The last attempt that there is would end on the area for strays, and its handler's
 * operation elsewhere: that is not tried with signals.
 */
static bool try_operation(const struct operation *operation, const struct operation *in_handler,
			  enum disturbance disturbance)
{
	struct trial trial = {
		.operation = operation,
		.in_handler = in_handler,
		.disturbance = disturbance,
		.path = &paths[operation - operations],
	};
	bool good = trial.path->attempt_count > 0;

	if (!good)
		diag("%s enters no section", operation->name);
	for (; trial.attempt < trial.path->attempt_count; trial.attempt++) {
		if (again(trial.path, trial.attempt) ||
		    (disturbance == SIGNAL && trial_is_last(&trial)))
			continue;
		good = try_section(&trial) && good;
		if (disturbance == MOVE)
			good = try_way(&trial) && good;
	}
	return good;
}

static void sound_sections(void)
{
	bool sound = true;

	for (size_t n = 0; n < section_count; n++)
		if (!sections[n].sound) {
			diag("%s", sections[n].name);
			sound = false;
		}
	ok(sound, "each descriptor is as the kernel wants it");
	ok(orphan_signatures == 0, "each abort signature belongs to a descriptor with a symbol");
}

/* Terminates, though every attempt is aborted: by the debugger itself. */
static void stepped_through(void)
{
	for (size_t n = 0; n < operation_count; n++) {
		const char *wrong = trial_step_through(&operations[n], &paths[n]);

		ok(!wrong, "%s, stepped through: once, on the area for strays", operations[n].name);
		if (wrong)
			diag("%s", wrong);
	}
}

/* Its first attempt is in the symbol itself, not in a function that is called. */
static void sections_in_symbols(void)
{
	bool all = true;

	for (size_t n = 0; n < operation_count; n++) {
		const struct section *first = paths[n].attempts[0].section;

		if (!first || function_at(first->start) != (uintptr_t)operations[n].symbol) {
			diag("%s", operations[n].name);
			all = false;
		}
	}
	ok(all, "each operation's symbol contains a section");
}

static void disturbed(enum disturbance disturbance, const char *how)
{
	for (size_t n = 0; n < operation_count; n++)
		ok(try_operation(&operations[n], &operations[n], disturbance), "%s, %s",
		   operations[n].name, how);
}

static void moved(void)
{
	if (trial_can_move())
		disturbed(MOVE, "moved to another CPU at each instruction");
	else
		skip("moved to another CPU at each instruction",
		     "one CPU, or no areas by CPU number");
}

/* The two halves of a pair are never seen apart. */
static void pairs(void)
{
	const struct operation *add2 = operation_named("this_cpu_add2_64");
	const struct operation *read2 = operation_named("this_cpu_read2_64");

	ok(try_operation(add2, read2, SIGNAL), "add2, read2 in a handler at each instruction");
	ok(try_operation(read2, add2, SIGNAL), "read2, add2 in a handler at each instruction");
}

/* Those of the allocator have tests of their own. */
static void all_visited(void)
{
	bool visited = true;

	for (size_t n = 0; n < section_count; n++)
		if (!section_is_of_magazines(&sections[n]) && !section_is_visited(&sections[n])) {
			diag("%s", sections[n].name);
			visited = false;
		}
	ok(visited, "no section that no operation leads to");
}

static void inject(void)
{
	sound_sections();
	stepped_through();
	if (INLINED)
		sections_in_symbols();
	else
		skip("each operation's symbol contains a section", "built without optimisation");
	disturbed(ABORT, "aborted at each instruction: once, and done once");
	disturbed(SIGNAL, "the same in a signal handler at each instruction: both done");
	pairs();
	moved();
	all_visited();
	diag("%zu sections, %zu disturbances", section_count, trial_count);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "rseq";

	if (strncmp(cpu_alloc_path(), path, strlen(path)) != 0) {
		skip("disturbed at each instruction", cpu_alloc_path());
		return tap_done();
	}
	if (!ok(sections_find(), "critical sections are found by their symbols"))
		return tap_done();
	if (!trial_set_up()) {
		skip("disturbed at each instruction", strerror(errno));
		return tap_done();
	}
	inject();
	trial_tear_down();
	return tap_done();
}
