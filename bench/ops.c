/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * this_cpu operations beside what they would cost without their promise.
 *
 *	ops add LABEL		this_cpu_add, beside
 *				- the same unprotected: read the index, form the
 *				  address, add
 *				- a bare add to an array that lies at a fixed address
 *				- a locked add to the same array, which nobody else uses
 *	ops others LABEL	the others, beside __this_cpu operations, which are
 *				what the compiler makes of plain loads and stores
 *
 * LABEL says in the CSV how the environment lets the library work. There are
 * targets only where that is by restartable sequences.
 */
#include "walk.h"

#include <cpu_alloc.h>
#include <string.h>

static inline __attribute__((always_inline)) void bare(uint64_t *at, uint64_t n)
{
	*at += n;
}

static inline __attribute__((always_inline)) void locked(uint64_t *at, uint64_t n)
{
	__atomic_fetch_add(at, n, __ATOMIC_RELAXED);
}

#define OPERATION(name, type, statement)                                                           \
	static inline __attribute__((always_inline)) void name(uint64_t *at, uint64_t n)           \
	{                                                                                          \
		type *const v = (type *)at;                                                        \
                                                                                                   \
		(void)n;                                                                           \
		statement;                                                                         \
	}                                                                                          \
	WALK_LOOPS(name)

/* this_cpu_@name and __this_cpu_@name. */
#define OPERATIONS_PAIR(name, width, protected, plain)                                             \
	OPERATION(name##_##width##_protected, uint##width##_t, protected)                          \
	OPERATION(name##_##width##_plain, uint##width##_t, plain)

#define VOID_PAIR(name, width, ...)                                                                \
	OPERATIONS_PAIR(name, width, this_cpu_##name(*v, ##__VA_ARGS__),                           \
			__this_cpu_##name(*v, ##__VA_ARGS__))
#define VALUE_PAIR(name, width, ...)                                                               \
	OPERATIONS_PAIR(name, width, use_value(this_cpu_##name(*v, ##__VA_ARGS__)),                \
			use_value(__this_cpu_##name(*v, ##__VA_ARGS__)))

/* @n, which the compiler cannot know: or it leaves out the plain store of what is there. */
static inline __attribute__((always_inline)) uint64_t same(uint64_t n)
{
	__asm__("" : "+r"(n));
	return n;
}

WALK_LOOPS(bare)
WALK_LOOPS(locked)
VOID_PAIR(add, 64, n)
VOID_PAIR(add, 32, (uint32_t)n)
VOID_PAIR(add, 16, (uint16_t)n)
VOID_PAIR(add, 8, (uint8_t)n)
VOID_PAIR(write, 64, n)
VOID_PAIR(and, 64, n)
VOID_PAIR(or, 64, n)
VALUE_PAIR(read, 64)
VALUE_PAIR(add_return, 64, n)
VALUE_PAIR(xchg, 64, n)
VALUE_PAIR(cmpxchg, 64, n, same(n))

#if CPU_ALLOC_HAS_128
/* The plain forms of operations on 16 bytes: what a careful programmer would write. */
typedef uint64_t two_words __attribute__((vector_size(16)));

static inline void show_two(uint64_t first, uint64_t second)
{
	use_value(first);
	use_value(second);
}

OPERATION(add2_protected, two_words, this_cpu_add2(*v, n, n))
OPERATION(add2_plain, two_words, *__THIS_CPU(v) += ((two_words){n, n}))
OPERATION(read2_protected, two_words, uint64_t a; uint64_t b; this_cpu_read2(*v, &a, &b);
	  show_two(a, b))
OPERATION(read2_plain, two_words, two_words pair = *__THIS_CPU(v); show_two(pair[0], pair[1]))
static inline __attribute__((always_inline)) cpu_alloc_u128 both(uint64_t n)
{
	return (cpu_alloc_u128)n << 64 | n;
}

static inline __attribute__((always_inline)) cpu_alloc_u128
plain_cmpxchg128(cpu_alloc_u128 *at, cpu_alloc_u128 expected, cpu_alloc_u128 value)
{
	const cpu_alloc_u128 old = *at;

	if (old == expected)
		*at = value;
	return old;
}

OPERATION(cmpxchg128_protected, cpu_alloc_u128,
	  use_value((uint64_t)this_cpu_cmpxchg128(*v, both(n), both(same(n)))))
OPERATION(cmpxchg128_plain, cpu_alloc_u128,
	  use_value((uint64_t)plain_cmpxchg128(__THIS_CPU(v), both(n), both(same(n)))))
#endif

static const struct {
	const char *name;
	int bits;
	walk_loop *const (*protected)[PLACES], *const (*plain)[PLACES];
} operations[] = {
#define PAIR(name, width)                                                                          \
	{                                                                                          \
#name, width, name##_##width##_protected_loops, name##_##width##_plain_loops       \
	}
	PAIR(read, 64),
	PAIR(write, 64),
	PAIR(and, 64),
	PAIR(or, 64),
	PAIR(xchg, 64),
	PAIR(cmpxchg, 64),
	PAIR(add_return, 64),
	PAIR(add, 32),
	PAIR(add, 16),
	PAIR(add, 8),
#undef PAIR
#if CPU_ALLOC_HAS_128
	{"add2", 128, add2_protected_loops, add2_plain_loops},
	{"read2", 128, read2_protected_loops, read2_plain_loops},
	{"cmpxchg128", 128, cmpxchg128_protected_loops, cmpxchg128_plain_loops},
#endif
};

static uint64_t fixed[WALK_BYTES / sizeof(uint64_t)] __attribute__((aligned(4096)));

static uint64_t *counters;
static const char *label;
static bool by_sections;

/* A target, where there are any. */
static char at_most(void)
{
	return by_sections ? '<' : 0;
}

static void measure_add(const struct walk *walk)
{
	enum { BARE, LOCKED, PLAIN, THIS_CPU, CONTENDERS };
	static const char *const names[] = {"bare", "locked", "unprotected", "this_cpu"};
	const struct contender contenders[] = {
		[BARE] = {bare_loops, fixed},
		[LOCKED] = {locked_loops, fixed},
		[PLAIN] = {add_64_plain_loops, counters},
		[THIS_CPU] = {add_64_protected_loops, counters},
	};
	struct rounds rounds[CONTENDERS];

	measure_walk(walk, contenders, CONTENDERS, rounds);
	for (int i = 0; i < CONTENDERS; i++)
		report(rounds[i], "ns", 0, 0, "add", "bits=64 %s %s %s", label, walk->name,
		       names[i]);
	report(ratio(&rounds[THIS_CPU], &rounds[PLAIN]), "times", at_most(), 1.3, "add",
	       "bits=64 %s %s this_cpu/unprotected", label, walk->name);
	report(ratio(&rounds[THIS_CPU], &rounds[BARE]), "times", at_most(), 2.2, "add",
	       "bits=64 %s %s this_cpu/bare", label, walk->name);
	report(ratio(&rounds[LOCKED], &rounds[THIS_CPU]), "times",
	       by_sections && walk->way != ONE ? '>' : 0, 3, "add", "bits=64 %s %s locked/this_cpu",
	       label, walk->name);
}

/* All counters 1, on every CPU: what cmpxchg expects to find, and leaves. */
static void fill(void)
{
	cpu_alloc_for_each (i)
		for (size_t k = 0; k < WALK_BYTES / sizeof(*counters); k++)
			CPU_PTR(counters, i)[k] = 1;
}

static void measure_other(size_t which, const struct walk *walk)
{
	const struct contender contenders[] = {
		{operations[which].plain, counters},
		{operations[which].protected, counters},
	};
	const char *const name = operations[which].name;
	const int bits = operations[which].bits;
	struct rounds rounds[2];

	fill();
	measure_walk(walk, contenders, 2, rounds);
	report(rounds[0], "ns", 0, 0, name, "bits=%d %s %s unprotected", bits, label, walk->name);
	report(rounds[1], "ns", 0, 0, name, "bits=%d %s %s this_cpu", bits, label, walk->name);
	report(ratio(&rounds[1], &rounds[0]), "times", at_most(), 1.5, name,
	       "bits=%d %s %s this_cpu/unprotected", bits, label, walk->name);
}

static void set_up(void)
{
	counters = (uint64_t *)cpu_alloc(WALK_BYTES, GFP_KERNEL | __GFP_ZERO, 64);
	if (!counters) {
		perror("ops: cpu_alloc");
		exit(1);
	}
	by_sections = !strncmp(cpu_alloc_path(), "rseq", 4);
	printf("# %s: %s\n", label, cpu_alloc_path());
	shuffle_order();
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: ops add|others LABEL\n", stderr);
		return 2;
	}
	label = argv[2];
	set_up();
	if (!strcmp(argv[1], "add"))
		for (size_t i = 0; i < WALK_COUNT; i++)
			measure_add(&walks[i]);
	if (!strcmp(argv[1], "others"))
		for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
			measure_other(i, &walks[0]);
			measure_other(i, &walks[3]);
		}
	return 0;
}
