/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The control: additions that are not protected are lost in the same storm. So the
 * other tests would see it, if operations were not what they promise.
 */
#include "storm.h"

static struct counters *c;

/* Load, a while, store. */
static void step(struct side *side)
{
	volatile uint64_t *at = THIS_CPU(&c->v64);
	const uint64_t old = *at;

	/* A loop indeed: emulators let interrupts in at jumps only. */
	for (volatile int n = 0; n < 20; n++)
		;
	*at = old + 1;
	side->sum[W64]++;
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);
	struct side all;

	ok_path(&mode);
	if (under_valgrind()) {
		skip("control: a plain addition is lost",
		     "valgrind's threads are too well behaved");
		return tap_done();
	}
	c = CPU_ALLOC(struct counters, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(&(struct storm){.name = "control", .step = step, .no_strays = true});
	ok(cpu_sum(c->v64) != all.sum[W64], "control: plain additions are lost");
	diag("control: %" PRId64 " of them", (int64_t)(all.sum[W64] - cpu_sum(c->v64)));
	CPU_FREE(c);
	return tap_done();
}
