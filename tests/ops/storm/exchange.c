/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Exchanges. By xchg, values are put in and taken out again: each one once. By
 * cmpxchg and try_cmpxchg, threads add: the sum is exact; and each value that an
 * exchange succeeded with was the one that another had put there.
 */
#include "storm.h"

static struct counters *c;

#define XCHG(width)                                                                                \
	{                                                                                          \
		const uint##width##_t new = (uint##width##_t)next_random(side);                    \
                                                                                                   \
		chain_link(side, W##width, this_cpu_xchg(c->v##width, new), new);                  \
	}
#define CMPXCHG(width)                                                                             \
	{                                                                                          \
		const uint##width##_t n = (uint##width##_t)next_random(side);                      \
		uint##width##_t old = this_cpu_read(c->v##width), found, new;                      \
                                                                                                   \
		for (;; old = found) {                                                             \
			new = (uint##width##_t)(old + n);                                          \
			found = this_cpu_cmpxchg(c->v##width, old, new);                           \
			if (found == old)                                                          \
				break;                                                             \
		}                                                                                  \
		side->sum[W##width] += n;                                                          \
		chain_link(side, W##width, old, new);                                              \
	}
#define TRY_CMPXCHG(width)                                                                         \
	{                                                                                          \
		const uint##width##_t n = (uint##width##_t)next_random(side);                      \
		uint##width##_t old = 0, new; /* a bad guess, most times */                        \
                                                                                                   \
		do                                                                                 \
			new = (uint##width##_t)(old + n);                                          \
		while (!this_cpu_try_cmpxchg(c->v##width, &old, new));                             \
		side->sum[W##width] += n;                                                          \
		chain_link(side, W##width, old, new);                                              \
	}

static void step_xchg(struct side *side)
{
	EACH_WIDTH(XCHG)
}

static void step_cmpxchg(struct side *side)
{
	EACH_WIDTH(CMPXCHG)
}

static void step_try_cmpxchg(struct side *side)
{
	EACH_WIDTH(TRY_CMPXCHG)
}

static void run(const struct storm *storm, bool adds)
{
	struct side all;

	c = CPU_ALLOC(struct counters, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(storm);
	ok_chains(storm->name, &all, c);
	if (adds) {
		ok_sums(storm->name, &all, c);
	}
	ok(cpu_sum(c->after8) == 0 && cpu_sum(c->after64) == 0, "%s: neighbours untouched",
	   storm->name);
	CPU_FREE(c);
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	ok_path(&mode);
	run(&(struct storm){.name = "xchg", .step = step_xchg}, false);
	run(&(struct storm){.name = "cmpxchg", .step = step_cmpxchg}, true);
	run(&(struct storm){.name = "try_cmpxchg", .step = step_try_cmpxchg}, true);
	return tap_done();
}
