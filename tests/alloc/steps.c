/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A call of the library, interrupted at every instruction: by a handler that allocates
 * and frees objects of the same class, many of them, or the very object that is
 * being freed; on the CPU where it was, or on another. Each way through the library is
 * a task for a traced child, which brings about what leads there, makes the call, and
 * compares its books with the statistics.
 *
 *	child:	prepare		call(): ...	drop all, compare	stop itself
 *	tracer:			   ^ stop at an instruction, signal, go on
 *
 * The way is found first (walk.h); each place on it is tried, and some again where
 * the way comes by many times.
 */
#include "crowd.h"
#include "walk.h"

#define CLASS 24 /* bytes of the objects that it is all about */
#define MANY 40	 /* more than a magazine takes in its beginning */
#define HANG_SECONDS 20
#define FEW_PLACES 30 /* outside of sections, of one way, with one disturbance */
#define MOST_PLACES 1000

enum disturbance { NOTHING, USE, MANY_ALLOCS, MANY_FREES, SAME, MOVE, DISTURBANCES };

static const char *const disturbance_names[] = {
	[USE] = "a handler allocates and frees", [MANY_ALLOCS] = "a handler allocates many",
	[MANY_FREES] = "a handler frees many",	 [SAME] = "a handler frees the same object",
	[MOVE] = "a handler on another CPU",
};

/* One call, and what leads to it. */
struct way {
	const char *name;
	void (*prepare)(void);
	void (*call)(void);
	bool fresh; /* the way is taken once in the life of a process, or of a magazine */
};

struct task {
	const struct way *way;
	enum disturbance disturbance;
	int handled;
};

static struct task *task; /* shared by child and tracer */
static struct tracee child;
static struct mode mode;

/* The child. */

static struct owned held[MANY], victims[MANY], in_handler[MANY];
static struct books books[2]; /* of the calls, and of the handler */

static const struct request kernel = {CLASS, 4, GFP_KERNEL};

static void drop_all(struct owned *owned, struct books *whose)
{
	for (size_t n = 0; n < MANY; n++)
		owned_drop(&owned[n], whose);
}

static void make_all(struct owned *owned, struct books *whose, gfp_t flags)
{
	for (size_t n = 0; n < MANY; n++)
		if (!owned[n].ptr)
			owned_make(&owned[n], whose, (struct request){CLASS, 4, flags});
}

/*
 * What the calls work on. They do nothing but call the library: all else would be
 * stepped through, too.
 */
static struct {
	struct request request;
	size_t n;
	void *ptr[MANY];
} work;

static void handle(int number)
{
	(void)number;
	task->handled++;
	switch (task->disturbance) {
	case MANY_ALLOCS:
		make_all(in_handler, &books[1], GFP_ATOMIC);
		break;
	case MANY_FREES:
		drop_all(victims, &books[1]);
		break;
	case SAME:
		owned_expect_misuse(); /* this one or the other */
		cpu_free(work.ptr[work.n / 2], work.request.size);
		break;
	default:
		owned_make(&in_handler[0], &books[1], (struct request){CLASS, 4, GFP_ATOMIC});
		owned_make(&in_handler[1], &books[1],
			   (struct request){CLASS, 4, GFP_ATOMIC | __GFP_ZERO});
		owned_drop(&victims[0], &books[1]);
		owned_drop(&in_handler[0], &books[1]);
	}
}

static void call_alloc(void)
{
	for (size_t n = 0; n < work.n; n++)
		work.ptr[n] = cpu_alloc(work.request.size, work.request.flags, work.request.align);
}

static void call_free(void)
{
	for (size_t n = 0; n < work.n; n++)
		cpu_free(work.ptr[n], work.request.size);
}

static void call_alloc_bulk(void)
{
	must(cpu_alloc_bulk(work.request.size, work.request.flags, work.request.align, work.n,
			    work.ptr) == 0);
}

static void call_free_bulk(void)
{
	must(cpu_free_bulk(work.request.size, work.n, work.ptr) == 0);
}

static void call_trim(void)
{
	cpu_alloc_trim();
}

/* What call_alloc() got is taken now: whoever has the same is found out. */
static void take_work(void)
{
	for (size_t n = 0; n < work.n; n++) {
		must(work.ptr[n] || work.request.flags & GFP_ATOMIC);
		if (work.ptr[n])
			owned_take(&held[n], &books[0], work.request, work.ptr[n]);
		else
			books[0].eagain++;
	}
}

static void set_work(size_t n, struct request request)
{
	work.n = n;
	work.request = request;
}

static void alloc_one(void)
{
	set_work(1, kernel);
}

static void alloc_from_magazine(void)
{
	make_all(held, &books[0], GFP_KERNEL);
	drop_all(held, &books[0]);
	alloc_one();
}

static void alloc_zeroed(void)
{
	alloc_from_magazine();
	work.request.flags |= __GFP_ZERO;
}

static void alloc_atomic(void)
{
	set_work(1, (struct request){CLASS, 4, GFP_ATOMIC});
}

static void alloc_many(void)
{
	set_work(MANY, kernel);
}

static void alloc_large(void)
{
	set_work(1, (struct request){400, 64, GFP_KERNEL});
}

static void free_work(size_t n, struct request request)
{
	set_work(n, request);
	for (size_t k = 0; k < n; k++) {
		must(owned_make(&held[k], &books[0], request));
		work.ptr[k] = held[k].ptr;
	}
	for (size_t k = 0; k < n; k++)
		owned_leave(&held[k], &books[0]);
}

static void free_one(void)
{
	free_work(1, kernel);
}

static void free_many(void)
{
	free_work(MANY, kernel);
}

static void free_large(void)
{
	free_work(1, (struct request){400, 64, GFP_KERNEL});
}

static void go_elsewhere(void)
{
	if (allowed_cpu(1) >= 0)
		must(pin(0, allowed_cpu(1)));
}

static void free_one_elsewhere(void)
{
	free_one();
	go_elsewhere();
}

static void free_many_elsewhere(void)
{
	free_many();
	go_elsewhere();
}

static const struct way ways[] = {
	{"an object of a magazine", alloc_from_magazine, call_alloc, false},
	{"the same, zeroed", alloc_zeroed, call_alloc, false},
	{"an object, the magazine being empty", alloc_one, call_alloc, false},
	{"the same by GFP_ATOMIC", alloc_atomic, call_alloc, false},
	{"many objects", alloc_many, call_alloc, false},
	{"a large object", alloc_large, call_alloc, false},
	{"an object is freed", free_one, call_free, false},
	{"many are freed", free_many, call_free, false},
	{"a large one is freed", free_large, call_free, false},
	{"one is freed elsewhere", free_one_elsewhere, call_free, true},
	{"many are freed elsewhere", free_many_elsewhere, call_free, true},
	{"many at once", alloc_many, call_alloc_bulk, false},
	{"many are freed at once", free_many, call_free_bulk, false},
	{"all is trimmed", alloc_from_magazine, call_trim, false},
};

/* What the tracer looks for. */
__attribute__((noinline)) static void make_call(const struct way *way)
{
	way->call();
	__asm__ volatile("" : : : "memory"); /* no tail call: it shall return to its caller */
}

static void finish(const struct way *way)
{
	struct books sum;

	if (way->call == call_alloc || way->call == call_alloc_bulk)
		take_work();
	drop_all(held, &books[0]);
	drop_all(victims, &books[1]);
	drop_all(in_handler, &books[1]);
	sum = books[0];
	books_add(&sum, &books[1]);
	must(sum.allocs == sum.frees && sum.bytes == 0);
	must_balance_trimmed(&sum);
}

static void do_task(const struct way *way)
{
	alarm(HANG_SECONDS);
	must(pin(0, allowed_cpu(0)));
	make_all(victims, &books[1], GFP_KERNEL);
	way->prepare();
	make_call(way);
	finish(way);
}

/* Copied from the tracer, with the library ready for use. */
static void be_child(void)
{
	const struct sigaction action = {.sa_handler = handle};
	const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(nowhere, STDERR_FILENO); /* reports of misuse */
	sigaction(SIGUSR1, &action, NULL);
	for (;;) {
		raise(SIGSTOP);
		do_task(task->way);
	}
}

/* The tracer. */

static struct walk walk;
static size_t tried, missed;

/* Let the child come to its call. NULL, or what is wrong. */
static const char *begin(const struct way *way, enum disturbance disturbance)
{
	if (way->fresh)
		tracee_end(&child);
	if (!child.pid && !tracee_start(&child, be_child))
		return "no child";
	*task = (struct task){.way = way, .disturbance = disturbance};
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

static const char *disturb(const struct way *way, enum disturbance disturbance, size_t step)
{
	const char *wrong = begin(way, disturbance);
	enum event event;

	if (wrong)
		return wrong;
	event = walk_to(&walk, &child, step);
	tried++;
	missed += event == EVENT_DONE;
	if (event == EVENT_DONE)
		return NULL;
	if (event == EVENT_DEAD)
		return "dead on its way";
	if (disturbance == MOVE)
		pin(child.pid, allowed_cpu(1));
	wrong = end(SIGUSR1);
	if (!wrong && task->handled != 1)
		return "the handler did not run";
	return wrong;
}

static const char *find_way(const struct way *way)
{
	const char *wrong = begin(way, NOTHING);

	if (wrong)
		return wrong;
	if (!walk_find(&walk, &child, mode.sections))
		return "there is no end of it";
	return end(0);
}

/* Inside of a critical section, or just before or behind it: the places that matter most. */
static bool is_near_section(size_t step)
{
	const size_t first = step < 8 ? 0 : step - 8;

	for (size_t k = first; k < step + 4 && k < walk.steps; k++)
		if (walk.step[k].inside)
			return true;
	return false;
}

static size_t chosen[MOST_PLACES], chosen_count;

/*
 * Each place of the first section of a kind, once; of the rest as many as there is time
 * for, and some again where the way comes by once more.
 */
static size_t choose(void)
{
	const size_t most = getenv("TEST_SECONDS") ? MOST_PLACES : FEW_PLACES;
	uint64_t random = 88172645463325252;
	size_t n = 0;

	for (size_t k = 0; k < walk.steps && n < MOST_PLACES; k++)
		if (is_near_section(k) && walk_is_first(&walk, k))
			chosen[n++] = k;
	for (size_t k = 0; k < (size_t)rounds((int)most) && n < MOST_PLACES; k++)
		chosen[n++] = next_random(&random) % walk.steps;
	return n;
}

static void try_disturbance(const struct way *way, enum disturbance disturbance)
{
	bool good = chosen_count > 0;

	for (size_t k = 0; k < chosen_count; k++) {
		const char *wrong = disturb(way, disturbance, chosen[k]);

		if (wrong) {
			diag("step %zu of %zu, %p: %s", chosen[k], walk.steps,
			     (void *)walk.step[chosen[k]].pc, wrong);
			tracee_end(&child);
			good = false;
		}
	}
	ok(good, "%s: %s", way->name, disturbance_names[disturbance]);
}

/* Not all of them are for each way. */
static bool can_disturb(const struct way *way, enum disturbance disturbance)
{
	if (disturbance == SAME)
		return way->call == call_free;
	return disturbance != MOVE || allowed_cpu(1) >= 0;
}

static void try_way(const struct way *way)
{
	const char *wrong = find_way(way);

	if (!ok(!wrong, "%s: to its end", way->name)) {
		diag("%s", wrong);
		tracee_end(&child);
		return;
	}
	chosen_count = choose();
	for (enum disturbance d = USE; d < DISTURBANCES; d++)
		if (can_disturb(way, d))
			try_disturbance(way, d);
}

int main(int argc, char **argv)
{
	mode = mode_of(argc, argv);
	ok_path(&mode);
	owned_set_up(NULL);
	task = mmap(NULL, sizeof(*task), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (under_valgrind() || !tracee_start(&child, be_child)) {
		skip("interrupted at every instruction", "a child cannot be traced");
		return tap_done();
	}
	for (size_t n = 0; n < sizeof(ways) / sizeof(*ways); n++)
		try_way(&ways[n]);
	ok(missed < tried / 4, "most places are reached");
	diag("%zu disturbances, %zu places not reached", tried, missed);
	tracee_end(&child);
	return tap_done();
}
