/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * 16 bytes. Two counters, the second of which gets three times as much as the first:
 * read together, they are always in that proportion. And a value with a
 * number that counts its changes, exchanged together.
 */
#include "storm.h"

#if CPU_ALLOC_HAS_128

static struct pair {
	uint64_t first, second;
} __attribute__((aligned(16))) * pair;

static void step_add2(struct side *side)
{
	const uint64_t n = next_random(side);
	uint64_t first, second;

	this_cpu_add2(*pair, n, 3 * n);
	side->sum[0] += n;
	this_cpu_read2(*pair, &first, &second);
	side->bad += second != 3 * first;
}

static void add2(void)
{
	struct side all;

	pair = CPU_ALLOC(struct pair, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(&(struct storm){.name = "add2, read2", .step = step_add2});
	ok(cpu_sum(pair->first) == all.sum[0], "add2: exact sum of the first");
	ok(cpu_sum(pair->second) == 3 * all.sum[0], "add2: exact sum of the second");
	ok(all.bad == 0, "read2: never one half of an add2");
	CPU_FREE(pair);
}

static cpu_alloc_u128 *versioned;

static uint64_t fingerprint_128(cpu_alloc_u128 value)
{
	return fingerprint((uint64_t)value + 5 * fingerprint((uint64_t)(value >> 64)));
}

static void step_cmpxchg(struct side *side)
{
	const uint64_t value = next_random(side);
	cpu_alloc_u128 old = 0, found, new;

	for (;; old = found) {
		new = (cpu_alloc_u128)((uint64_t)(old >> 64) + 1) << 64 | value;
		found = this_cpu_cmpxchg128(*versioned, old, new);
		if (found == old)
			break;
	}
	side->sum[0]++;
	side->chain[0] += fingerprint_128(new) - fingerprint_128(old);
}

static void cmpxchg128(void)
{
	uint64_t changes = 0, end = 0;
	struct side all;

	versioned = CPU_ALLOC(cpu_alloc_u128, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(&(struct storm){.name = "cmpxchg128", .step = step_cmpxchg});
	cpu_alloc_for_each (i) {
		changes += (uint64_t)(*CPU_PTR(versioned, i) >> 64);
		end += fingerprint_128(*CPU_PTR(versioned, i)) - fingerprint_128(0);
	}
	ok(changes == all.sum[0], "cmpxchg128: every change counted once");
	ok(end == all.chain[0], "cmpxchg128: what was put in was taken out once");
	CPU_FREE(versioned);
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	ok_path(&mode);
	add2();
	cmpxchg128();
	return tap_done();
}

#else

int main(void)
{
	skip("16 bytes", "not on this architecture");
	return tap_done();
}

#endif
