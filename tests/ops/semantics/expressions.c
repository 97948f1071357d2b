/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What operations take and give as expressions of C: lvalues of all kinds, side
 * effects that happen once, types of results, and operations inside operations.
 */
#include "modes.h"

enum colour { red, green = 3, blue = 200 };

struct inner {
	uint16_t deep[4];
};

static struct object {
	bool flag;
	enum colour colour;
	char text;
	int *pointer;
	struct object *link;
	void (*function)(void);
	volatile int changing;
	const long constant;
	uint64_t a, b, array[4];
	struct inner inner[2];
	union {
		uint32_t whole;
		uint8_t part[4];
	};
	size_t size;
	unsigned long long longest;
	_Alignas(16) unsigned __int128 wide;
} * p;

#define has_type(expression, type) (_Generic((expression), type : 1, default : 0))
#define is_void(expression) __builtin_types_compatible_p(__typeof__(expression), void)

#define CHECK_RESULTS(field, type)                                                                 \
	ok(has_type(this_cpu_read(p->field), type) &&                                              \
		   has_type(this_cpu_xchg(p->field, 1), type) &&                                   \
		   has_type(this_cpu_add_return(p->field, 1), type) &&                             \
		   has_type(this_cpu_inc_return(p->field), type) &&                                \
		   has_type(this_cpu_cmpxchg(p->field, 1, 1), type) &&                             \
		   has_type(cpu_sum(p->field), type) && has_type(__this_cpu_read(p->field), type), \
	   "results have the type of a " #type)

static void result_types(void)
{
	CHECK_RESULTS(text, char);
	CHECK_RESULTS(size, size_t);
	CHECK_RESULTS(longest, unsigned long long);
	CHECK_RESULTS(changing, int);
	CHECK_RESULTS(inner[1].deep[2], uint16_t);
	ok(has_type(this_cpu_read(p->flag), bool) && has_type(this_cpu_read(p->pointer), int *) &&
		   has_type(this_cpu_read(p->link), struct object *) &&
		   has_type(this_cpu_xchg(p->function, NULL), void (*)(void)),
	   "results have the type of a bool, a pointer");
	ok(__builtin_types_compatible_p(__typeof__(this_cpu_read(p->colour)), enum colour),
	   "results have the type of an enum");
	ok(is_void(this_cpu_write(p->a, 1)) && is_void(this_cpu_add(p->a, 1)) &&
		   is_void(this_cpu_sub(p->a, 1)) && is_void(this_cpu_inc(p->a)) &&
		   is_void(this_cpu_dec(p->a)) && is_void(this_cpu_and(p->a, 1)) &&
		   is_void(this_cpu_or(p->a, 1)) && is_void(__this_cpu_inc(p->a)),
	   "what has no result has none");
	ok(has_type(this_cpu_try_cmpxchg(p->a, &(uint64_t){0}, 1), bool),
	   "try_cmpxchg gives a bool");
	ok(has_type(this_cpu_cmpxchg128(p->wide, 0, 0), unsigned __int128),
	   "cmpxchg128 gives 16 bytes");
}

/* A bool becomes 0 or 1 before it is stored, combined or compared, as in an assignment. */
static void booleans(void)
{
	bool old = false;

	this_cpu_write(p->flag, 2);
	ok(this_cpu_read(p->flag) == true && cpu_sum(*(uint8_t *)&p->flag) == 1,
	   "bool: write(2) is true, and one");
	this_cpu_and(p->flag, 4);
	ok(this_cpu_read(p->flag), "bool: and(4) keeps true");
	this_cpu_and(p->flag, 0);
	this_cpu_or(p->flag, 256);
	ok(this_cpu_read(p->flag) && cpu_sum(*(uint8_t *)&p->flag) == 1, "bool: or(256) sets it");
	ok(this_cpu_xchg(p->flag, false) && !this_cpu_read(p->flag), "bool: xchg");
	ok(!this_cpu_cmpxchg(p->flag, false, 8) && this_cpu_read(p->flag), "bool: cmpxchg");
	ok(!this_cpu_try_cmpxchg(p->flag, &old, false) && old &&
		   this_cpu_try_cmpxchg(p->flag, &old, false) && !this_cpu_read(p->flag),
	   "bool: try_cmpxchg");
}

static void enums_and_pointers(void)
{
	static int target[2];
	int *old = NULL;

	this_cpu_write(p->colour, green);
	ok(this_cpu_cmpxchg(p->colour, green, blue) == green && this_cpu_read(p->colour) == blue,
	   "enum: write, cmpxchg, read");
	this_cpu_write(p->pointer, &target[1]);
	ok(this_cpu_read(p->pointer) == target + 1, "pointer: write, read");
	ok(!this_cpu_try_cmpxchg(p->pointer, &old, target) && old == &target[1] &&
		   this_cpu_try_cmpxchg(p->pointer, &old, target) &&
		   this_cpu_xchg(p->pointer, NULL) == target && !this_cpu_read(p->pointer),
	   "pointer: try_cmpxchg, xchg");
	this_cpu_write(p->link, p);
	ok(this_cpu_cmpxchg(p->link, p, NULL) == p && !this_cpu_read(p->link),
	   "pointer to a structure: cmpxchg");
	ok(!this_cpu_xchg(p->function, booleans) && this_cpu_read(p->function) == booleans,
	   "pointer to a function: xchg, read");
}

static void kinds_of_lvalues(void)
{
	struct object *const last = p;
	uint64_t *const one = &p->b;
	int old = 6;

	this_cpu_write(p->changing, 5);
	this_cpu_add(p->changing, 1);
	ok(this_cpu_try_cmpxchg(p->changing, &old, 7) && this_cpu_read(p->changing) == 7,
	   "volatile field");
	ok(this_cpu_read(p->constant) == 0 && cpu_sum(p->constant) == 0, "const field: read, sum");
	this_cpu_write(*one, 3);
	this_cpu_inc(one[0]);
	this_cpu_inc((*last).b);
	ok(this_cpu_read(p->b) == 5, "*q, q[0] and (*q).field are the same");
	this_cpu_write(p->inner[1].deep[2], 77);
	ok(this_cpu_read(*(p->inner[1].deep + 2)) == 77, "array in a structure in an array");
	this_cpu_write(p->whole, 0);
	this_cpu_inc(p->part[2]);
	ok(this_cpu_read(p->part[2]) == 1 && this_cpu_read(p->whole) != 0, "member of a union");
	ok(this_cpu_read(*(const volatile uint64_t *)one) == 5, "cast of a pointer");
}

static int calls;

static uint64_t called(uint64_t value)
{
	calls++;
	return value;
}

#define CHECK_ONCE(expression)                                                                     \
	do {                                                                                       \
		int k = 0;                                                                         \
                                                                                                   \
		calls = 0;                                                                         \
		expression;                                                                        \
		if (k != 1 || calls > 2)                                                           \
			diag("%s: %d, %d calls", #expression, k, calls);                           \
		once &= k == 1 && calls <= 2;                                                      \
	} while (0)

/* Each argument is evaluated once; cmpxchg's both are counted together. */
static bool evaluated_once(void)
{
	uint64_t old[2] = {0, 0};
	bool once = true;

	CHECK_ONCE((void)this_cpu_read(p->array[k++]));
	CHECK_ONCE(this_cpu_write(p->array[k++], called(1) + called(1)));
	CHECK_ONCE(this_cpu_add(p->array[k++], called(1) + called(1)));
	CHECK_ONCE(this_cpu_sub(p->array[k++], called(1) + called(1)));
	CHECK_ONCE(this_cpu_inc(p->array[k++]));
	CHECK_ONCE(this_cpu_dec(p->array[k++]));
	CHECK_ONCE(this_cpu_and(p->array[k++], called(1) + called(1)));
	CHECK_ONCE(this_cpu_or(p->array[k++], called(1) + called(1)));
	CHECK_ONCE((void)this_cpu_add_return(p->array[k++], called(1) + called(1)));
	CHECK_ONCE((void)this_cpu_sub_return(p->array[k++], called(1) + called(1)));
	CHECK_ONCE((void)this_cpu_inc_return(p->array[k++]));
	CHECK_ONCE((void)this_cpu_dec_return(p->array[k++]));
	CHECK_ONCE((void)this_cpu_xchg(p->array[k++], called(1) + called(1)));
	CHECK_ONCE((void)this_cpu_cmpxchg(p->array[k++], called(1), called(1)));
	CHECK_ONCE((void)this_cpu_try_cmpxchg(p->array[k++], &old[called(1)], called(1)));
	CHECK_ONCE((void)cpu_sum(p->array[k++]));
	CHECK_ONCE((void)__this_cpu_add_return(p->array[k++], called(1) + called(1)));
	CHECK_ONCE((void)__this_cpu_cmpxchg(p->array[k++], called(1), called(1)));
	CHECK_ONCE((void)__this_cpu_try_cmpxchg(p->array[k++], &old[called(1)], called(1)));
	return once;
}

static void nested(void)
{
	this_cpu_write(p->a, 10);
	this_cpu_write(p->b, 4);
	this_cpu_add(p->a, this_cpu_read(p->b));
	ok(this_cpu_read(p->a) == 14, "add(a, read(b))");
	this_cpu_add(p->a, this_cpu_add_return(p->a, 1));
	ok(this_cpu_read(p->a) == 30, "add(a, add_return(a, 1)): the argument comes first");
	ok(this_cpu_xchg(p->a, this_cpu_xchg(p->b, this_cpu_read(p->a))) == 30 &&
		   this_cpu_read(p->a) == 4 && this_cpu_read(p->b) == 30,
	   "xchg(a, xchg(b, read(a)))");
	ok(this_cpu_cmpxchg(p->a, this_cpu_read(p->a), this_cpu_read(p->b)) == 4 &&
		   this_cpu_read(p->a) == 30,
	   "cmpxchg(a, read(a), read(b))");
	this_cpu_write(p->array[0], 2);
	this_cpu_write(p->array[this_cpu_read(p->array[0])], 9);
	ok(this_cpu_read(p->array[2]) == 9, "array[read(array[0])]");
}

static void in_conditions(void)
{
	int n = 0;

	this_cpu_write(p->a, 20);
	while (this_cpu_dec_return(p->a))
		if (this_cpu_read(p->a) % 2)
			this_cpu_inc(p->b);
		else
			n++;
	ok(n == 9, "while (dec_return), if, else");
	for (this_cpu_write(p->a, 0); this_cpu_read(p->a) < 5; this_cpu_inc(p->a))
		n++;
	ok(n == 14, "for (write; read; inc)");
	ok((this_cpu_read(p->a) == 5 ? this_cpu_read(p->a) : 0) + 1 == 6, "?:, and precedence");
	ok(!(!this_cpu_read(p->a)) && -this_cpu_read(p->a) == (uint64_t)-5 &&
		   sizeof(this_cpu_read(p->part[0])) == 1,
	   "operators in front");
	(void)(this_cpu_inc(p->a), this_cpu_dec(p->a));
}

/* Promotions that a plain negation of the operand would get wrong. */
static void promotions(void)
{
	const unsigned char small = 1;

	this_cpu_write(p->a, 0);
	this_cpu_sub(p->a, 1u);
	ok(this_cpu_read(p->a) == UINT64_MAX, "64 bits: sub(1u) subtracts one");
	this_cpu_sub(p->a, small);
	ok(this_cpu_read(p->a) == UINT64_MAX - 1, "64 bits: sub((unsigned char)1) subtracts one");
	this_cpu_add(p->a, (uint64_t)-1);
	this_cpu_add(p->a, UINT32_MAX);
	ok(this_cpu_read(p->a) == UINT64_MAX - 2 + UINT32_MAX, "64 bits: add(UINT32_MAX) adds it");
	ok(this_cpu_sub_return(p->a, UINT32_MAX) == UINT64_MAX - 2,
	   "64 bits: sub_return(UINT32_MAX)");
	this_cpu_write(p->text, 'a');
	ok(this_cpu_add_return(p->text, true) == 'b', "char: add_return(true)");
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	p = CPU_ALLOC(struct object, GFP_KERNEL | __GFP_ZERO);
	ok_path(&mode);
	must(pin(0, allowed_cpu(0)));
	result_types();
	booleans();
	enums_and_pointers();
	kinds_of_lvalues();
	ok(evaluated_once(), "arguments and lvalues are evaluated once");
	nested();
	in_conditions();
	promotions();
	return tap_done();
}
