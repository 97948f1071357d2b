/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The arithmetic of every operation, on integers of each width and sign, with
 * operands of each: against what the compiler makes of the same on a variable.
 *
 *	instance	| guard | v | guard |	on every index: all equal before
 *	afterwards	v is as it should be on this thread's index;
 *			no other byte of any index has changed
 *
 * Three families: the macros, those for callers who exclude others (this thread
 * stays on its CPU, and there is no other), and the real symbols.
 */
#include "modes.h"

/* Operands of other types than the field are what this is about. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"

#define OPERATIONS(X)                                                                              \
	X(read)                                                                                    \
	X(write)                                                                                   \
	X(add)                                                                                     \
	X(sub)                                                                                     \
	X(inc)                                                                                     \
	X(dec)                                                                                     \
	X(and)                                                                                     \
	X(or)                                                                                      \
	X(add_return)                                                                              \
	X(sub_return)                                                                              \
	X(inc_return)                                                                              \
	X(dec_return)                                                                              \
	X(xchg)                                                                                    \
	X(cmpxchg)                                                                                 \
	X(try_cmpxchg)

#define OPERATION_NUMBER(name) OP_##name,
#define OPERATION_NAME(name) #name,
enum operation { OPERATIONS(OPERATION_NUMBER) OPERATION_COUNT };
static const char *const operation_names[] = {OPERATIONS(OPERATION_NAME)};

enum family { this_cpu, own_cpu, symbols, FAMILIES };
static const char *const prefixes[] = {"this_cpu_", "__this_cpu_", "symbol this_cpu_"};

/* Fields of one byte have the guard right beside them, all others too. */
#define GUARD_BYTES 8
#define INSTANCE_BYTES 24
#define GUARD 0xa5

#define FIELD(type)                                                                                \
	struct field_##type {                                                                      \
		char before[GUARD_BYTES];                                                          \
		type v;                                                                            \
		char after[INSTANCE_BYTES - GUARD_BYTES - sizeof(type)];                           \
	};
FIELD(int8_t)
FIELD(uint8_t)
FIELD(int16_t)
FIELD(uint16_t)
FIELD(int32_t)
FIELD(uint32_t)
FIELD(int64_t)
FIELD(uint64_t)

static void *object; /* handle of such a structure */
static int here;     /* the index of this thread, which is pinned */
static int cases[FAMILIES][OPERATION_COUNT], wrong[FAMILIES][OPERATION_COUNT];

/* What is being tried: for the message. */
static struct {
	enum family family;
	const char *field, *operand;
	size_t bytes;
	uint64_t start, n;
} now;

static void image(unsigned char *bytes, const void *value)
{
	memset(bytes, GUARD, INSTANCE_BYTES);
	memcpy(bytes + GUARD_BYTES, value, now.bytes);
}

static void begin(const void *start)
{
	cpu_alloc_for_each (i)
		image((unsigned char *)instance(object, i), start);
}

static void end(enum operation op, const void *start, const void *value, bool result_right)
{
	unsigned char wanted[INSTANCE_BYTES];
	bool right = result_right;

	cpu_alloc_for_each (i) {
		image(wanted, i == here ? value : start);
		right &= memcmp(instance(object, i), wanted, INSTANCE_BYTES) == 0;
	}
	cases[now.family][op]++;
	if (!right && wrong[now.family][op]++ == 0)
		diag("%s%s: %s field %#" PRIx64 ", %s operand %#" PRIx64, prefixes[now.family],
		     operation_names[op], now.field, now.start, now.operand, now.n);
}

/* Without a result; and with one, whose type is looked at too. */
#define EFFECT(name, call, new_value)                                                              \
	do {                                                                                       \
		const __typeof__(v) value_ = (__typeof__(v))(new_value);                           \
                                                                                                   \
		begin(&v);                                                                         \
		call;                                                                              \
		end(OP_##name, &v, &value_, true);                                                 \
	} while (0)
#define RESULT(name, call, new_value, result_type, result)                                         \
	do {                                                                                       \
		const __typeof__(v) value_ = (__typeof__(v))(new_value);                           \
		result_type got_;                                                                  \
                                                                                                   \
		_Static_assert(_Generic(call, result_type : 1, default : 0), #name);               \
		begin(&v);                                                                         \
		got_ = call;                                                                       \
		end(OP_##name, &v, &value_, got_ == (result_type)(result));                        \
	} while (0)

/* Where old is not what was found, it is told what was. */
#define TRY(call, new_value, result, found)                                                        \
	do {                                                                                       \
		const __typeof__(v) value_ = (__typeof__(v))(new_value);                           \
		bool got_;                                                                         \
                                                                                                   \
		_Static_assert(_Generic(call, bool : 1, default : 0), "try_cmpxchg");              \
		begin(&v);                                                                         \
		got_ = call;                                                                       \
		end(OP_try_cmpxchg, &v, &value_, got_ == (result) && old == (found));              \
	} while (0)

/* What is not v, in the lowest or in the highest bit alone. */
#define NOT_V(type, k) ((type)(v ^ (type)((uint64_t)1 << (k ? 8 * sizeof(v) - 1 : 0))))

/*
 * All operations on @v with @n. Sums are as if there were no limit, cut to the
 * type; the rest is plain C. Arguments of symbols have the field's type already.
 */
#define CHECKS(name, type, operand, prefix, suffix, at, field_type)                                \
	static void name(field_type *p, type v, operand n)                                         \
	{                                                                                          \
		type sum, difference, up, down, both = v, either = v, old;                         \
                                                                                                   \
		(void)__builtin_add_overflow(v, n, &sum);                                          \
		(void)__builtin_sub_overflow(v, n, &difference);                                   \
		(void)__builtin_add_overflow(v, 1, &up);                                           \
		(void)__builtin_sub_overflow(v, 1, &down);                                         \
		both &= n;                                                                         \
		either |= n;                                                                       \
		RESULT(read, prefix##read##suffix(at), v, type, v);                                \
		EFFECT(write, (prefix##write##suffix(at, n)), n);                                  \
		EFFECT(add, (prefix##add##suffix(at, n)), sum);                                    \
		EFFECT(sub, (prefix##sub##suffix(at, n)), difference);                             \
		EFFECT(inc, (prefix##inc##suffix(at)), up);                                        \
		EFFECT(dec, (prefix##dec##suffix(at)), down);                                      \
		EFFECT(and, (prefix## and ##suffix(at, n)), both);                                 \
		EFFECT(or, (prefix## or ##suffix(at, n)), either);                                 \
		RESULT(add_return, (prefix##add_return##suffix(at, n)), sum, type, sum);           \
		RESULT(sub_return, (prefix##sub_return##suffix(at, n)), difference, type,          \
		       difference);                                                                \
		RESULT(inc_return, (prefix##inc_return##suffix(at)), up, type, up);                \
		RESULT(dec_return, (prefix##dec_return##suffix(at)), down, type, down);            \
		RESULT(xchg, (prefix##xchg##suffix(at, n)), n, type, v);                           \
		RESULT(cmpxchg, (prefix##cmpxchg##suffix(at, v, n)), n, type, v);                  \
		old = v;                                                                           \
		TRY((prefix##try_cmpxchg##suffix(at, &old, n)), n, true, v);                       \
		for (int k = 0; k < 2; k++) {                                                      \
			RESULT(cmpxchg, (prefix##cmpxchg##suffix(at, NOT_V(type, k), n)), v, type, \
			       v);                                                                 \
			old = NOT_V(type, k);                                                      \
			TRY((prefix##try_cmpxchg##suffix(at, &old, n)), v, false, v);              \
		}                                                                                  \
	}

/* X(field, operand) for all pairs; X(width) for the symbols. */
#define OPERANDS(X, type)                                                                          \
	X(type, int8_t)                                                                            \
	X(type, uint8_t)                                                                           \
	X(type, int32_t)                                                                           \
	X(type, uint32_t)                                                                          \
	X(type, int64_t)                                                                           \
	X(type, uint64_t)
#define PAIRS(X)                                                                                   \
	OPERANDS(X, int8_t)                                                                        \
	OPERANDS(X, uint8_t)                                                                       \
	OPERANDS(X, int16_t)                                                                       \
	OPERANDS(X, uint16_t)                                                                      \
	OPERANDS(X, int32_t)                                                                       \
	OPERANDS(X, uint32_t)                                                                      \
	OPERANDS(X, int64_t)                                                                       \
	OPERANDS(X, uint64_t)
#define WIDTHS(X)                                                                                  \
	X(8)                                                                                       \
	X(16)                                                                                      \
	X(32)                                                                                      \
	X(64)

#define MACRO_CHECKS(type, operand)                                                                \
	CHECKS(this_cpu_##type##_##operand, type, operand, this_cpu_, , p->v, struct field_##type) \
	CHECKS(own_cpu_##type##_##operand, type, operand, __this_cpu_, , p->v, struct field_##type)
PAIRS(MACRO_CHECKS)

#define SYMBOL_CHECKS(width)                                                                       \
	CHECKS(symbols_##width, uint##width##_t, uint##width##_t, this_cpu_, _##width, &p->v,      \
	       struct field_uint##width##_t)
WIDTHS(SYMBOL_CHECKS)

/* 0, 1, -1, the least and the greatest, unsigned and signed, and bits of both kinds. */
#define VALUES 7
static uint64_t interesting(int k, size_t bytes)
{
	const uint64_t top = (uint64_t)1 << (8 * bytes - 1);
	const uint64_t values[VALUES] = {
		0, 1, UINT64_MAX, top, top - 1, 2, UINT64_C(0x5a3c96e18734d2b5) >> (64 - 8 * bytes),
	};

	return values[k];
}

#define RUN(family_, function, type, operand_)                                                     \
	for (int k = 0; k < VALUES * VALUES; k++) {                                                \
		now.family = family_;                                                              \
		now.field = #type;                                                                 \
		now.operand = #operand_;                                                           \
		now.bytes = sizeof(type);                                                          \
		now.start = interesting(k % VALUES, sizeof(type));                                 \
		now.n = interesting(k / VALUES, sizeof(operand_));                                 \
		function((struct field_##type *)object, (type)now.start, (operand_)now.n);         \
	}

#define RUN_MACROS(type, operand)                                                                  \
	RUN(this_cpu, this_cpu_##type##_##operand, type, operand)                                  \
	RUN(own_cpu, own_cpu_##type##_##operand, type, operand)
#define RUN_SYMBOLS(width) RUN(symbols, symbols_##width, uint##width##_t, uint##width##_t)

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	object = cpu_alloc(INSTANCE_BYTES, GFP_KERNEL | __GFP_ZERO, 8);
	ok_path(&mode);
	if (!pin(0, allowed_cpu(0)))
		diag("this thread may move");
	here = cpu_alloc_index();
	PAIRS(RUN_MACROS)
	WIDTHS(RUN_SYMBOLS)
	for (int f = 0; f < FAMILIES; f++)
		for (int op = 0; op < OPERATION_COUNT; op++)
			ok(wrong[f][op] == 0 && cases[f][op] > 0, "%s%s: %d of %d cases wrong",
			   prefixes[f], operation_names[op], wrong[f][op], cases[f][op]);
	return tap_done();
}
