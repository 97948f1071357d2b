/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The way through a call, see walk.h. */
#include "walk.h"
#include "cpu_alloc.h"

/* The address of the word that tells the kernel of a section: the same in the child. */
static uintptr_t rseq_cs_address(void)
{
	return (uintptr_t)cpu_alloc_thread_pointer() + (uintptr_t)cpu_alloc_known_offset + 4;
}

void walk_note_section(const struct tracee *child, uintptr_t pc, struct walk_section *section)
{
	const uintptr_t nothing = 0;
	uintptr_t at;

	tracee_read(child, rseq_cs_address(), &at, sizeof(at));
	if (!at)
		return;
	tracee_read(child, at, section, sizeof(*section));
	if (walk_is_inside(section, pc))
		tracee_write(child, rseq_cs_address(), &nothing, sizeof(nothing));
}

bool walk_find(struct walk *walk, struct tracee *child, bool sections)
{
	const uintptr_t end = tracee_return_address(child);
	struct walk_section section = {0};
	uintptr_t pc = tracee_pc(child);

	for (walk->steps = 0; walk->steps < WALK_STEPS; walk->steps++) {
		walk->step[walk->steps] = (struct step){pc, walk_is_inside(&section, pc)};
		if (tracee_step(child) != EVENT_TRAP)
			return false;
		pc = tracee_pc(child);
		if (pc == end)
			return true;
		if (sections)
			walk_note_section(child, pc, &section);
	}
	return false;
}

static size_t times_before(const struct walk *walk, size_t step)
{
	size_t n = 0;

	for (size_t k = 0; k < step; k++)
		n += walk->step[k].pc == walk->step[step].pc;
	return n;
}

bool walk_is_first(const struct walk *walk, size_t step)
{
	for (size_t k = 0; k < step; k++)
		if (walk->step[k].pc == walk->step[step].pc)
			return false;
	return true;
}

/* The last place, not behind @step, that can be passed by one instruction without an abort. */
static size_t passable(const struct walk *walk, size_t step)
{
	while (step > 0 &&
	       (walk->step[step].inside || (step + 1 < walk->steps && walk->step[step + 1].inside)))
		step--;
	return step;
}

/*
 * Go on to @at, within the call, which ends at @end: what comes behind it passes by the
 * same places, when it frees for instance.
 */
static enum event go_on_to(struct tracee *child, uintptr_t at, uintptr_t end)
{
	enum event event;

	tracee_plant(child, end);
	event = tracee_run_to(child, at);
	if (event == EVENT_DEAD)
		return event;
	tracee_unplant(child, end);
	return event == EVENT_TRAP && tracee_pc(child) == end ? tracee_continue(child, 0) : event;
}

enum event walk_to(const struct walk *walk, struct tracee *child, size_t step)
{
	const uintptr_t end = tracee_return_address(child);
	const size_t before = walk_is_first(walk, step) ? 0 : passable(walk, step);
	enum event event = EVENT_TRAP;

	if (before > 0) {
		for (size_t n = times_before(walk, before); event == EVENT_TRAP && n > 0; n--) {
			event = go_on_to(child, walk->step[before].pc, end);
			if (event == EVENT_TRAP)
				event = tracee_step(child);
		}
		if (event == EVENT_TRAP)
			event = go_on_to(child, walk->step[before].pc, end);
	}
	if (event == EVENT_TRAP && before < step)
		event = go_on_to(child, walk->step[step].pc, end);
	return event;
}
