/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The operations and their models, see operations.h. */
#include "operations.h"

#include <string.h>

/* @new: of the field; @gives: the result; both from old and the arguments. */
#define MODEL(name, new, gives)                                                                    \
	static void model_##name(wide *field, struct call *call)                                   \
	{                                                                                          \
		const wide old = *field;                                                           \
		const wide value = call->value, expected = call->expected;                         \
                                                                                                   \
		(void)old, (void)value, (void)expected;                                            \
		*field = new;                                                                      \
		call->result = gives;                                                              \
	}

MODEL(read, old, old)
MODEL(write, value, 0)
MODEL(add, old + value, 0)
MODEL(sub, old - value, 0)
MODEL(inc, old + 1, 0)
MODEL(dec, old - 1, 0)
MODEL(and, old &value, 0)
MODEL(or, old | value, 0)
MODEL(add_return, old + value, old + value)
MODEL(sub_return, old - value, old - value)
MODEL(inc_return, old + 1, old + 1)
MODEL(dec_return, old - 1, old - 1)
MODEL(xchg, value, old)
MODEL(cmpxchg, old == expected ? value : old, old)

static void model_try_cmpxchg(wide *field, struct call *call)
{
	const wide expected = call->expected;

	model_cmpxchg(field, call);
	call->expected = call->result;
	call->result = call->result == expected;
}

/* One call for each name. A name that is new in the header does not compile without. */
#define CALL_read(width) call->result = this_cpu_read_##width(at)
#define CALL_write(width) this_cpu_write_##width(at, value)
#define CALL_add(width) this_cpu_add_##width(at, value)
#define CALL_sub(width) this_cpu_sub_##width(at, value)
#define CALL_inc(width) this_cpu_inc_##width(at)
#define CALL_dec(width) this_cpu_dec_##width(at)
#define CALL_and(width) this_cpu_and_##width(at, value)
#define CALL_or(width) this_cpu_or_##width(at, value)
#define CALL_add_return(width) call->result = this_cpu_add_return_##width(at, value)
#define CALL_sub_return(width) call->result = this_cpu_sub_return_##width(at, value)
#define CALL_inc_return(width) call->result = this_cpu_inc_return_##width(at)
#define CALL_dec_return(width) call->result = this_cpu_dec_return_##width(at)
#define CALL_xchg(width) call->result = this_cpu_xchg_##width(at, value)
#define CALL_cmpxchg(width) call->result = this_cpu_cmpxchg_##width(at, expected, value)
#define CALL_try_cmpxchg(width)                                                                    \
	call->result = this_cpu_try_cmpxchg_##width(at, &expected, value);                         \
	call->expected = expected

#define DEFINE_CALL(result, name, width, arguments)                                                \
	static void call_##name##_##width(void *at, struct call *call)                             \
	{                                                                                          \
		const uint##width##_t value = (uint##width##_t)call->value;                        \
		uint##width##_t expected = (uint##width##_t)call->expected;                        \
                                                                                                   \
		(void)value, (void)expected;                                                       \
		CALL_##name(width);                                                                \
	}

CPU_ALLOC_OPS(DEFINE_CALL, 8, uint8_t)
CPU_ALLOC_OPS(DEFINE_CALL, 16, uint16_t)
CPU_ALLOC_OPS(DEFINE_CALL, 32, uint32_t)
CPU_ALLOC_OPS(DEFINE_CALL, 64, uint64_t)

/* The operations on 16 bytes. A pair's first is the lower half. */
static wide pair_of(uint64_t first, uint64_t second)
{
	return (wide)second << 64 | first;
}

static void model_add2(wide *field, struct call *call)
{
	*field = pair_of((uint64_t)*field + (uint64_t)call->value,
			 (uint64_t)(*field >> 64) + (uint64_t)(call->value >> 64));
	call->result = 0;
}

static void call_add2_64(void *at, struct call *call)
{
	this_cpu_add2_64(at, (uint64_t)call->value, (uint64_t)(call->value >> 64));
}

static void call_read2_64(void *at, struct call *call)
{
	uint64_t first = 0, second = 0;

	this_cpu_read2_64(at, &first, &second);
	call->result = pair_of(first, second);
}

static void call_cmpxchg_128(void *at, struct call *call)
{
	call->result = this_cpu_cmpxchg_128(at, call->expected, call->value);
}

#define ROW(name, width, field_bits, does)                                                         \
	{                                                                                          \
		"this_cpu_" #name "_" #width, field_bits,                                          \
			(void (*)(void))this_cpu_##name##_##width, call_##name##_##width,          \
			model_##does                                                               \
	}
#define OPERATION(result, name, width, arguments) ROW(name, width, width, name),

const struct operation operations[] = {
	/* clang-format off */
	CPU_ALLOC_OPS(OPERATION, 8, uint8_t)
	CPU_ALLOC_OPS(OPERATION, 16, uint16_t)
	CPU_ALLOC_OPS(OPERATION, 32, uint32_t)
	CPU_ALLOC_OPS(OPERATION, 64, uint64_t)
	/* clang-format on */
	ROW(add2, 64, 128, add2),
	ROW(read2, 64, 128, read),
	ROW(cmpxchg, 128, 128, cmpxchg),
};
const size_t operation_count = sizeof(operations) / sizeof(operations[0]);

const struct operation *operation_named(const char *name)
{
	for (size_t n = 0; n < operation_count; n++)
		if (strcmp(operations[n].name, name) == 0)
			return &operations[n];
	return NULL;
}

bool operation_compares(const struct operation *operation)
{
	return operation->model == model_cmpxchg || operation->model == model_try_cmpxchg;
}

wide operation_cut(const struct operation *operation, wide value)
{
	const unsigned int unused_bits = 128 - operation->bits;

	return value << unused_bits >> unused_bits;
}

void operation_apply(const struct operation *operation, wide *field, struct call *call)
{
	operation->model(field, call);
	*field = operation_cut(operation, *field);
	call->result = operation_cut(operation, call->result);
}
