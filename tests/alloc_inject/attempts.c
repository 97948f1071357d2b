/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One attempt at each section of magazines (magazine.h), on magazines of our own, disturbed
 * at every instruction of the function that makes it: by an abort; by a signal whose
 * handler works on the same magazine, or the same object; by a move to another CPU; by
 * another thread, played by the tracer, that closes the magazine, empties it, fills it
 * anew, or claims the object.
 *
 *	function:	lea, movq rseq_cs, [movl, testl, ..., addq], mov, ret
 *			      before	       inside	       after
 *
 *	before	nothing has happened; disturbed; then the attempt comes to what it finds
 *	inside	nothing has happened; disturbed; the attempt has failed
 *	after	it has happened; disturbed
 *
 * What each of them does is said a second time, in plain C, on a world of our own that
 * is compared with memory: word, floors, cap, tag, the slots below n of every index,
 * what lies around them, and the states.
 *
 * usage: attempts [MODE]	see modes.h
 */
#include "magazine.h"
#include "modes.h"
#include "sections.h"
#include "walk.h"

#define UNITS 6U /* of the object that is claimed */
#define SLOTS 6	 /* that a magazine has here */
#define GUARD 64 /* bytes around it */
#define TRIES 5	 /* if the system's own preemption comes in between */
#define HANG_SECONDS 60

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* A magazine and what is around it. */
struct window {
	uint64_t bytes[(GUARD + sizeof(struct magazine) + SLOTS * sizeof(uint32_t) + GUARD) / 8];
};

static struct magazine *magazine_in(struct window *window)
{
	return (void *)((char *)window + GUARD);
}

/* Arguments and results of an attempt. */
struct call {
	struct magazine_way way;
	uint32_t slot; /* to be pushed */
	bool done;
	uint32_t got, tag; /* of what was popped */
};

/* Memory that the child shares with the tracer, who writes it while the child stands still. */
static char *windows;	 /* a window for each index */
static uint16_t *states; /* the object's, between two others */
static struct task {
	void (*call)(struct call *), (*handler)(struct call *);
	struct call arguments, in_handler;
	int index_before, index_after; /* the call */
} * task;

static struct mode mode;

static struct window *window_of(int index)
{
	return (void *)(windows + (size_t)index * MAGAZINES_STRIDE);
}

/* The attempts. Not inlined: what is stepped through. */

static const char *class_of_0(void)
{
	return (const char *)magazine_in(window_of(0));
}

__attribute__((noinline)) static void pop(struct call *call)
{
	call->got = magazine_pop(call->way, class_of_0(), &call->tag);
	call->done = call->got != MAGAZINE_NOTHING;
}

__attribute__((noinline)) static void pop_reserve(struct call *call)
{
	call->got = magazine_pop_reserve(call->way, class_of_0(), &call->tag);
	call->done = call->got != MAGAZINE_NOTHING;
}

__attribute__((noinline)) static void push(struct call *call)
{
	call->done = magazine_push(call->way, class_of_0(), call->slot);
}

__attribute__((noinline)) static void claim(struct call *call)
{
	call->done = magazine_claim(call->way, UNITS, &states[1]);
}

/* The same in plain C. */

static uint32_t n_of(const struct magazine *magazine)
{
	return (uint32_t)magazine->word % (1U << MAGAZINE_N_BITS);
}

static void plain_pop(struct magazine *magazine, uint32_t floor, struct call *call)
{
	const uint32_t n = n_of(magazine);

	call->done = n > floor;
	if (!call->done) {
		call->got = MAGAZINE_NOTHING;
		return;
	}
	call->got = magazine->slot[n - 1];
	call->tag = magazine->tag;
	magazine->word += (1U << MAGAZINE_N_BITS) - 1;
}

static void plain_push(struct magazine *magazine, struct call *call)
{
	const uint32_t n = n_of(magazine);

	call->done = n < magazine->cap;
	if (!call->done)
		return;
	magazine->slot[n] = call->slot;
	magazine->word++;
}

static uint16_t state_of(enum owner owner, int index, uint32_t units)
{
	return (uint16_t)(((uint32_t)owner + (uint32_t)index) * 64 + units - 1);
}

static void plain_claim(uint16_t *state, int index, struct call *call)
{
	call->done = *state == state_of(OWNER_BIASED, index, UNITS);
	if (call->done)
		*state = 0;
}

static void model(void (*which)(struct call *), struct magazine *magazine, uint16_t *state,
		  int index, struct call *call)
{
	if (which == pop)
		plain_pop(magazine, magazine->floor[FLOOR_RESERVE], call);
	else if (which == pop_reserve)
		plain_pop(magazine, magazine->floor[FLOOR_ATOMIC], call);
	else if (which == push)
		plain_push(magazine, call);
	else
		plain_claim(state, index, call);
}

/* What there is in the beginning. */

enum object_is { OURS, OF_ANOTHER_INDEX, OF_ANOTHER_SIZE, SHARED, MOVING, FREE };

struct attempt {
	const char *name;
	void (*call)(struct call *);
	uint32_t n, floor[2], cap;
	enum object_is object;
	enum { SUCCEEDS, FAILS, NOT_KNOWN } outcome; /* not known: the thread */
};

#define NO UINT32_MAX /* the floor, if closed */

static const struct attempt attempts[] = {
	{"pop one of 3", pop, 3, {0, 0}, 6, OURS, SUCCEEDS},
	{"pop the only one", pop, 1, {0, 0}, 6, OURS, SUCCEEDS},
	{"pop the one above the reserve", pop, 3, {2, 0}, 6, OURS, SUCCEEDS},
	{"pop none of the reserve", pop, 3, {3, 0}, 6, OURS, FAILS},
	{"pop, empty", pop, 0, {0, 0}, 6, OURS, FAILS},
	{"pop, closed", pop, 3, {NO, NO}, 0, OURS, FAILS},
	{"pop, called to the map", pop, 3, {NO, 0}, 6, OURS, FAILS},
	{"pop, not known", pop, 3, {0, 0}, 6, OURS, NOT_KNOWN},
	{"pop one of the reserve", pop_reserve, 3, {3, 0}, 6, OURS, SUCCEEDS},
	{"pop of the reserve, empty", pop_reserve, 0, {0, 0}, 6, OURS, FAILS},
	{"pop of the reserve, closed", pop_reserve, 3, {NO, NO}, 0, OURS, FAILS},
	{"pop of the reserve, not known", pop_reserve, 3, {0, 0}, 6, OURS, NOT_KNOWN},
	{"push the first", push, 0, {0, 0}, 4, OURS, SUCCEEDS},
	{"push the last", push, 3, {0, 0}, 4, OURS, SUCCEEDS},
	{"push, full", push, 4, {0, 0}, 4, OURS, FAILS},
	{"push, fuller than allowed", push, 5, {0, 0}, 4, OURS, FAILS},
	{"push, closed", push, 3, {NO, NO}, 0, OURS, FAILS},
	{"push, empty and closed", push, 0, {NO, NO}, 0, OURS, FAILS},
	{"push, not known", push, 3, {0, 0}, 6, OURS, NOT_KNOWN},
	{"claim what is ours", claim, 3, {0, 0}, 6, OURS, SUCCEEDS},
	{"claim what is of another index", claim, 3, {0, 0}, 6, OF_ANOTHER_INDEX, FAILS},
	{"claim what is of another size", claim, 3, {0, 0}, 6, OF_ANOTHER_SIZE, FAILS},
	{"claim what is shared", claim, 3, {0, 0}, 6, SHARED, FAILS},
	{"claim what is moving", claim, 3, {0, 0}, 6, MOVING, FAILS},
	{"claim what is free", claim, 3, {0, 0}, 6, FREE, FAILS},
	{"claim, not known", claim, 3, {0, 0}, 6, OURS, NOT_KNOWN},
};

/* Of each index another one, so that it is seen which one was taken. */
static struct window window_at_first(const struct attempt *attempt, int index)
{
	struct window window;
	struct magazine *magazine = magazine_in(&window);

	memset(&window, 0x80 + index, sizeof(window));
	magazine->word = (uint64_t)(1000 + index) << MAGAZINE_N_BITS | attempt->n;
	memcpy(magazine->floor, attempt->floor, sizeof(magazine->floor));
	magazine->cap = attempt->cap;
	magazine->tag = (uint16_t)(0x9a00 + index);
	for (uint32_t k = 0; k < SLOTS; k++)
		magazine->slot[k] = 100U * ((uint32_t)index + 1) + k + (k % 2 ? MAGAZINE_FRESH : 0);
	return window;
}

static uint16_t state_at_first(const struct attempt *attempt, int index)
{
	switch (attempt->object) {
	case OURS:
		return state_of(OWNER_BIASED, index, UNITS);
	case OF_ANOTHER_INDEX:
		return state_of(OWNER_BIASED, index + 1, UNITS);
	case OF_ANOTHER_SIZE:
		return state_of(OWNER_BIASED, index, UNITS + 1);
	case SHARED:
		return state_of(OWNER_SHARED, 0, UNITS);
	case MOVING:
		return state_of(OWNER_MOVING, 0, UNITS);
	default:
		return 0;
	}
}

/* What another thread may do; the magazine is that of the child's index. */

static void close_it(struct magazine *magazine, uint16_t *state)
{
	(void)state;
	magazine->floor[FLOOR_RESERVE] = magazine->floor[FLOOR_ATOMIC] = MAGAZINE_CLOSED;
	magazine->cap = 0;
}

static void empty_it(struct magazine *magazine, uint16_t *state)
{
	close_it(magazine, state);
	magazine->word -= n_of(magazine);
}

/* And its memory goes back to the system. */
static void drop_it(struct magazine *magazine, uint16_t *state)
{
	(void)state;
	memset(magazine, 0, sizeof(*magazine) + SLOTS * sizeof(uint32_t));
}

/* Emptied, and filled anew: with as many as there were. */
static void fill_anew(struct magazine *magazine, uint16_t *state)
{
	(void)state;
	for (uint32_t k = 0; k < SLOTS; k++)
		magazine->slot[k] = 50000 + k;
	magazine->tag = state_of(OWNER_SHARED, 0, UNITS);
}

static void fill_more(struct magazine *magazine, uint16_t *state)
{
	fill_anew(magazine, state);
	magazine->word += SLOTS - 1 - n_of(magazine);
}

static void say_moving(struct magazine *magazine, uint16_t *state)
{
	(void)magazine;
	*state = state_of(OWNER_MOVING, 0, UNITS);
}

static void make_ours(struct magazine *magazine, uint16_t *state)
{
	(void)magazine;
	*state = state_of(OWNER_BIASED, task->index_before, UNITS);
}

static const struct disturbance {
	const char *name;
	void (*in_handler)(struct call *);
	void (*elsewhere)(struct magazine *, uint16_t *);
	bool moves;
} disturbances[] = {
	{.name = "by nothing but the trap"},
	{"a handler pops", .in_handler = pop},
	{"a handler pushes", .in_handler = push},
	{"a handler claims", .in_handler = claim},
	{"closed from elsewhere", .elsewhere = close_it},
	{"emptied from elsewhere", .elsewhere = empty_it},
	{"dropped from elsewhere", .elsewhere = drop_it},
	{"filled anew from elsewhere", .elsewhere = fill_anew},
	{"filled with more from elsewhere", .elsewhere = fill_more},
	{"the object is moving", .elsewhere = say_moving},
	{"the object is popped here", .elsewhere = make_ours},
	{"moved to another CPU", .moves = true},
	{"moved, and a handler pops there", .moves = true, .in_handler = pop},
};

/* The world as it should be. */

static struct {
	struct window *window; /* of each index */
	uint16_t state;
	struct call call, in_handler;
} world;

static struct magazine_way known_way(void)
{
	return (struct magazine_way){cpu_alloc_known_offset, cpu_alloc_index_offset};
}

/* What the index is read through where no structure is known: room for rseq_cs behind it. */
static _Thread_local struct {
	int32_t cpu_id;
	uint64_t rseq_cs;
} __attribute__((packed)) unknown = {.cpu_id = -1};

static struct magazine_way way_of(const struct attempt *attempt)
{
	const ptrdiff_t offset = (const char *)&unknown - cpu_alloc_thread_pointer();

	return attempt->outcome == NOT_KNOWN ? (struct magazine_way){offset, offset} : known_way();
}

static void begin_world(const struct attempt *attempt, const struct disturbance *disturbance)
{
	cpu_alloc_for_each (i) {
		if (i < 0)
			continue;
		world.window[i] = window_at_first(attempt, i);
		memcpy(window_of(i), &world.window[i], sizeof(struct window));
	}
	memset(states, 0xff, 3 * sizeof(*states));
	world.call = (struct call){.way = way_of(attempt), .slot = 7 | MAGAZINE_FRESH};
	world.in_handler = (struct call){.way = known_way(), .slot = 8};
	*task = (struct task){
		.call = attempt->call,
		.handler = disturbance->in_handler,
		.arguments = world.call,
		.in_handler = world.in_handler,
	};
}

/* The index is known now. */
static void begin_state(const struct attempt *attempt)
{
	world.state = states[1] = state_at_first(attempt, task->index_before);
}

static void attempt_in_world(const struct attempt *attempt, int index)
{
	if (attempt->outcome != NOT_KNOWN)
		model(attempt->call, magazine_in(&world.window[index]), &world.state, index,
		      &world.call);
}

/* What was pushed by an attempt that failed may stand above the others. */
static bool same_slot(uint32_t expected, uint32_t found)
{
	return found == expected || found == world.call.slot || found == world.in_handler.slot;
}

static bool same_window(struct window *expected, struct window found)
{
	const struct magazine *magazine = magazine_in(expected);

	for (uint32_t k = n_of(magazine); k < SLOTS; k++) {
		uint32_t *slot = &magazine_in(&found)->slot[k];

		if (!same_slot(magazine->slot[k], *slot))
			return false;
		*slot = magazine->slot[k];
	}
	return memcmp(expected, &found, sizeof(found)) == 0;
}

static bool is_as_in_world(void)
{
	cpu_alloc_for_each (i)
		if (i >= 0 && !same_window(&world.window[i], *window_of(i)))
			return false;
	return states[0] == 0xffff && states[1] == world.state && states[2] == 0xffff;
}

static bool same_call(void (*which)(struct call *), const struct call *expected,
		      const struct call *found)
{
	if (found->done != expected->done)
		return false;
	if (which != pop && which != pop_reserve)
		return true;
	if (!expected->done)
		return found->got == MAGAZINE_NOTHING;
	return found->got == expected->got && found->tag == expected->tag;
}

/* The child. */

static void handle(int number)
{
	(void)number;
	task->handler(&task->in_handler);
}

static void be_child(void)
{
	signal(SIGUSR1, handle);
	for (;;) {
		raise(SIGSTOP);
		alarm(HANG_SECONDS);
		task->index_before = cpu_alloc_index();
		task->call(&task->arguments);
		task->index_after = cpu_alloc_index();
	}
}

/* The tracer. */

static struct tracee child;
static struct walk walk;
static size_t first_inside, first_after; /* steps; equal if there is no section on the way */
static size_t tried;

/* Let the child come to its attempt. NULL, or what is wrong. */
static const char *begin(const struct attempt *attempt, const struct disturbance *disturbance)
{
	if (!child.pid && !tracee_start(&child, be_child))
		return "no child";
	begin_world(attempt, disturbance);
	pin(child.pid, allowed_cpu(0));
	if (tracee_run_to(&child, (uintptr_t)attempt->call) != EVENT_TRAP)
		return "does not come to its attempt";
	if (!mode.cid && task->index_before != allowed_cpu(0))
		return "is on another CPU than it should be";
	begin_state(attempt);
	return NULL;
}

static void visit(uintptr_t pc)
{
	struct section *section = section_around(pc);

	if (section)
		section->visited = true;
}

static void find_places(void)
{
	first_inside = first_after = 0;
	for (size_t k = 0; k < walk.steps; k++)
		if (walk.step[k].inside) {
			first_inside = first_after ? first_inside : k;
			first_after = k + 1;
			visit(walk.step[k].pc);
		}
	if (!first_after) /* all of it is on the way to nothing */
		first_inside = first_after = walk.steps;
}

static const char *find_way(const struct attempt *attempt)
{
	const char *wrong = begin(attempt, &disturbances[0]);

	if (wrong)
		return wrong;
	if (!walk_find(&walk, &child, true) || tracee_continue(&child, 0) != EVENT_DONE)
		return "there is no end of it";
	find_places();
	if (first_inside == first_after && attempt->outcome != NOT_KNOWN)
		return "there is no section on the way";
	attempt_in_world(attempt, task->index_before);
	if (task->arguments.done != (attempt->outcome == SUCCEEDS))
		return task->arguments.done ? "succeeds" : "fails";
	return is_as_in_world() ? NULL : "does something else, undisturbed";
}

static bool is_before(size_t step)
{
	return step < first_inside;
}

static bool is_after(size_t step)
{
	return step >= first_after;
}

/* The child stands at its place. */
static int disturb(const struct disturbance *disturbance)
{
	const int index = task->index_before;

	if (disturbance->elsewhere) {
		disturbance->elsewhere(magazine_in(window_of(index)), &states[1]);
		disturbance->elsewhere(magazine_in(&world.window[index]), &world.state);
	}
	if (disturbance->moves)
		pin(child.pid, allowed_cpu(1));
	return disturbance->in_handler ? SIGUSR1 : 0;
}

/* After that, in the world: the handler's attempt, and the one that was disturbed. */
static void go_on_in_world(const struct attempt *attempt, const struct disturbance *disturbance,
			   size_t step)
{
	const int index = task->index_after;

	if (disturbance->in_handler)
		model(disturbance->in_handler, magazine_in(&world.window[index]), &world.state,
		      index, &world.in_handler);
	if (is_before(step))
		attempt_in_world(attempt, index);
}

static const char *compare(const struct attempt *attempt, const struct disturbance *disturbance)
{
	const int index = allowed_cpu(disturbance->moves);

	if (!mode.cid && task->index_after != index)
		return "is not where it was moved to";
	if (!same_call(attempt->call, &world.call, &task->arguments))
		return "a wrong result";
	if (disturbance->in_handler &&
	    !same_call(disturbance->in_handler, &world.in_handler, &task->in_handler))
		return "a wrong result in the handler";
	return is_as_in_world() ? NULL : "not done once, or not on one magazine";
}

/* Has the system aborted an attempt that nothing of ours did? */
static bool was_aborted(void)
{
	return (world.call.done && !task->arguments.done) ||
	       (world.in_handler.done && !task->in_handler.done);
}

/* *@again: it did not come to what it should, for the system's own preemption. */
static const char *run_once(const struct attempt *attempt, const struct disturbance *disturbance,
			    size_t step, bool *again)
{
	const char *wrong = begin(attempt, disturbance), *wrong_at_end;

	*again = false;
	if (wrong)
		return wrong;
	if (walk_to(&walk, &child, step) != EVENT_TRAP) {
		*again = child.pid;
		return "the place was not reached";
	}
	if (is_after(step))
		attempt_in_world(attempt, task->index_before);
	if (!is_as_in_world())
		wrong = is_after(step) ? "not done after the commit"
				       : "something happened before the commit";
	if (tracee_continue(&child, disturb(disturbance)) != EVENT_DONE)
		return "the child is dead";
	go_on_in_world(attempt, disturbance, step);
	wrong_at_end = compare(attempt, disturbance);
	*again = was_aborted();
	return wrong ? wrong : wrong_at_end;
}

static const char *run(const struct attempt *attempt, const struct disturbance *disturbance,
		       size_t step)
{
	const char *wrong = NULL;
	bool again = true;

	tried++;
	for (int n = 0; again && n < TRIES; n++)
		wrong = run_once(attempt, disturbance, step, &again);
	return wrong;
}

static void try_places(const struct attempt *attempt, const struct disturbance *disturbance)
{
	bool good = true;

	for (size_t step = 0; step < walk.steps; step++) {
		const char *wrong = run(attempt, disturbance, step);

		if (wrong) {
			diag("%s instruction %zu of %zu, of the section %td of %zu: %s",
			     is_before(step)  ? "before,"
			     : is_after(step) ? "after,"
					      : "inside,",
			     step, walk.steps, (ptrdiff_t)step - (ptrdiff_t)first_inside,
			     first_after - first_inside, wrong);
			tracee_end(&child);
			good = false;
		}
	}
	ok(good, "%s: %s", attempt->name, disturbance->name);
}

static void try_attempt(const struct attempt *attempt)
{
	const char *wrong = find_way(attempt);

	ok(!wrong, "%s: it %s", attempt->name, attempt->outcome == SUCCEEDS ? "succeeds" : "fails");
	if (wrong) {
		diag("%s", wrong);
		tracee_end(&child);
		return;
	}
	for (size_t n = 0; n < LENGTH(disturbances); n++)
		if (!disturbances[n].moves || allowed_cpu(1) >= 0)
			try_places(attempt, &disturbances[n]);
}

/* There is a section in each function that makes an attempt, and it was met. */
static void all_visited(void)
{
	void (*const calls[])(struct call *) = {pop, pop_reserve, push, claim};
	bool all = true;

	for (size_t n = 0; n < LENGTH(calls); n++) {
		bool visited = false;

		for (size_t k = 0; k < section_count; k++)
			visited |= sections[k].visited &&
				   function_at(sections[k].start) == (uintptr_t)calls[n];
		all &= visited;
	}
	ok(all, "each attempt's section was tried");
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED);
	return memory;
}

int main(int argc, char **argv)
{
	size_t indices;

	mode = mode_of(argc, argv);
	ok_path(&mode);
	if (!mode.sections || under_valgrind()) {
		skip("disturbed at every instruction", "no critical sections");
		return tap_done();
	}
	indices = (size_t)cpu_alloc_nr();
	windows = share(indices * MAGAZINES_STRIDE);
	states = share(3 * sizeof(*states));
	task = share(sizeof(*task));
	world.window = calloc(indices, sizeof(*world.window));
	must(world.window && sections_find());
	must(pin(0, allowed_cpu(0))); /* the same CPU, so that the two take turns */
	if (!tracee_start(&child, be_child)) {
		skip("disturbed at every instruction", "a child cannot be traced");
		return tap_done();
	}
	for (size_t n = 0; n < LENGTH(attempts); n++)
		try_attempt(&attempts[n]);
	all_visited();
	tracee_end(&child);
	diag("%zu disturbances", tried);
	return tap_done();
}
