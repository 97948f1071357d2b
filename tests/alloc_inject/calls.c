/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc() and cpu_free(), stopped at every instruction, while something else happens
 * on the same CPU: in a handler that interrupts the call, or in another thread, which
 * runs while the first one stands still. It allocates, frees, frees the same object,
 * or takes all back from the magazines. Before and after that the other thread looks where
 * each object is (audit.h); and when the call is over, the first one does.
 *
 *	tracer:	stop it at a place	order			   go on
 *	first:	... cpu_alloc() ... |				   | ..., compare, stop itself
 *	other:			      look, disturb, look, reply
 *
 * Up to a section's end nothing has changed; from there on it has happened, once.
 *
 * usage: calls [MODE]	see modes.h
 */
#include "audit.h"
#include "modes.h"
#include "owned.h"
#include "sections.h"
#include "state.h"
#include "walk.h"

#define CLASS 24  /* bytes of the objects that it is all about: 6 units */
#define MANY 80	  /* more than a magazine takes in its beginning */
#define VICTIMS 4 /* to be freed by others */
#define HANG_SECONDS 60
#define TRIES 5	       /* if the system's own preemption comes in between */
#define SHORT_WAY 250  /* all of it is tried */
#define SOME_PLACES 50 /* outside of sections, of a long way */
#define MOST_PLACES 4000

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* From FLUSH on they wait for the lock. */
enum deed { NOTHING, LOOK, USE, ALLOC, FREE, SAME, FLUSH, TRIM, FILL };

static const struct disturbance {
	const char *name;
	enum deed in_handler, elsewhere; /* elsewhere: in the other thread */
	bool moves;
} disturbances[] = {
	{"by nothing but the trap", NOTHING, NOTHING, false},
	{"a handler allocates and frees", USE, NOTHING, false},
	{"a handler allocates", ALLOC, NOTHING, false},
	{"a handler frees", FREE, NOTHING, false},
	{"a handler frees the same object", SAME, NOTHING, false},
	{"another thread allocates and frees", NOTHING, USE, false},
	{"another thread allocates", NOTHING, ALLOC, false},
	{"another thread frees", NOTHING, FREE, false},
	{"another thread frees the same object", NOTHING, SAME, false},
	{"another thread takes all to the map", NOTHING, FLUSH, false},
	{"another thread trims", NOTHING, TRIM, false},
	{"another thread trims, and a handler allocates", ALLOC, TRIM, false},
	{"another thread trims and fills anew", NOTHING, FILL, false},
	{"moved, and another thread allocates", NOTHING, ALLOC, true},
};

/* One call, and what leads to it. */
struct way {
	const char *name;
	void (*prepare)(void);
	void (*call)(void);
	bool exact;	/* without the lock: its sections tell what has happened so far */
	bool exchanges; /* it claims by a locked instruction: that is not told */
};

/* What has been committed on the way so far. */
struct commits {
	uint32_t pops, pushes, claims;
};

struct order {
	enum deed deed;
	bool exact, exchanges;
	struct commits commits;
};

static struct task {
	const struct way *way;
	const struct disturbance *disturbance;
	struct audit before; /* the call */
	int handled;
	bool balance; /* compare all books with the statistics at the end */
	bool busy;    /* the other thread has an order */
} * task;	      /* shared by child and tracer */

static struct mode mode;

/* The child: both of its threads. */

enum actor { MAIN, HANDLER, OTHER, ACTORS };

static struct owned held[MANY], victims[VICTIMS], got[ACTORS][MANY];
static struct books books[ACTORS];

static const struct request kernel = {CLASS, 4, GFP_KERNEL}, atomic = {CLASS, 4, GFP_ATOMIC};

/* What the call works on. It does nothing else: all of it is stepped through. */
static struct {
	gfp_t flags;
	void *ptr;
} work;

static void drop_all(struct owned *owned, size_t n, struct books *whose)
{
	while (n-- > 0)
		owned_drop(&owned[n], whose);
}

static void fill_magazine(enum actor who)
{
	for (size_t n = 0; n < MANY / 2; n++)
		owned_make(&got[who][n], &books[who], kernel);
	drop_all(got[who], MANY / 2, &books[who]);
}

static void do_deed(enum deed deed, enum actor who)
{
	switch (deed) {
	case NOTHING:
	case LOOK:
		break;
	case USE:
		owned_make(&got[who][0], &books[who], atomic);
		owned_drop(&got[who][0], &books[who]);
		break;
	case ALLOC:
		owned_make(&got[who][0], &books[who], atomic);
		owned_make(&got[who][1], &books[who], atomic);
		break;
	case FREE:
		owned_drop(&victims[0], &books[who]);
		owned_drop(&victims[1], &books[who]);
		break;
	case SAME:
		owned_expect_misuse(); /* this one or the other */
		cpu_free(work.ptr, CLASS);
		break;
	case FLUSH: /* as before memory runs out: the magazines stay */
		must(lock_take(&cpu_alloc_state.lock));
		caches_flush();
		lock_drop(&cpu_alloc_state.lock);
		break;
	case TRIM:
	case FILL:
		cpu_alloc_trim();
		if (deed == FILL)
			fill_magazine(who);
	}
}

/* Is all where it should be, with so much committed? NULL, or what is wrong. */
static const char *look(const struct order *order)
{
	const struct audit *before = &task->before;
	const uint32_t pops = order->commits.pops, pushes = order->commits.pushes;
	const uint32_t claims = order->commits.claims;
	struct audit now;

	if (!audit_now(&now))
		return NULL; /* the call has the lock */
	if (now.wrong)
		return now.wrong;
	if (!order->exact)
		return now.nowhere > 1 ? "two objects are nowhere" : NULL;
	if (now.cached + now.pending + pops != before->cached + before->pending + pushes)
		return "a magazine has an object too many, or too few";
	if (now.live + now.nowhere + pushes != before->live + pops)
		return "an object is live that should not, or is not";
	if (now.nowhere + pushes < claims)
		return "an object is live that was claimed";
	if (now.nowhere + pushes > claims + pops + order->exchanges)
		return "an object is nowhere that should be somewhere";
	if (now.balance - before->balance != (int64_t)pops - (int64_t)pushes)
		return "allocations or frees are not counted";
	return NULL;
}

/* The other thread. */

static int orders[2], replies[2]; /* pipes; a reply is a text's address, or NULL */

static void *be_other(void *unused)
{
	struct order order;

	must(pin(0, allowed_cpu(0)));
	while (read(orders[0], &order, sizeof(order)) == sizeof(order)) {
		const char *wrong = order.deed == LOOK ? look(&order) : NULL;

		do_deed(order.deed, OTHER);
		__atomic_store_n(&task->busy, false, __ATOMIC_RELEASE);
		must(write(replies[1], &wrong, sizeof(wrong)) == sizeof(wrong));
	}
	return unused;
}

/* The first one. */

static void handle(int number)
{
	(void)number;
	do_deed(task->disturbance->in_handler, HANDLER);
	task->handled++;
}

static struct magazine *magazine_here(void)
{
	return magazine_at(&cpu_alloc_state.magazines, cpu_alloc_index(), CLASS / CPU_ALLOC_UNIT);
}

static void must_make(struct owned *owned)
{
	must(owned_make(owned, &books[MAIN], kernel));
}

static void call_alloc(void)
{
	work.ptr = cpu_alloc(CLASS, work.flags, 4);
}

static void call_free(void)
{
	cpu_free(work.ptr, CLASS);
}

static void call_free_bulk(void)
{
	cpu_free_bulk(CLASS, 1, &work.ptr);
}

static void alloc_from_magazine(void)
{
	fill_magazine(MAIN);
	work.flags = GFP_KERNEL;
}

static void alloc_atomic(void)
{
	alloc_from_magazine();
	work.flags = GFP_ATOMIC;
}

static void alloc_from_map(void)
{
	for (size_t n = 0; magazine_n(magazine_here()) > magazine_here()->floor[FLOOR_RESERVE];
	     n++) {
		must(n < MANY);
		must_make(&held[n]);
	}
	work.flags = GFP_KERNEL;
}

static void free_to_magazine(void)
{
	fill_magazine(MAIN);
	must_make(&held[0]);
	work.ptr = held[0].ptr;
	owned_leave(&held[0], &books[MAIN]);
}

static void free_shared(void)
{
	free_to_magazine();
	object_set_shared(&cpu_alloc_state.objects, unit_of(work.ptr), CLASS / CPU_ALLOC_UNIT);
}

static void free_elsewhere(void)
{
	free_to_magazine();
	if (allowed_cpu(1) >= 0)
		must(pin(0, allowed_cpu(1)));
}

/* The magazine is as full as it may be. */
static void free_to_map(void)
{
	size_t n = MANY;

	while (n-- > 0)
		must_make(&held[n]);
	for (n = 0; magazine_n(magazine_here()) < magazine_here()->cap; n++) {
		must(n < MANY - 1);
		owned_drop(&held[n], &books[MAIN]);
	}
	work.ptr = held[n].ptr;
	owned_leave(&held[n], &books[MAIN]);
}

static const struct way ways[] = {
	{"cpu_alloc(), from the magazine", alloc_from_magazine, call_alloc, true, false},
	{"cpu_alloc(GFP_ATOMIC)", alloc_atomic, call_alloc, true, false},
	{"cpu_alloc(), the magazine being empty", alloc_from_map, call_alloc, false, false},
	{"cpu_free(), to the magazine", free_to_magazine, call_free, true, false},
	{"cpu_free(), shared", free_shared, call_free, true, true},
	{"cpu_free(), popped elsewhere", free_elsewhere, call_free, true, true},
	{"cpu_free(), the magazine being full", free_to_map, call_free, false, false},
	{"cpu_free_bulk()", free_to_magazine, call_free_bulk, false, false},
};

static void must_audit(struct audit *audit)
{
	must(audit_now(audit));
	if (audit->wrong)
		printf("%s\n", audit->wrong);
	must(!audit->wrong && audit->nowhere == 0 && audit->live == owned_objects());
}

/* What the tracer looks for. */
__attribute__((noinline)) static void make_call(const struct way *way)
{
	way->call();
	__asm__ volatile("" : : : "memory"); /* no tail call: it shall return to its caller */
}

static void finish(const struct way *way)
{
	struct books sum = {0};
	struct audit now;

	while (__atomic_load_n(&task->busy, __ATOMIC_ACQUIRE))
		sched_yield();
	if (way->call == call_alloc) {
		if (work.ptr)
			owned_take(&held[MANY - 1], &books[MAIN], kernel, work.ptr);
		else
			books[MAIN].eagain++;
		must(work.ptr || work.flags == GFP_ATOMIC);
	}
	must_audit(&now);
	drop_all(held, MANY, &books[MAIN]);
	drop_all(victims, VICTIMS, &books[MAIN]);
	for (enum actor who = MAIN; who < ACTORS; who++) {
		drop_all(got[who], MANY, &books[who]);
		books_add(&sum, &books[who]);
	}
	must_audit(&now);
	if (task->balance)
		must_balance(&sum);
	cpu_alloc_trim();
	must_audit(&now);
	must(now.cached == 0 && now.pending == 0 && now.balance == 0);
}

static void do_task(const struct way *way)
{
	alarm(HANG_SECONDS);
	must(pin(0, allowed_cpu(0)));
	for (size_t n = 0; n < VICTIMS; n++)
		must_make(&victims[n]);
	way->prepare();
	if (way->call == call_alloc) {
		must_audit(&task->before);
	} else { /* nobody owns what is about to be freed */
		must(audit_now(&task->before) && !task->before.wrong);
		must(task->before.live == owned_objects() + 1);
	}
	make_call(way);
	finish(way);
}

/* Copied from the tracer, with the library ready for use. */
static void be_child(void)
{
	const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pthread_t other;

	dup2(nowhere, STDERR_FILENO); /* reports of misuse */
	signal(SIGUSR1, handle);
	must(pthread_create(&other, NULL, be_other, NULL) == 0);
	for (;;) {
		raise(SIGSTOP);
		do_task(task->way);
	}
}

/* The tracer. */

static struct tracee child;
static struct walk walk;
static size_t tried, missed;

static bool start_child(void)
{
	static int here[] = {-1, -1}; /* the tracer's ends */

	close(here[0]);
	close(here[1]);
	if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(replies, O_CLOEXEC) != 0)
		return false;
	here[0] = replies[0];
	here[1] = orders[1];
	task->busy = false;
	if (!tracee_start(&child, be_child))
		return false;
	close(orders[0]);
	close(replies[1]); /* so that reading ends when the child does */
	return true;
}

static void give_order(const struct order *order)
{
	task->busy = true;
	must(write(orders[1], order, sizeof(*order)) == sizeof(*order));
}

static const char *reply(void)
{
	const char *wrong;

	return read(replies[0], &wrong, sizeof(wrong)) == sizeof(wrong) ? wrong : "no reply";
}

/* Would whoever wants to have all back have to wait for the call? */
static bool is_locked(void)
{
	uint32_t word, trim_word;

	tracee_read(&child, (uintptr_t)&cpu_alloc_state.lock.word, &word, sizeof(word));
	tracee_read(&child, (uintptr_t)&cpu_alloc_state.trim_lock.word, &trim_word, sizeof(word));
	return word || trim_word;
}

/* Let the child come to its call. NULL, or what is wrong. */
static const char *begin(const struct way *way, const struct disturbance *disturbance, bool balance)
{
	if (!child.pid && !start_child())
		return "no child";
	*task = (struct task){.way = way, .disturbance = disturbance, .balance = balance};
	if (tracee_run_to(&child, (uintptr_t)make_call) != EVENT_TRAP)
		return "does not come to the call";
	return NULL;
}

/* Let it come to its end. */
static const char *end(int number)
{
	const enum event event = tracee_continue(&child, number);

	if (event == EVENT_DONE)
		return NULL;
	if (event == EVENT_TRAP)
		return "an unexpected trap";
	return child.fatal ? strsignal(child.fatal) : "the child found it";
}

static void commit(struct commits *commits, const char *section)
{
	commits->pops += strncmp(section, "magazine.pop", 12) == 0;
	commits->pushes += strncmp(section, "magazine.push", 13) == 0;
	commits->claims += strncmp(section, "magazine.claim", 14) == 0;
}

/* Which sections lie behind it at @step? */
static struct commits commits_before(size_t step)
{
	struct commits commits = {0};

	for (size_t k = 0; k < step; k++) {
		const struct section *section = section_around(walk.step[k].pc);

		if (walk.step[k].inside && section && walk.step[k + 1].pc == section->end)
			commit(&commits, section->name);
	}
	return commits;
}

/* Have an order obeyed. NULL, or what is wrong. */
static const char *obey(const struct order *order)
{
	give_order(order);
	return reply();
}

/* The child stands at its place. Nothing is planted: the other thread may run anywhere. */
static const char *disturb(const struct way *way, const struct disturbance *disturbance,
			   size_t step, bool *wait)
{
	const struct order look_now = {LOOK, way->exact, way->exchanges, commits_before(step)};
	const struct order order = {.deed = disturbance->elsewhere};
	const struct order look_then = {.deed = LOOK};
	const char *wrong;

	*wait = order.deed >= FLUSH && is_locked();
	wrong = obey(&look_now);
	if (!wrong && disturbance->moves)
		pin(child.pid, allowed_cpu(way->prepare != free_elsewhere));
	if (wrong || order.deed == NOTHING)
		return wrong;
	if (*wait) {
		give_order(&order);
		return NULL;
	}
	wrong = obey(&order);
	return wrong ? wrong : obey(&look_then);
}

/* *@again: the place was not reached, the system has aborted a section. */
static const char *run_once(const struct way *way, const struct disturbance *disturbance,
			    size_t step, bool last, bool *again)
{
	const char *wrong = begin(way, disturbance, last);
	enum event event;
	bool wait;

	*again = false;
	if (wrong)
		return wrong;
	event = walk_to(&walk, &child, step);
	*again = event == EVENT_DONE;
	if (*again)
		return NULL;
	if (event == EVENT_DEAD)
		return "dead on its way";
	wrong = disturb(way, disturbance, step, &wait);
	if (!wrong)
		wrong = end(disturbance->in_handler ? SIGUSR1 : 0);
	if (!wrong && wait)
		wrong = reply();
	if (!wrong && task->handled != (disturbance->in_handler != NOTHING))
		return "the handler did not run";
	return wrong;
}

static const char *run(const struct way *way, const struct disturbance *disturbance, size_t step,
		       bool last)
{
	const char *wrong = NULL;
	bool again = true;

	for (int n = 0; again && n < TRIES; n++)
		wrong = run_once(way, disturbance, step, last, &again);
	tried++;
	missed += again;
	return wrong;
}

static const char *find_way(const struct way *way)
{
	const char *wrong = begin(way, &disturbances[0], true);

	if (wrong)
		return wrong;
	if (!walk_find(&walk, &child, true))
		return "there is no end of it";
	return end(0);
}

/* Inside of a critical section, or just before or behind it. */
static bool is_near_section(size_t step)
{
	const size_t first = step < 4 ? 0 : step - 4;

	for (size_t k = first; k < step + 5 && k < walk.steps; k++)
		if (walk.step[k].inside)
			return true;
	return false;
}

static void visit(size_t step)
{
	struct section *section = section_around(walk.step[step].pc);

	if (walk.step[step].inside && section)
		section->visited = true;
}

/*
 * All places of a short way; of a long one all near sections, and some others. In an
 * emulated machine, which is slow: to each place a part of the disturbances.
 */
static size_t choose(size_t *chosen, const struct disturbance *disturbance)
{
	const size_t shift = (size_t)(disturbance - disturbances);
	const size_t part = getenv("TEST_SLOW") ? 4 : 1;
	const size_t some = getenv("TEST_SECONDS") ? MOST_PLACES : (size_t)rounds(SOME_PLACES);
	const size_t each = walk.steps <= SHORT_WAY ? 1 : walk.steps / some + 1;
	size_t n = 0;

	for (size_t k = 0; k < walk.steps && n < MOST_PLACES; k++)
		if (k % each == 0 || (is_near_section(k) && walk_is_first(&walk, k))) {
			visit(k);
			if ((k + shift) % part == 0)
				chosen[n++] = k;
		}
	return n;
}

static void try_way(const struct way *way, const struct disturbance *disturbance)
{
	size_t chosen[MOST_PLACES];
	const char *wrong = find_way(way);
	const size_t n = wrong ? 0 : choose(chosen, disturbance);
	bool good = !wrong;

	if (wrong)
		diag("%s", wrong);
	for (size_t k = 0; k < n; k++) {
		wrong = run(way, disturbance, chosen[k], k == n - 1);
		if (wrong) {
			diag("step %zu of %zu, %p: %s", chosen[k], walk.steps,
			     (void *)walk.step[chosen[k]].pc, wrong);
			tracee_end(&child);
			good = false;
		}
	}
	ok(good, "%s: %s", way->name, disturbance->name);
}

/* By a debugger, whose every step aborts a section that it is in: it comes to an end. */
static void step_through(const struct way *way)
{
	const char *wrong = begin(way, &disturbances[0], true);
	const uintptr_t back = wrong ? 0 : tracee_return_address(&child);
	size_t steps = 0;

	while (!wrong && tracee_pc(&child) != back)
		if (tracee_step(&child) != EVENT_TRAP)
			wrong = "dies on its way";
		else if (++steps == WALK_STEPS)
			wrong = "there is no end of it";
	if (!wrong)
		wrong = end(0);
	ok(!wrong, "%s: stepped through", way->name);
	if (wrong) {
		diag("%s", wrong);
		tracee_end(&child);
	}
}

static bool fits(const struct way *way, const struct disturbance *disturbance)
{
	const bool same = disturbance->in_handler == SAME || disturbance->elsewhere == SAME;

	if (allowed_cpu(1) < 0 && (disturbance->moves || way->prepare == free_elsewhere))
		return false;
	return !same || way->call != call_alloc;
}

static void all_visited(void)
{
	bool visited = true;

	for (size_t n = 0; n < section_count; n++)
		if (section_is_of_magazines(&sections[n]) && !section_is_visited(&sections[n])) {
			diag("%s", sections[n].name);
			visited = false;
		}
	ok(visited, "no section of magazines that no call leads to");
}

static void try_all(void)
{
	for (size_t n = 0; n < LENGTH(ways); n++) {
		for (size_t d = 0; d < LENGTH(disturbances); d++)
			if (fits(&ways[n], &disturbances[d]))
				try_way(&ways[n], &disturbances[d]);
		diag("%s: %zu instructions", ways[n].name, walk.steps);
		step_through(&ways[n]);
	}
	all_visited();
	ok(missed * 20 < tried, "nearly all places are reached");
	diag("%zu disturbances, %zu places not reached", tried, missed);
}

int main(int argc, char **argv)
{
	mode = mode_of(argc, argv);
	ok_path(&mode);
	if (!mode.sections || under_valgrind()) {
		skip("disturbed at every instruction", "no critical sections");
		return tap_done();
	}
	owned_set_up(NULL);
	must(sections_find());
	must(pin(0, allowed_cpu(0))); /* the same CPU, so that they take turns */
	task = mmap(NULL, sizeof(*task), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (task == MAP_FAILED || !start_child()) {
		skip("disturbed at every instruction", "a child cannot be traced");
		return tap_done();
	}
	try_all();
	tracee_end(&child);
	return tap_done();
}
