/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Moved in the middle: a thread works on an object that is its own alone, while
 * another moves it from CPU to CPU and back. Once the system says that it was
 * moved, nothing may change any more on the CPU that it has left, whatever it was
 * at: an operation that read its index there and is committed elsewhere would show.
 *
 *	mover:	move the thread from A to B
 *		copy the instance of A
 *		wait until the thread has worked on
 *		compare
 */
#include "storm.h"

#define ROUNDS 200
#define MOST_MS 50 /* for each operation; some rounds have to do where all CPUs are busy */
#define STEPS 3

static struct object {
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;
#if CPU_ALLOC_HAS_128
	cpu_alloc_u128 wide;
#endif
} * p;

static void (*volatile operation)(uint64_t n);
static volatile uint64_t steps;
static volatile pid_t thread_id;
static volatile bool finished;

/* Each of them changes the instance, if @n is one more each time. */
#define WRITERS(width)                                                                             \
	static void add_##width(uint64_t n)                                                        \
	{                                                                                          \
		(void)n;                                                                           \
		this_cpu_inc(p->v##width);                                                         \
	}                                                                                          \
	static void add_return_##width(uint64_t n)                                                 \
	{                                                                                          \
		(void)this_cpu_add_return(p->v##width, (uint##width##_t)(n | 1));                  \
	}                                                                                          \
	static void write_##width(uint64_t n)                                                      \
	{                                                                                          \
		this_cpu_write(p->v##width, (uint##width##_t)n);                                   \
	}                                                                                          \
	static void xchg_##width(uint64_t n)                                                       \
	{                                                                                          \
		(void)this_cpu_xchg(p->v##width, (uint##width##_t)n);                              \
	}                                                                                          \
	static void cmpxchg_##width(uint64_t n)                                                    \
	{                                                                                          \
		static uint##width##_t old;                                                        \
                                                                                                   \
		if (this_cpu_try_cmpxchg(p->v##width, &old, (uint##width##_t)n))                   \
			old = (uint##width##_t)n;                                                  \
	}                                                                                          \
	static void or_and_##width(uint64_t n)                                                     \
	{                                                                                          \
		this_cpu_or(p->v##width, (uint##width##_t)(1 << n % 8));                           \
		this_cpu_and(p->v##width, (uint##width##_t) ~(1 << (n - 4) % 8));                  \
	}
EACH_WIDTH(WRITERS)

#if CPU_ALLOC_HAS_128
static void add2(uint64_t n)
{
	this_cpu_add2(p->wide, 1, n);
}

static void cmpxchg_128(uint64_t n)
{
	static cpu_alloc_u128 old;
	const cpu_alloc_u128 found = this_cpu_cmpxchg128(p->wide, old, n);

	old = found == old ? n : found;
}
#endif

#define ENTRIES(width)                                                                             \
	{"add, " #width " bits", add_##width},                                                     \
		{"add_return, " #width " bits", add_return_##width},                               \
		{"write, " #width " bits", write_##width},                                         \
		{"xchg, " #width " bits", xchg_##width},                                           \
		{"cmpxchg, " #width " bits", cmpxchg_##width},                                     \
		{"or, and, " #width " bits", or_and_##width},
static const struct {
	const char *name;
	void (*function)(uint64_t n);
} operations[] = {
	EACH_WIDTH(ENTRIES)
#if CPU_ALLOC_HAS_128
		{"add2", add2},
	{"cmpxchg128", cmpxchg_128},
#endif
};

static void *work(void *unused)
{
	thread_id = gettid();
	for (uint64_t n = 0; !finished; n++) {
		operation(n);
		steps = n;
	}
	return unused;
}

/* Let it work. Not always for the same time, or it would be met at the same place. */
static void wait_for_steps(uint64_t more)
{
	const uint64_t until = steps + more;

	while (steps < until)
		sched_yield();
}

static int late_changes(struct side *chance)
{
	const int64_t end = storm_now_ms() + MOST_MS;
	struct object left;
	int late = 0;

	for (int round = 0; round < ROUNDS && storm_now_ms() < end; round++) {
		const int from = allowed_cpu(round % 2), to = allowed_cpu(1 - round % 2);

		must(pin(thread_id, to));
		memcpy(&left, CPU_PTR(p, from), sizeof(left));
		must(pin(0, from)); /* out of its way */
		wait_for_steps(STEPS + next_random(chance) % 64);
		late += memcmp(&left, CPU_PTR(p, from), sizeof(left)) != 0;
	}
	return late;
}

static void move_all(void)
{
	struct side chance = {.random = 88172645463325252};
	pthread_t thread;

	operation = operations[0].function;
	must(pthread_create(&thread, NULL, work, NULL) == 0);
	while (thread_id == 0)
		sched_yield();
	for (size_t k = 0; k < sizeof(operations) / sizeof(*operations); k++) {
		int late;

		operation = operations[k].function;
		late = late_changes(&chance);
		ok(late == 0, "%s: nothing changes where the thread is no more",
		   operations[k].name);
		if (late)
			diag("it does, %d times", late);
	}
	finished = true;
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	p = CPU_ALLOC(struct object, GFP_KERNEL | __GFP_ZERO);
	ok_path(&mode);
	if (!mode.sections)
		skip("moved in the middle",
		     "atomic instructions may follow a CPU number that is old");
	else if (mode.cid)
		skip("moved in the middle", "concurrency ids are not those of a CPU");
	else if (allowed_cpu(1) < 0)
		skip("moved in the middle", "there is one CPU only");
	else
		move_all();
	return tap_done();
}
