/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The first use of the library by two threads at once: one makes a call, and stands still
 * at each of its instructions in turn, while the other makes the first object of all,
 * so that what the call has read is of before, and what it goes on to read of after that.
 *
 * usage: first [MODE]	see modes.h
 */
#include "modes.h"
#include "state.h"
#include "walk.h"

#define SIZE 24
#define PLACES 250 /* tried at most: the rest of a call that sets the library up has the lock */
#define HANG_SECONDS 60

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* The child, forked from a process that has not used the library. */

static int orders[2], replies[2]; /* pipes */
static char *first;		  /* object, made by the other thread */
static char *made;		  /* by the call */

static void free_null(void)
{
	cpu_free(NULL, SIZE);
}

static void free_zero_size(void)
{
	cpu_free(ZERO_SIZE_PTR, 0);
}

static void alloc(void)
{
	made = cpu_alloc(SIZE, GFP_KERNEL, 4);
	must(made);
}

static void alloc_atomic(void)
{
	made = cpu_alloc(SIZE, GFP_ATOMIC, 4);
	must(made || errno == EAGAIN);
}

static const struct way {
	const char *name;
	void (*call)(void);
} ways[] =
	{
		{"cpu_free(NULL)", free_null},
		{"cpu_free(ZERO_SIZE_PTR)", free_zero_size},
		{"cpu_alloc()", alloc},
		{"cpu_alloc(GFP_ATOMIC)", alloc_atomic},
},
  *way;

static void *be_other(void *unused)
{
	char byte;

	must(pin(0, allowed_cpu(0)));
	while (read(orders[0], &byte, 1) == 1) {
		first = cpu_alloc(SIZE, GFP_KERNEL, 4);
		must(first);
		fill_instances(first, 0x5a, SIZE);
		must(write(replies[1], &byte, 1) == 1);
	}
	return unused;
}

/* What the tracer looks for. */
__attribute__((noinline)) static void make_call(void)
{
	way->call();
	__asm__ volatile("" : : : "memory"); /* no tail call: it shall return to its caller */
}

static void finish(void)
{
	const uint64_t objects = (first ? 1U : 0U) + (made ? 1U : 0U);
	struct cpu_alloc_stats now = stats_now();

	must(now.objects == objects && now.misuses == 0);
	must(!first || (first != made && instances_hold(first, 0x5a, SIZE)));
	cpu_free(first, SIZE);
	cpu_free(made, SIZE);
	now = stats_now();
	must(now.objects == 0 && now.misuses == 0 && now.allocs == now.frees);
}

static void be_child(void)
{
	pthread_t other;

	alarm(HANG_SECONDS);
	must(pthread_create(&other, NULL, be_other, NULL) == 0);
	raise(SIGSTOP);
	make_call();
	finish();
	raise(SIGSTOP);
}

/* The tracer. */

static struct tracee child;
static struct walk walk;

static bool start_child(void)
{
	if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(replies, O_CLOEXEC) != 0 ||
	    !tracee_start(&child, be_child))
		return false;
	close(orders[0]);
	close(replies[1]); /* so that reading ends when the child does */
	return true;
}

static void end_child(void)
{
	tracee_end(&child);
	close(orders[1]);
	close(replies[0]);
}

/* Would the other thread have to wait for the call? */
static bool is_locked(void)
{
	uint32_t word;

	tracee_read(&child, (uintptr_t)&cpu_alloc_state.lock.word, &word, sizeof(word));
	return word;
}

static bool let_other_be_first(void)
{
	char byte = 0;

	return write(orders[1], &byte, 1) == 1 && read(replies[0], &byte, 1) == 1;
}

/* NULL, or what is wrong. */
static const char *end(void)
{
	if (tracee_continue(&child, 0) == EVENT_DONE)
		return NULL;
	return child.fatal ? strsignal(child.fatal) : "the child found it";
}

static const char *find_way(bool sections)
{
	if (!start_child() || tracee_run_to(&child, (uintptr_t)make_call) != EVENT_TRAP)
		return "does not come to the call";
	return walk_find(&walk, &child, sections) ? end() : "there is no end of it";
}

static const char *try_place(size_t step, size_t *tried)
{
	if (!start_child() || tracee_run_to(&child, (uintptr_t)make_call) != EVENT_TRAP ||
	    walk_to(&walk, &child, step) != EVENT_TRAP)
		return "does not come to its place";
	if (!is_locked()) {
		if (!let_other_be_first())
			return "the other thread does not come to its object";
		++*tried;
	}
	return end();
}

static void try_way(bool sections)
{
	const size_t each = getenv("TEST_SLOW") ? 3 : 1; /* an emulated machine is slow */
	const char *wrong = find_way(sections);
	bool good = !wrong;
	size_t tried = 0;

	end_child();
	if (wrong)
		diag("undisturbed: %s", wrong);
	for (size_t k = 0; good && k < walk.steps && k < PLACES; k += each) {
		wrong = try_place(k, &tried);
		end_child();
		if (wrong) {
			diag("step %zu of %zu, %p: %s", k, walk.steps, (void *)walk.step[k].pc,
			     wrong);
			good = false;
		}
	}
	ok(good && tried > 0, "%s, and another thread makes the first object meanwhile", way->name);
	diag("%zu places", tried);
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	must(pin(0, allowed_cpu(0))); /* the same CPU, so that they take turns */
	if (under_valgrind() || !start_child()) {
		skip("two threads are the first", "a child cannot be traced");
		return tap_done();
	}
	end_child();
	for (size_t n = 0; n < LENGTH(ways); n++) {
		way = &ways[n];
		try_way(mode.sections);
	}
	return tap_done();
}
