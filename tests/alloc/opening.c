/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A section that begins while its magazine is closed, and is slow: meanwhile the magazine is
 * emptied and opened. Nobody fences then, so that no abort comes, and part of what the
 * section has read is older than the rest: it has to fail, or to work on the
 * magazine as it is now.
 *
 *	closed, n = 5	[movl, testl, ... movl, | cmpl, ..., addq]
 *						| n = 0, open: by the tracer
 *
 * At each instruction in turn; rseq_cs is cleared, or the stop itself would be an
 * abort. The magazines are our own.
 */
#include "crowd.h"
#include "magazine.h"
#include "walk.h"

#define POPS 7
#define OLD_N 5 /* objects, before it is emptied */
#define CAP 16
#define SLOT 77 /* to be pushed */
#define HANG_SECONDS 20

enum attempt { POP, POP_RESERVE, PUSH, ATTEMPTS };

static const char *const attempt_names[] = {"pop", "pop of the reserve", "push"};

/* Shared by child and tracer. */
static struct task {
	struct magazine_way way;
	enum attempt attempt;
	bool done;
} * task;
static char *our_magazines; /* one for each index */
static struct tracee child;

static struct magazine *magazine_of(int index)
{
	return (void *)(our_magazines + (size_t)index * MAGAZINES_STRIDE);
}

__attribute__((noinline)) static void make_attempt(void)
{
	uint32_t tag;

	if (task->attempt == POP)
		task->done = magazine_pop(task->way, our_magazines, &tag) != MAGAZINE_NOTHING;
	else if (task->attempt == POP_RESERVE)
		task->done =
			magazine_pop_reserve(task->way, our_magazines, &tag) != MAGAZINE_NOTHING;
	else
		task->done = magazine_push(task->way, our_magazines, SLOT);
}

static void be_child(void)
{
	alarm(HANG_SECONDS);
	pin(0, allowed_cpu(0));
	task->way = (struct magazine_way){cpu_alloc_known_offset, cpu_alloc_index_offset};
	for (;;) {
		raise(SIGSTOP);
		make_attempt();
	}
}

static void close_magazine(struct magazine *magazine)
{
	magazine->word = (uint64_t)POPS << MAGAZINE_N_BITS | OLD_N;
	magazine->floor[FLOOR_RESERVE] = magazine->floor[FLOOR_ATOMIC] = MAGAZINE_CLOSED;
	magazine->cap = 0;
	for (uint32_t n = 0; n < CAP; n++)
		magazine->slot[n] = 100 + n;
}

static void empty_and_open(struct magazine *magazine)
{
	magazine->word -= OLD_N;
	magazine->floor[FLOOR_RESERVE] = magazine->floor[FLOOR_ATOMIC] = 0;
	magazine->cap = CAP;
}

/* Go through the attempt. Returns how many of its instructions are inside of a section. */
static size_t step_through(size_t open_at, struct magazine *magazine)
{
	const uintptr_t end = tracee_return_address(&child);
	struct walk_section section = {0};
	size_t inside = 0;

	for (uintptr_t pc = tracee_pc(&child); pc != end; pc = tracee_pc(&child)) {
		if (walk_is_inside(&section, pc) && inside++ == open_at)
			empty_and_open(magazine);
		if (tracee_step(&child) != EVENT_TRAP)
			return 0;
		walk_note_section(&child, tracee_pc(&child), &section);
	}
	return inside;
}

/* What there must be once it was opened. */
static bool is_right(const struct magazine *magazine)
{
	const bool pushed = task->attempt == PUSH && task->done;

	if (magazine->word != ((uint64_t)POPS << MAGAZINE_N_BITS | pushed))
		return false;
	return pushed ? magazine->slot[0] == SLOT : !task->done;
}

static bool try_attempt(enum attempt attempt)
{
	struct magazine *magazine = magazine_of(allowed_cpu(0));
	size_t inside = 1;
	bool good = true;

	for (size_t k = 0; k < inside; k++) {
		close_magazine(magazine);
		task->attempt = attempt;
		if (tracee_run_to(&child, (uintptr_t)make_attempt) != EVENT_TRAP)
			return false;
		inside = step_through(k, magazine);
		if (inside == 0 || tracee_continue(&child, 0) != EVENT_DONE)
			return false;
		if (k < inside && !is_right(magazine)) {
			diag("instruction %zu of %zu: it is %s; n %" PRIu32 ", pops %" PRIu64
			     ", slot[0] %" PRIu32,
			     k, inside, task->done ? "done" : "not done", magazine_n(magazine),
			     magazine_pops(magazine), magazine->slot[0]);
			good = false;
		}
	}
	return good && inside > 3;
}

static void *share(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	return at;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	task = share(sizeof(*task));
	our_magazines = share((size_t)cpu_alloc_nr() * MAGAZINES_STRIDE);
	if (!mode.sections || under_valgrind() || !tracee_start(&child, be_child)) {
		skip("opened in the middle of a section", "no sections, or no child to be traced");
		return tap_done();
	}
	for (enum attempt attempt = POP; attempt < ATTEMPTS; attempt++)
		ok(try_attempt(attempt), "%s: opened in the middle", attempt_names[attempt]);
	tracee_end(&child);
	return tap_done();
}
