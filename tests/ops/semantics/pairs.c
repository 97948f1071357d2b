/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The operations on 16 bytes: two counters that do not carry into each other, and
 * the exchange, which fails for a difference in either half. As macros and as
 * symbols; guards on both sides.
 */
#include "modes.h"

#if CPU_ALLOC_HAS_128

#define GUARD UINT64_C(0xa5a5a5a5a5a5a5a5)

struct two {
	uint64_t first, second;
} __attribute__((aligned(16)));

static struct object {
	uint64_t before[2];
	union {
		struct two two;
		cpu_alloc_u128 wide;
		__int128 negative;
	};
	uint64_t after[2];
} * p;
static int here;

static cpu_alloc_u128 wide(uint64_t low, uint64_t high)
{
	return (cpu_alloc_u128)high << 64 | low;
}

static void set(uint64_t first, uint64_t second)
{
	cpu_alloc_for_each (i)
		*CPU_PTR(p, i) =
			(struct object){{GUARD, GUARD}, {.two = {first, second}}, {GUARD, GUARD}};
}

/* This index holds @new_first and @new_second, all others what set() left there. */
static bool holds(uint64_t first, uint64_t second, uint64_t new_first, uint64_t new_second)
{
	bool right = true;

	cpu_alloc_for_each (i) {
		const struct object *at = CPU_PTR(p, i);

		right &= at->two.first == (i == here ? new_first : first);
		right &= at->two.second == (i == here ? new_second : second);
		right &= at->before[0] == GUARD && at->before[1] == GUARD;
		right &= at->after[0] == GUARD && at->after[1] == GUARD;
	}
	return right;
}

static const uint64_t values[] = {
	0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT64_C(0x123456789abcdef0)};
#define VALUES (sizeof(values) / sizeof(*values))

/* All combinations of what is there and what is added. */
static bool all_sums(bool symbol)
{
	bool right = true;

	for (size_t k = 0; k < VALUES * VALUES * VALUES * VALUES; k++) {
		const uint64_t first = values[k % VALUES], second = values[k / VALUES % VALUES];
		const uint64_t a = values[k / VALUES / VALUES % VALUES];
		const uint64_t b = values[k / VALUES / VALUES / VALUES];

		set(first, second);
		if (symbol)
			this_cpu_add2_64(&p->two.first, a, b);
		else
			this_cpu_add2(p->two, a, b);
		right &= holds(first, second, first + a, second + b);
	}
	return right;
}

static void add2(void)
{
	int a = 0;

	set(UINT64_MAX, 5);
	this_cpu_add2(p->two, 1, 0);
	ok(holds(UINT64_MAX, 5, 0, 5), "add2: an overflow of the first does not carry");
	set(3, 3);
	this_cpu_add2(p->two, -1, -4);
	ok(holds(3, 3, 2, UINT64_MAX), "add2: negative numbers");
	set(0, 0);
	this_cpu_add2(p->two, ++a, 7);
	ok(a == 1 && holds(0, 0, 1, 7), "add2: arguments are evaluated once");
	set(0, 0);
	this_cpu_add2(p->wide, 1, 2);
	ok(holds(0, 0, 1, 2), "add2: on any type of 16 bytes, the first half lower in memory");
	ok(all_sums(false), "add2: all sums of remarkable numbers");
	ok(all_sums(true), "add2, symbol: all sums of remarkable numbers");
	ok(__builtin_types_compatible_p(__typeof__(this_cpu_add2(p->two, 1, 2)), void),
	   "add2 has no result");
}

static bool reads(uint64_t first, uint64_t second)
{
	uint64_t a = 1, b = 2, c = 3, d = 4;

	set(first, second);
	this_cpu_read2(p->two, &a, &b);
	this_cpu_read2_64(&p->two.first, &c, &d);
	return a == first && b == second && c == first && d == second &&
	       holds(first, second, first, second);
}

static bool all_reads(void)
{
	bool right = true;

	for (size_t k = 0; k < VALUES * VALUES; k++)
		right &= reads(values[k % VALUES], values[k / VALUES]);
	return right;
}

/* Compare with what differs in the halves that @low and @high name, by one bit. */
static bool exchange(uint64_t low, uint64_t high, bool symbol)
{
	const uint64_t first = 11, second = 22;
	const bool equal = low == 0 && high == 0;
	cpu_alloc_u128 found;

	set(first, second);
	if (symbol)
		found = this_cpu_cmpxchg_128(&p->wide, wide(first ^ low, second ^ high),
					     wide(1, 2));
	else
		found = this_cpu_cmpxchg128(p->wide, wide(first ^ low, second ^ high), wide(1, 2));
	return found == wide(first, second) &&
	       holds(first, second, equal ? 1 : first, equal ? 2 : second);
}

static bool all_differences(bool low, bool high, bool symbol)
{
	bool right = true;

	for (int bit = 0; bit < 64; bit++)
		right &= exchange(low ? UINT64_C(1) << bit : 0, high ? UINT64_C(1) << bit : 0,
				  symbol);
	return right;
}

static void cmpxchg128(void)
{
	for (int symbol = 0; symbol < 2; symbol++) {
		const char *name = symbol ? "cmpxchg128, symbol" : "cmpxchg128";

		ok(exchange(0, 0, symbol), "%s: equal", name);
		ok(all_differences(true, false, symbol), "%s: the low half differs", name);
		ok(all_differences(false, true, symbol), "%s: the high half differs", name);
		ok(all_differences(true, true, symbol), "%s: both halves differ", name);
	}
	set(UINT64_MAX, UINT64_MAX);
	ok(this_cpu_cmpxchg128(p->negative, -1, -2) == -1 &&
		   holds(UINT64_MAX, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX),
	   "cmpxchg128: on a signed number");
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	p = CPU_ALLOC(struct object, GFP_KERNEL | __GFP_ZERO);
	ok_path(&mode);
	must(pin(0, allowed_cpu(0)));
	here = cpu_alloc_index();
	add2();
	ok(all_reads(), "read2: both, as macro and as symbol, and nothing changes");
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
