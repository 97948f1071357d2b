/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every operation, on every kind of field that it takes, in the common part of C and
 * C++, and what C++ adds: for compile.py, which lets no warning pass.
 */
#ifdef SCHED_BEFORE
#include <sched.h>
#endif
#if defined(OPS_FIRST)
#include <cpu_alloc/ops.h>
#elif defined(IN_EXTERN_C) && defined(__cplusplus)
extern "C" {
#include <cpu_alloc.h>
}
#else
#include <cpu_alloc.h>
#endif
#ifdef SCHED_AFTER
#include <sched.h>
#endif

enum colour { RED, GREEN };

struct pair {
	uint64_t first, second;
} __attribute__((aligned(16)));

struct fields {
	uint8_t u8;
	int8_t s8;
	uint16_t u16;
	short s16;
	unsigned int u32;
	int s32;
	uint64_t u64;
	long s64;
	size_t line[4];
	struct {
		int deep[2];
	} inner;
	volatile unsigned int moving;
	bool closed;
	enum colour colour;
	int *pointer;
	const char *text;
	void *any;
	const int fixed;
	const volatile uint8_t seen;
	int *const constant;
	struct pair pair;
	cpu_alloc_u128 wide;
};

struct fields __percpu *fields_new(void);
int integers(struct fields __percpu *f);
bool others(struct fields __percpu *f, int *place);
int nested(struct fields __percpu *f, int n);
uint64_t pairs(struct fields __percpu *f);
uint64_t sums(struct fields __percpu *f, int __percpu *array);
int real_symbols(uint8_t *p8, uint16_t *p16, uint32_t *p32, uint64_t *p64);
const char *process(void);

struct fields __percpu *fields_new(void)
{
	return CPU_ALLOC(struct fields, GFP_KERNEL | __GFP_ZERO);
}

/* Each result is of the type of v: or -Wconversion would say so. */
#define EVERY(type, prefix, v)                                                                     \
	do {                                                                                       \
		type old = prefix##_read(v), now = prefix##_xchg(v, 1);                            \
                                                                                                   \
		prefix##_write(v, old);                                                            \
		prefix##_add(v, now);                                                              \
		prefix##_sub(v, 2);                                                                \
		prefix##_inc(v);                                                                   \
		prefix##_dec(v);                                                                   \
		prefix##_and(v, 7);                                                                \
		prefix##_or(v, now);                                                               \
		now = prefix##_add_return(v, old);                                                 \
		now = prefix##_sub_return(v, now);                                                 \
		now = prefix##_inc_return(v);                                                      \
		old = prefix##_dec_return(v);                                                      \
		old = prefix##_cmpxchg(v, old, now);                                               \
		if (prefix##_try_cmpxchg(v, &old, now))                                            \
			prefix##_inc(v);                                                           \
		else                                                                               \
			prefix##_dec(v);                                                           \
		sum += (int)(now + old);                                                           \
	} while (0)
#define BOTH(type, v)                                                                              \
	EVERY(type, this_cpu, v);                                                                  \
	EVERY(type, __this_cpu, v)

int integers(struct fields __percpu *f)
{
	int sum = 0;

	BOTH(uint8_t, f->u8);
	BOTH(int8_t, f->s8);
	BOTH(uint16_t, f->u16);
	BOTH(short, f->s16);
	BOTH(unsigned int, f->u32);
	BOTH(int, f->s32);
	BOTH(uint64_t, f->u64);
	BOTH(long, f->s64);
	BOTH(size_t, f->line[3]);
	BOTH(int, f[1].inner.deep[sum & 1]);
	BOTH(unsigned int, f->moving);
	return sum;
}

/* A bool, an enum, pointers; what is const can be read. */
bool others(struct fields __percpu *f, int *place)
{
	enum colour colour = this_cpu_read(f->colour);
	bool closed = this_cpu_xchg(f->closed, true);
	int *pointer = this_cpu_xchg(f->pointer, place);

	this_cpu_write(f->colour, GREEN);
	colour = this_cpu_cmpxchg(f->colour, colour, RED);
	this_cpu_or(f->closed, closed);
	this_cpu_and(f->closed, colour == GREEN);
	closed = this_cpu_try_cmpxchg(f->closed, &closed, false);
	this_cpu_write(f->text, "constant");
	this_cpu_write(f->any, pointer);
	this_cpu_write(f->pointer, NULL);
	pointer = this_cpu_cmpxchg(f->pointer, place, pointer);
	while (!this_cpu_try_cmpxchg(f->pointer, &pointer, place))
		;
	if (this_cpu_read(f->text) && *__this_cpu_read(f->constant) == this_cpu_read(f->fixed))
		return this_cpu_read(f->seen) == __this_cpu_read(f->seen);
	return closed;
}

/* Operations in arguments of operations, and wherever an expression may stand. */
int nested(struct fields __percpu *f, int n)
{
	uint8_t small = 1;

	this_cpu_add(f->u64, this_cpu_read(f->u8));
	this_cpu_write(f->s32, this_cpu_xchg(f->inner.deep[0], this_cpu_inc_return(f->s32)));
	this_cpu_write(f->u8, this_cpu_cmpxchg(f->u8, this_cpu_read(f->u8), small++));
	for (int i = 0; i < this_cpu_inc_return(f->s32); this_cpu_inc(f->u16), i++)
		n ? this_cpu_inc(f->u32) : this_cpu_dec(f->u32);
	this_cpu_add(*(n ? &f->s32 : &f->inner.deep[1]), n);
	return n > 0 && this_cpu_add_return(f->s32, n) ? this_cpu_sub_return(f->s32, n) : n;
}

uint64_t pairs(struct fields __percpu *f)
{
	uint64_t first, second;
	cpu_alloc_u128 found = this_cpu_cmpxchg128(f->wide, 0, 1);

	this_cpu_add2(f->pair, 1, found);
	this_cpu_add2(f->wide, (uint64_t)found, 2);
	this_cpu_read2(f->pair, &first, &second);
	return first + second;
}

uint64_t sums(struct fields __percpu *f, int __percpu *array)
{
	uint8_t u8 = cpu_sum(f->u8);
	short s16 = cpu_sum(f->s16);
	unsigned int u32 = cpu_sum(f->moving);
	size_t line[4];
	int some[2];

	cpu_sum_array(f->line, 4, line);
	cpu_sum_array(&f->line[1], 3, &line[1]);
	cpu_sum_array(array + 1, 2, some);
	return u8 + u32 + line[3] + cpu_sum(f->u64) + (s16 < 0) + (some[1] < 0);
}

#define SYMBOLS(width)                                                                             \
	do {                                                                                       \
		uint##width##_t now = this_cpu_read_##width(p##width);                             \
                                                                                                   \
		this_cpu_add_##width(p##width, now);                                               \
		now = this_cpu_xchg_##width(p##width, now);                                        \
		now = this_cpu_cmpxchg_##width(p##width, now, now);                                \
		sum += this_cpu_try_cmpxchg_##width(p##width, &now, now);                          \
		cpu_sum_array_##width(p##width, 1, &now);                                          \
	} while (0)

int real_symbols(uint8_t *p8, uint16_t *p16, uint32_t *p32, uint64_t *p64)
{
	int sum = 0;

	SYMBOLS(8);
	SYMBOLS(16);
	SYMBOLS(32);
	SYMBOLS(64);
	return sum;
}

const char *process(void)
{
	cpu_alloc_rseq_clear();
	return cpu_fence(-1) == 0 && cpu_fence_all() == 0 ? cpu_alloc_path() : NULL;
}

#ifdef __cplusplus

enum class shape : unsigned char { ROUND, SQUARE };

template <class T> struct counters {
	T count, last;
	shape form;
	T *chain;
};

/* Fields of a dependent type, through a pointer and through a reference. */
template <class T> T by_template(counters<T> __percpu *c, T n)
{
	this_cpu_add(c->count, n);
	this_cpu_write(c->form, this_cpu_xchg(c->form, shape::SQUARE));
	this_cpu_write(c->chain, nullptr);
	return static_cast<T>(this_cpu_cmpxchg(c->last, n, this_cpu_inc_return(c->count)) +
			      cpu_sum(c->count));
}

struct method {
	int calls;

	template <class... Arguments> void call(Arguments... arguments)
	{
		int unused[] = {0, arguments...};

		(void)unused;
		this_cpu_inc(calls);
		auto lambda = [](int &more) { return this_cpu_add_return(more, 1); };
		lambda(calls);
	}
};

long templates(counters<long> __percpu *l, counters<unsigned char> __percpu *c, method *m);

long templates(counters<long> __percpu *l, counters<unsigned char> __percpu *c, method *m)
{
	m->call(1, 2);
	return by_template(l, 1L) + by_template(c, static_cast<unsigned char>(1));
}

#endif
