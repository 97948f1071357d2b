/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Additions, of each width side by side: the sum over all instances is what all
 * threads and handlers added. Those that return the new value make a chain, too.
 */
#include "storm.h"

static struct counters *c;

#define ADD(width)                                                                                 \
	n = next_random(side);                                                                     \
	this_cpu_add(c->v##width, (uint##width##_t)n);                                             \
	side->sum[W##width] += n;
#define SUB(width)                                                                                 \
	n = next_random(side);                                                                     \
	this_cpu_sub(c->v##width, (uint##width##_t)n);                                             \
	side->sum[W##width] -= n;
#define INC(width)                                                                                 \
	this_cpu_inc(c->v##width);                                                                 \
	side->sum[W##width]++;
#define DEC(width)                                                                                 \
	this_cpu_dec(c->v##width);                                                                 \
	side->sum[W##width]--;
#define RETURN(width, call, n)                                                                     \
	{                                                                                          \
		const uint##width##_t new = call;                                                  \
                                                                                                   \
		chain_link(side, W##width, (uint##width##_t)(new - (n)), new);                     \
		side->sum[W##width] += n;                                                          \
	}
#define ADD_RETURN(width)                                                                          \
	n = next_random(side);                                                                     \
	RETURN(width, this_cpu_add_return(c->v##width, (uint##width##_t)n), n)
#define SUB_RETURN(width)                                                                          \
	n = next_random(side);                                                                     \
	RETURN(width, this_cpu_sub_return(c->v##width, (uint##width##_t)n), 0 - n)
#define INC_RETURN(width) RETURN(width, this_cpu_inc_return(c->v##width), 1)
#define DEC_RETURN(width) RETURN(width, this_cpu_dec_return(c->v##width), UINT64_MAX)

static void step_add(struct side *side)
{
	uint64_t n;

	EACH_WIDTH(ADD)
}

static void step_sub(struct side *side)
{
	uint64_t n;

	EACH_WIDTH(SUB)
}

static void step_inc(struct side *side)
{
	EACH_WIDTH(INC)
}

static void step_dec(struct side *side)
{
	EACH_WIDTH(DEC)
}

static void step_add_return(struct side *side)
{
	uint64_t n;

	EACH_WIDTH(ADD_RETURN)
}

static void step_sub_return(struct side *side)
{
	uint64_t n;

	EACH_WIDTH(SUB_RETURN)
}

static void step_inc_return(struct side *side)
{
	EACH_WIDTH(INC_RETURN)
}

static void step_dec_return(struct side *side)
{
	EACH_WIDTH(DEC_RETURN)
}

static void run(const struct storm *storm, bool returns)
{
	struct side all;

	c = CPU_ALLOC(struct counters, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(storm);
	ok_sums(storm->name, &all, c);
	if (returns) {
		ok_chains(storm->name, &all, c);
	}
	ok(cpu_sum(c->after8) == 0 && cpu_sum(c->after64) == 0, "%s: neighbours untouched",
	   storm->name);
	CPU_FREE(c);
}

static const struct storm plain[] = {
	{.name = "add", .step = step_add},
	{.name = "sub", .step = step_sub},
	{.name = "inc", .step = step_inc},
	{.name = "dec", .step = step_dec},
};
static const struct storm with_result[] = {
	{.name = "add_return", .step = step_add_return},
	{.name = "sub_return", .step = step_sub_return},
	{.name = "inc_return", .step = step_inc_return},
	{.name = "dec_return", .step = step_dec_return},
};

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	ok_path(&mode);
	for (size_t n = 0; n < sizeof(plain) / sizeof(*plain); n++)
		run(&plain[n], false);
	for (size_t n = 0; n < sizeof(with_result) / sizeof(*with_result); n++)
		run(&with_result[n], true);
	return tap_done();
}
