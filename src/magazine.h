/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Magazines: short stacks of free objects, one for each index and class (a number of
 * units), worked by critical sections. Bonwick and Adams, "Magazines and Vmem", 2001;
 * per CPU instead of per thread, as tcmalloc has them.
 *
 *	base             base + MAGAZINES_STRIDE
 *	| index 0: class 1 | 2 | ... | 64 |    | index 1: class 1 | 2 | ...
 *
 *	one:  word  floor[2]  cap  tag  ...  slot[0] slot[1] ... slot[n - 1]
 *	       \_ pops so far << 11 | n
 *
 * A section commits one word, so one addition pops an object and counts it. Nobody
 * else writes `word` and the slots while the magazine is open. Closed (floor[] all
 * ones, cap 0) and after a fence no section can commit, and whoever closed it may.
 *
 * A section looks whether it is closed before it looks how much there is: one that does
 * so while it is closed is not stopped by a fence, and may be slow until it is empty and
 * open again.
 *
 * Whoever reads memory that was never written reads zeros: n is not above floor, nor
 * below cap; both sections fail.
 */
#ifndef CPU_ALLOC_MAGAZINE_H
#define CPU_ALLOC_MAGAZINE_H

#include "cpu_alloc.h"
#include "objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAGAZINE_N_BITS 11
#define MAGAZINE_N_MASK ((1U << MAGAZINE_N_BITS) - 1)
#define MAGAZINE_CLOSED UINT32_MAX  /* of floor[] */
#define MAGAZINE_NOTHING UINT32_MAX /* no slot */
#define MAGAZINE_FRESH (1U << 31)   /* in a slot: the object is known to be zero everywhere */

/* Whom a floor is for: those who leave a reserve, and GFP_ATOMIC, which may take it. */
enum magazine_floor { FLOOR_RESERVE, FLOOR_ATOMIC };

struct magazine {
	uint64_t word;
	uint32_t floor[2];
	uint32_t cap;
	uint16_t tag; /* the state of what is popped: biased to this index, or shared */
	/* From here on no section looks. */
	uint16_t open_cap;   /* while closed */
	uint16_t quiet;	     /* refills since the lock was contended last */
	uint16_t shared_for; /* frees until objects are biased again; 0: they are */
	uint16_t patience;   /* how many such frees it took last time */
	bool spilled;	     /* it was full since the last refill */
	uint32_t slot[];
};

/* Its parts as the sections name them. */
#define MAGAZINE_FLOOR_RESERVE "8"
#define MAGAZINE_FLOOR_ATOMIC "12"
#define MAGAZINE_CAP "16"
#define MAGAZINE_TAG "20"
#define MAGAZINE_SLOT "32"
#define MAGAZINE_LAST_SLOT "28" /* slot[-1] */

_Static_assert(offsetof(struct magazine, floor) == 8 && offsetof(struct magazine, cap) == 16 &&
		       offsetof(struct magazine, tag) == 20 &&
		       offsetof(struct magazine, slot) == 32,
	       "the sections' offsets");

/* An odd number of the largest pages of the architecture. */
#if defined(__x86_64__)
#define MAGAZINES_STRIDE ((size_t)108 << 10)
#else
#define MAGAZINES_STRIDE ((size_t)192 << 10)
#endif

/* How a thread finds its index: the two offsets of arch.h, in registers. */
struct magazine_way {
	ptrdiff_t known, index;
};

/*
 * Where they are, and what they are for: all zero until there are magazines, constant then.
 * One comparison of a size, or an offset, tells also whether there are any.
 */
struct magazines {
	size_t sizes;	/* of objects from 1 to so many bytes, */
	size_t offsets; /* at less than so many bytes of an area: biased to indices */
	struct magazine_way way;
	char *class[SMALL_UNITS + 1]; /* the magazine of index 0 of so many units */
};

/* Bytes of magazines that there are for one index. */
#define MAGAZINES_BYTES ((size_t)108 << 10)

/* Bytes of one magazine. */
static inline uint32_t magazine_bytes(uint32_t units)
{
	const uint32_t line = 64; /* shifts neighbours to other sets of a cache */

	return (units <= 8 ? 8192 : units <= 16 ? 2048 : units <= 32 ? 1024 : 512) - line;
}

/* Objects that it may hold: 32 KiB, as far as there is room for slots. */
static inline uint32_t magazine_slots(uint32_t units)
{
	const uint32_t room =
		(magazine_bytes(units) - (uint32_t)sizeof(struct magazine)) / sizeof(uint32_t);
	const uint32_t most = (32 << 10) / (units * (uint32_t)CPU_ALLOC_UNIT);

	return most < room ? most : room;
}

static inline struct magazine *magazine_at(const struct magazines *magazines, int index,
					   uint32_t units)
{
	return (void *)(magazines->class[units] + index * (ptrdiff_t)MAGAZINES_STRIDE);
}

/* Of the words that are written without sections. */
static inline uint32_t magazine_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void magazine_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE); /* opened, it is as it was left */
}

static inline uint32_t magazine_n(const struct magazine *magazine)
{
	return (uint32_t)__atomic_load_n(&magazine->word, __ATOMIC_RELAXED) & MAGAZINE_N_MASK;
}

static inline uint64_t magazine_pops(const struct magazine *magazine)
{
	return __atomic_load_n(&magazine->word, __ATOMIC_RELAXED) >> MAGAZINE_N_BITS;
}

/*
 * One attempt each, on the magazine of the index that the thread is on at the commit; @class
 * is that of index 0. Async-signal-safe. What fails has changed nothing: the thread was
 * interrupted, or is not known, or
 *
 * magazine_pop	  there was nothing above the floor. Returns a slot, and the state
 *		  that the object shall get, or MAGAZINE_NOTHING.
 *		  One addition to the word takes an object and counts the pop.
 * magazine_push  there were `cap` objects.
 * magazine_claim the @state of the object of @units is not that of one biased to
 *		  this index. Else it is 0 now. Only where there is a bias.
 */

#if CPU_ALLOC_SECTIONS

/* One instruction a line: */
/* clang-format off */

#if defined(__x86_64__)

#define MAGAZINE_POP(name, floor)                                              \
static inline uint32_t name(struct magazine_way way, const char *class,        \
			    uint32_t *state)                                   \
{                                                                              \
	uint64_t index_then_tag = (uint64_t)way.index, slot;                   \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("magazine.pop",                     \
					   "movl $-1, %k[slot]\n\tjmp 2f")     \
			 "movl " floor "(%%rax), %k[index]\n\t"                \
			 "movl (%%rax), %k[slot]\n\t"                          \
			 "andl %[mask], %k[slot]\n\t"                          \
			 "cmpl %k[index], %k[slot]\n\t"                        \
			 "jbe 3b\n\t"                                          \
			 "movl " MAGAZINE_LAST_SLOT "(%%rax,%[slot],4), %k[slot]\n\t" \
			 "movzwl " MAGAZINE_TAG "(%%rax), %k[index]\n\t"       \
			 "addq %[mask], (%%rax)\n2:"                           \
			 : [slot] "=&r"(slot), [index] "+&r"(index_then_tag)   \
			 : [known] "r"(way.known), [handle] "r"(class),        \
			   [stride] "i"(MAGAZINES_STRIDE), [mask] "i"(MAGAZINE_N_MASK) \
			 : "rax", "memory", "cc");                             \
	*state = (uint32_t)index_then_tag;                                     \
	return (uint32_t)slot;                                                 \
}

MAGAZINE_POP(magazine_pop, MAGAZINE_FLOOR_RESERVE)
MAGAZINE_POP(magazine_pop_reserve, MAGAZINE_FLOOR_ATOMIC)

static inline bool magazine_push(struct magazine_way way, const char *class, uint32_t slot)
{
	__asm__ goto(CPU_ALLOC_SECTION("magazine.push", CPU_ALLOC_GOTO)
		     "movl " MAGAZINE_CAP "(%%rax), %%edx\n\t"
		     "movl (%%rax), %%ecx\n\t"
		     "andl %[mask], %%ecx\n\t"
		     "cmpl %%edx, %%ecx\n\t"
		     "jae %l[failed]\n\t"
		     "movl %[slot], " MAGAZINE_SLOT "(%%rax,%%rcx,4)\n\t"
		     "addq $1, (%%rax)\n2:"
		     :
		     : [known] "r"(way.known), [index] "r"(way.index), [handle] "r"(class),
		       [stride] "i"(MAGAZINES_STRIDE), [slot] "r"(slot),
		       [mask] "i"(MAGAZINE_N_MASK)
		     : "rax", "rcx", "rdx", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

/* The frame of sections forms an address, but here it is a state: index x 64 + that of index 0. */
static inline bool magazine_claim(struct magazine_way way, size_t units, uint16_t *state)
{
	__asm__ goto(CPU_ALLOC_SECTION("magazine.claim", CPU_ALLOC_GOTO)
		     "cmpw %%ax, (%[state])\n\t"
		     "jne %l[failed]\n\t"
		     "movw $0, (%[state])\n2:"
		     :
		     : [known] "r"(way.known), [index] "r"(way.index),
		       [handle] "r"((OWNER_BIASED << 6) - 1 + (uint64_t)units),
		       [stride] "i"(SMALL_UNITS), [state] "r"(state)
		     : "rax", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

#elif defined(__aarch64__)

#define MAGAZINE_WAY                                                           \
	[known] "r"(cpu_alloc_thread_pointer() + way.known),                   \
	[index] "r"(cpu_alloc_thread_pointer() + way.index)

#define MAGAZINE_POP(name, floor)                                              \
static inline uint32_t name(struct magazine_way way, const char *class,        \
			    uint32_t *state)                                   \
{                                                                              \
	uint32_t slot, tag;                                                    \
                                                                               \
	__asm__ volatile(CPU_ALLOC_SECTION("magazine.pop",                     \
					   "mov %w[slot], #-1\n\tb 4f")        \
			 "add x12, x9, #" floor "\n\t"                         \
			 "ldar w12, [x12]\n\t"                                 \
			 "ldr x10, [x9]\n\t"                                   \
			 "mov %w[slot], #-1\n\t"                               \
			 "and w11, w10, %[mask]\n\t"                           \
			 "cmp w11, w12\n\t"                                    \
			 "b.ls 4f\n\t"                                         \
			 "add x12, x9, w11, uxtw #2\n\t"                       \
			 "ldr %w[slot], [x12, #" MAGAZINE_LAST_SLOT "]\n\t"    \
			 "ldrh %w[tag], [x9, #" MAGAZINE_TAG "]\n\t"           \
			 "add x10, x10, %[mask]\n\t"                           \
			 "str x10, [x9]\n2:\n4:"                               \
			 : [slot] "=&r"(slot), [tag] "=&r"(tag)                \
			 : MAGAZINE_WAY, [area_0] "r"(class),                  \
			   [stride] "r"((int)MAGAZINES_STRIDE), [mask] "i"(MAGAZINE_N_MASK) \
			 : "x9", "x10", "x11", "x12", "x16", "x17", "memory", "cc"); \
	*state = tag;                                                          \
	return slot;                                                           \
}

MAGAZINE_POP(magazine_pop, MAGAZINE_FLOOR_RESERVE)
MAGAZINE_POP(magazine_pop_reserve, MAGAZINE_FLOOR_ATOMIC)

static inline bool magazine_push(struct magazine_way way, const char *class, uint32_t slot)
{
	__asm__ goto(CPU_ALLOC_SECTION("magazine.push", CPU_ALLOC_GOTO)
		     "add x12, x9, #" MAGAZINE_CAP "\n\t"
		     "ldar w12, [x12]\n\t"
		     "ldr x10, [x9]\n\t"
		     "and w11, w10, %[mask]\n\t"
		     "cmp w11, w12\n\t"
		     "b.hs %l[failed]\n\t"
		     "add x12, x9, w11, uxtw #2\n\t"
		     "str %w[slot], [x12, #" MAGAZINE_SLOT "]\n\t"
		     "add x10, x10, #1\n\t"
		     "stlr x10, [x9]\n2:"
		     :
		     : MAGAZINE_WAY, [area_0] "r"(class), [stride] "r"((int)MAGAZINES_STRIDE),
		       [slot] "r"(slot), [mask] "i"(MAGAZINE_N_MASK)
		     : "x9", "x10", "x11", "x12", "x16", "x17", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

/* The frame of sections forms an address, but here it is a state: index x 64 + that of index 0. */
static inline bool magazine_claim(struct magazine_way way, size_t units, uint16_t *state)
{
	__asm__ goto(CPU_ALLOC_SECTION("magazine.claim", CPU_ALLOC_GOTO)
		     "ldrh w11, [%[state]]\n\t"
		     "cmp w9, w11\n\t"
		     "b.ne %l[failed]\n\t"
		     "strh wzr, [%[state]]\n2:"
		     :
		     : MAGAZINE_WAY, [area_0] "r"((OWNER_BIASED << 6) - 1 + (uint64_t)units),
		       [stride] "r"((int)SMALL_UNITS), [state] "r"(state)
		     : "x9", "x11", "x16", "x17", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

#endif

/* clang-format on */

#else /* no critical sections: there are no magazines either */

static inline uint32_t magazine_pop(struct magazine_way way, const char *class, uint32_t *state)
{
	(void)way, (void)class, (void)state;
	return MAGAZINE_NOTHING;
}

static inline uint32_t magazine_pop_reserve(struct magazine_way way, const char *class,
					    uint32_t *state)
{
	return magazine_pop(way, class, state);
}

static inline bool magazine_push(struct magazine_way way, const char *class, uint32_t slot)
{
	(void)way, (void)class, (void)slot;
	return false;
}

static inline bool magazine_claim(struct magazine_way way, size_t units, uint16_t *state)
{
	(void)way, (void)units, (void)state;
	return false;
}

#endif

#endif
