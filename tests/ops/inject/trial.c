/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One operation in a traced child, see trial.h. */
#include "trial.h"
#include "machine.h"
#include "tracee.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TASK_SECONDS 30 /* an operation that takes longer hangs */
#define MAX_STEPS 20000
#define TRIES 5 /* if the system's own preemption comes in between */
#define ANY -2	/* in place of an index: whichever it is, but not that for strays */

/* What is around the field must stay. */
struct object {
	unsigned char before[16];
	wide field;
	unsigned char after[16];
};

/* What the child is to do: memory shared with it. */
struct task {
	const struct operation *operation, *in_handler;
	struct call call, handler_call;
	int handled;
};

static const wide initial = (wide)0x96a5f00f5aa59669 << 64 | 0x8f3c5aa5965ac3a1;
static const wide main_value = (wide)0x7b12c3d4e5f60718 << 64 | 0xb1c2d3e4f506173c;
static const wide handler_value = (wide)0x1d2c3b4a59687786 << 64 | 0x5e6f708192a3b45a;

static struct object *object;
static struct task *task;
static struct tracee child;
static bool by_cid;
static int home = -1, away = -1; /* CPUs that the child may use */

/* The child. */
static void handle(int number)
{
	(void)number;
	task->in_handler->call(&object->field, &task->handler_call);
	task->handled++;
}

static void work(void)
{
	signal(SIGUSR1, handle);
	for (;;) {
		raise(SIGSTOP);
		alarm(TASK_SECONDS);
		task->operation->call(&object->field, &task->call);
	}
}

static void plant_stubs(bool planted)
{
	for (size_t n = 0; n < section_count; n++)
		if (planted)
			tracee_plant(&child, sections[n].abort);
		else
			tracee_unplant(&child, sections[n].abort);
}

static bool start_child(void)
{
	if (!tracee_start(&child, work))
		return false;
	plant_stubs(true);
	return true;
}

/* The child died, or is not where it should be: begin with another one. */
static const char *lost(void)
{
	static char text[64];

	if (child.pid)
		snprintf(text, sizeof(text), "the child is not where it should be");
	else
		snprintf(text, sizeof(text), "the child died, signal %d", child.fatal);
	tracee_end(&child);
	return start_child() ? text : "no other child can be had";
}

static void move_to(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	sched_setaffinity(pid, sizeof(set), &set);
}

/*
 * What instances hold. They differ, so that reading the wrong one is seen; but not
 * where a comparison should come to the same wherever the thread is.
 */
static wide initial_field(const struct operation *operation, int i)
{
	const bool alike = by_cid || operation_compares(operation);

	return operation_cut(operation, initial + (wide)(alike ? 0 : (unsigned int)(i + 1)));
}

static struct object object_of(int i, const struct operation *operation, wide field)
{
	struct object o;

	memset(&o, 0x80 + i, sizeof(o));
	/* Of the operation's width; above it there are neighbours. */
	memcpy(&o.field, &field, operation->bits / 8);
	return o;
}

static uintptr_t instance(int i)
{
	return (uintptr_t)CPU_PTR(object, i);
}

static void prepare(const struct operation *operation)
{
	cpu_alloc_for_each (i) {
		const struct object o = object_of(i, operation, initial_field(operation, i));

		tracee_write(&child, instance(i), &o, sizeof(o));
	}
	move_to(child.pid, home);
}

/* Is @field on instance @where, and all else as it was? */
static bool instances_hold(const struct operation *operation, int where, wide field)
{
	cpu_alloc_for_each (i) {
		const struct object o =
			object_of(i, operation, i == where ? field : initial_field(operation, i));
		struct object found;

		tracee_read(&child, instance(i), &found, sizeof(found));
		if (memcmp(&o, &found, sizeof(o)) != 0)
			return false;
	}
	return true;
}

static bool unchanged(const struct operation *operation)
{
	return instances_hold(operation, ANY, 0);
}

static bool same_call(const struct call *a, const struct call *b)
{
	return a->result == b->result && a->expected == b->expected;
}

/* What the child is told, and what should come of it on instance @where. */
struct plan {
	int where;
	struct call call, handler_call;
	wide field;
};

static struct plan make_plan(const struct trial *trial, int where)
{
	const struct operation *operation = trial->operation, *other = trial->in_handler;
	const wide old = initial_field(operation, where);
	struct plan plan = {.where = where, .field = old};

	plan.call.value = operation_cut(operation, main_value);
	plan.call.expected = trial->meets ? operation_cut(operation, handler_value) : old;
	plan.handler_call.value = operation_cut(other, handler_value);
	plan.handler_call.expected = old;
	return plan;
}

static void apply_main(const struct trial *trial, struct plan *plan)
{
	operation_apply(trial->operation, &plan->field, &plan->call);
}

static void apply_handler(const struct trial *trial, struct plan *plan)
{
	operation_apply(trial->in_handler, &plan->field, &plan->handler_call);
}

/* With concurrency ids: the only index whose instance is not as it was. */
static int find_index(const struct operation *operation)
{
	cpu_alloc_for_each (i)
		if (!instances_hold(operation, i, initial_field(operation, i))) {
			struct object found;
			wide field = 0;

			tracee_read(&child, instance(i), &found, sizeof(found));
			memcpy(&field, &found.field, operation->bits / 8);
			if (instances_hold(operation, i, field))
				return i;
		}
	return ANY;
}

/* Is @field on @where, and nothing changed elsewhere? */
static bool field_is(const struct operation *operation, int where, wide field)
{
	if (where == ANY)
		where = find_index(operation);
	if (where == ANY)
		return field == initial_field(operation, ANY) && unchanged(operation);
	return instances_hold(operation, where, field);
}

/* @handled: how often the handler should have run. */
static const char *check_end(const struct trial *trial, const struct plan *plan, int handled)
{
	if (plan->where == ANY && find_index(trial->operation) == -1)
		return "done on the area for strays";
	if (!field_is(trial->operation, plan->where, plan->field))
		return unchanged(trial->operation) ? "not done" : "not done once on one instance";
	if (!same_call(&task->call, &plan->call))
		return "a wrong result";
	if (task->handled != handled)
		return "the handler did not run";
	if (handled && !same_call(&task->handler_call, &plan->handler_call))
		return "a wrong result in the handler";
	return NULL;
}

/* The child waits for a task: this one. */
static void give_task(const struct trial *trial, const struct plan *plan)
{
	prepare(trial->operation);
	*task = (struct task){
		.operation = trial->operation,
		.in_handler = trial->in_handler,
		.call = plan->call,
		.handler_call = plan->handler_call,
	};
}

/* The address of the word that tells the kernel of a section: the same in the child. */
static uintptr_t rseq_cs_address(void)
{
	return (uintptr_t)cpu_alloc_thread_pointer() + (uintptr_t)cpu_alloc_known_offset + 4;
}

static uintptr_t rseq_cs(void)
{
	uintptr_t value;

	tracee_read(&child, rseq_cs_address(), &value, sizeof(value));
	return value;
}

/* At an instruction that was stepped to. */
static const char *note_step(struct path *path, uintptr_t pc)
{
	struct attempt *attempt = &path->attempts[path->attempt_count];
	struct section *section = section_at_start(pc);

	if (section) {
		if (rseq_cs() != section->descriptor)
			return "a section begins elsewhere than behind the store to rseq_cs";
		attempt->section = section;
		path->attempt_count++;
		return path->attempt_count < MAX_ATTEMPTS ? NULL : "too many attempts";
	}
	if (section_at_abort(pc))
		attempt->way_length = 0;
	else if (attempt->way_length < MAX_WAY)
		attempt->way[attempt->way_length++] = pc;
	return NULL;
}

static const char *step_to_return(struct path *path)
{
	const uintptr_t end = tracee_return_address(&child);

	for (int n = 0; n < MAX_STEPS; n++) {
		const char *wrong;

		if (tracee_step(&child) != EVENT_TRAP)
			return "does not come to its end";
		if (tracee_pc(&child) == end)
			return NULL;
		wrong = note_step(path, tracee_pc(&child));
		if (wrong)
			return wrong;
	}
	return "does not end";
}

const char *trial_step_through(const struct operation *operation, struct path *path)
{
	const struct trial trial = {.operation = operation, .in_handler = operation};
	struct plan plan = make_plan(&trial, -1);
	const char *wrong;

	memset(path, 0, sizeof(*path));
	plant_stubs(false);
	give_task(&trial, &plan);
	if (tracee_run_to(&child, (uintptr_t)operation->symbol) != EVENT_TRAP)
		return lost();
	wrong = step_to_return(path);
	if (wrong) {
		lost(); /* wherever it is */
		return wrong;
	}
	plant_stubs(true);
	if (tracee_continue(&child, 0) != EVENT_DONE)
		return lost();
	apply_main(&trial, &plan);
	return check_end(&trial, &plan, 0);
}

/* Where a trial is. */
struct progress {
	size_t aborts;
	bool aborting; /* it goes on from a trap at a section's start */
	bool disturbed;
	int signal; /* to go on with */
};

/* Where it should stop next, or 0. */
static uintptr_t next_stop(const struct trial *trial, const struct progress *now)
{
	if (now->disturbed || now->aborting)
		return 0;
	if (now->aborts < trial->attempt)
		return trial->path->attempts[now->aborts].section->start;
	return trial->place;
}

bool trial_is_last(const struct trial *trial)
{
	return trial->attempt + 1 == trial->path->attempt_count;
}

static const struct section *section_of(const struct trial *trial)
{
	return trial->path->attempts[trial->attempt].section;
}

static bool inside(const struct trial *trial)
{
	return trial->place >= section_of(trial)->start && trial->place < section_of(trial)->end;
}

static bool at_end(const struct trial *trial)
{
	return trial->place == section_of(trial)->end;
}

/* A trap at an abort stub: count it, and go past it. */
static enum event pass_stub(struct progress *now, uintptr_t pc)
{
	enum event event;

	now->aborts++;
	now->aborting = false;
	tracee_unplant(&child, pc);
	event = tracee_step(&child);
	if (event != EVENT_DEAD)
		tracee_plant(&child, pc);
	return event;
}

/* Up to the commit nothing has happened; behind it everything. */
static const char *check_place(const struct trial *trial, const struct plan *plan)
{
	struct plan done = *plan;

	if (!at_end(trial))
		return unchanged(trial->operation) ? NULL : "something happened before the commit";
	apply_main(trial, &done);
	return field_is(trial->operation, done.where, done.field) ? NULL
								  : "not done after the commit";
}

static struct {
	uintptr_t *places;
	size_t n, room;
} list;

/*
 * At a section's start. The kernel aborts no section that rseq_cs does not
 * point to, so it can be stepped through.
 */
static const char *list_instructions(const struct section *section)
{
	const uintptr_t nothing = 0;
	uintptr_t pc = section->start;

	tracee_write(&child, rseq_cs_address(), &nothing, sizeof(nothing));
	for (; pc >= section->start && pc < section->end; pc = tracee_pc(&child)) {
		if (list.n == list.room)
			return "a section of too many instructions";
		list.places[list.n++] = pc;
		if (tracee_step(&child) != EVENT_TRAP)
			return lost();
	}
	return pc == section->end ? NULL : "a section is left elsewhere than at its end";
}

static const char *stop_at_place(const struct trial *trial, const struct plan *plan,
				 struct progress *now)
{
	now->disturbed = true;
	if (trial->disturbance == SIGNAL)
		now->signal = SIGUSR1;
	if (trial->disturbance == MOVE)
		move_to(child.pid, away);
	if (trial->disturbance == LIST)
		return list_instructions(section_of(trial));
	return check_place(trial, plan);
}

/* From the task's begin to its end. What is wrong at the place is told after that. */
static const char *drive(const struct trial *trial, const struct plan *plan, struct progress *now)
{
	const char *wrong = NULL;

	for (;;) {
		const uintptr_t stop = next_stop(trial, now);
		enum event event;

		if (stop)
			tracee_plant(&child, stop);
		event = tracee_continue(&child, now->signal);
		now->signal = 0;
		if (event == EVENT_DEAD)
			return lost();
		if (stop)
			tracee_unplant(&child, stop);
		if (event == EVENT_DONE)
			return wrong;
		if (section_at_abort(tracee_pc(&child))) {
			if (pass_stub(now, tracee_pc(&child)) == EVENT_DEAD)
				return lost();
		} else if (now->aborts < trial->attempt) {
			now->aborting = true;
		} else {
			wrong = stop_at_place(trial, plan, now);
		}
	}
}

/* Fill in what should come of it. */
static void finish_plan(const struct trial *trial, struct plan *plan, int handled)
{
	if (handled && !at_end(trial))
		apply_handler(trial, plan);
	apply_main(trial, plan);
	if (handled && at_end(trial))
		apply_handler(trial, plan);
}

/* The instance that it should be done on. */
static int where(const struct trial *trial, bool disturbed)
{
	if (disturbed && inside(trial) && trial->disturbance != LIST && trial_is_last(trial))
		return -1;
	if (by_cid)
		return ANY;
	return disturbed && trial->disturbance == MOVE && !at_end(trial) ? away : home;
}

/* *@again: the system aborted it, too. */
static const char *run_once(const struct trial *trial, bool *again)
{
	struct plan plan = make_plan(trial, where(trial, true));
	struct progress now = {0};
	const char *wrong;
	size_t aborts;
	int handled;

	*again = false;
	give_task(trial, &plan);
	wrong = drive(trial, &plan, &now);
	if (!now.disturbed) { /* the system aborted it before it came to the place */
		plan.where = where(trial, false);
		plan.field = initial_field(trial->operation, plan.where);
	}
	handled = now.disturbed && trial->disturbance == SIGNAL;
	aborts = trial->attempt + (now.disturbed && inside(trial) && trial->disturbance != LIST);
	finish_plan(trial, &plan, handled);
	if (!wrong)
		wrong = check_end(trial, &plan, handled);
	*again = now.aborts > aborts || (!now.disturbed && !trial->meets);
	if (wrong)
		return wrong;
	if (now.aborts < aborts)
		return "not aborted";
	if (*again)
		return now.disturbed ? "aborted more than once" : "the place was not reached";
	return NULL;
}

const char *trial_run(const struct trial *trial)
{
	const char *wrong = NULL;
	bool again = true;

	for (int n = 0; again && n < TRIES; n++)
		wrong = run_once(trial, &again);
	return wrong;
}

size_t trial_instructions(const struct operation *operation, const struct path *path,
			  size_t attempt, uintptr_t *places, size_t room)
{
	const struct section *section = path->attempts[attempt].section;
	const struct trial trial = {
		.operation = operation,
		.in_handler = operation,
		.disturbance = LIST,
		.path = path,
		.attempt = attempt,
		.place = section->start,
	};

	list.places = places;
	list.n = 0;
	list.room = room;
	if (INSTRUCTION_BYTES == 0)
		return trial_run(&trial) ? 0 : list.n;
	for (uintptr_t at = section->start; at < section->end && list.n < room;
	     at += INSTRUCTION_BYTES)
		if (!machine_jumps_to(at, section->abort))
			places[list.n++] = at;
	return list.n;
}

bool trial_can_move(void)
{
	return !by_cid && away >= 0;
}

/* Two CPUs that this process may use. */
static void choose_cpus(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < cpu_alloc_nr() && cpu < CPU_SETSIZE && away < 0; cpu++)
		if (CPU_ISSET((unsigned int)cpu, &set) && home < 0)
			home = cpu;
		else if (CPU_ISSET((unsigned int)cpu, &set))
			away = cpu;
}

bool trial_set_up(void)
{
	object = CPU_ALLOC(struct object, GFP_KERNEL | __GFP_ZERO);
	task = mmap(NULL, sizeof(*task), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!object || task == MAP_FAILED)
		return false;
	by_cid = strstr(cpu_alloc_path(), "concurrency") != NULL;
	choose_cpus();
	move_to(0, home); /* the same, so that the two take turns */
	return start_child();
}

void trial_tear_down(void)
{
	tracee_end(&child);
	CPU_FREE(object);
}
