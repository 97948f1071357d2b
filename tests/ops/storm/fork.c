/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fork() in the middle: the child goes on with its copy of all counters, and with
 * nobody else; what it adds is there, and the parent's sum is exact without it.
 */
#include "storm.h"

#define FORKS 20 /* at most */
#define STEPS_BETWEEN 50
#define CHILD_STEPS 20000

static struct counters *c;
static int forks; /* begun so far */
static bool in_child;
static uint64_t failed;

static void go_on(void)
{
	const uint64_t before64 = cpu_sum(c->v64);
	const uint8_t before8 = cpu_sum(c->v8);
	struct side mine;

	in_child = true;
	mine = storm_alone(rounds(CHILD_STEPS));
	must(cpu_sum(c->v64) - before64 == mine.sum[W64]);
	must((uint8_t)(cpu_sum(c->v8) - before8) == (uint8_t)mine.sum[W8]);
	_exit(0);
}

static void fork_once(void)
{
	int status = -1;
	const pid_t child = fork();

	if (child == 0)
		go_on();
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		__atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
}

static void step(struct side *side)
{
	const uint64_t n = next_random(side);

	this_cpu_add(c->v64, n);
	side->sum[W64] += n;
	this_cpu_inc(c->v8);
	side->sum[W8]++;
	if (!side->handler && !in_child && side->steps % STEPS_BETWEEN == STEPS_BETWEEN - 1 &&
	    __atomic_fetch_add(&forks, 1, __ATOMIC_RELAXED) < FORKS)
		fork_once();
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);
	struct side all;

	ok_path(&mode);
	c = CPU_ALLOC(struct counters, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(&(struct storm){.name = "fork", .step = step});
	ok(cpu_sum(c->v64) == all.sum[W64] && cpu_sum(c->v8) == (uint8_t)all.sum[W8],
	   "fork: exact sum in the parent");
	ok(forks > 0 && failed == 0, "fork: children went on with their copies");
	diag("%d children", forks < FORKS ? forks : FORKS);
	CPU_FREE(c);
	return tap_done();
}
