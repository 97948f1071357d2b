/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Sums: of every type, over every index with the one for strays, wrapping as
 * unsigned numbers do; of arrays as a plain double loop would; and without making
 * memory resident.
 */
#include "modes.h"

#define TYPES(X)                                                                                   \
	X(int8_t)                                                                                  \
	X(uint8_t)                                                                                 \
	X(int16_t)                                                                                 \
	X(uint16_t)                                                                                \
	X(int32_t)                                                                                 \
	X(uint32_t)                                                                                \
	X(int64_t)                                                                                 \
	X(uint64_t)

/* Any bits, the same on every run. */
static uint64_t bits_of(size_t k)
{
	uint64_t x = (k + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 29;
}

/* Objects are not published yet: whoever made them may write all instances. */
static void fill(void *p, size_t bytes, size_t seed)
{
	cpu_alloc_for_each (i)
		for (size_t k = 0; k < bytes; k++)
			instance(p, i)[k] = (char)bits_of(seed + k + (size_t)(i + 1) * bytes);
}

/* The bits of the sum, modulo 2^64. */
static uint64_t plain_sum(const void *p, size_t size)
{
	uint64_t sum = 0, value;

	cpu_alloc_for_each (i) {
		value = 0;
		memcpy(&value, instance(p, i), size); /* low bytes come first */
		sum += value;
	}
	return sum;
}

#define SUM_OF(type)                                                                               \
	static bool sum_of_##type(void)                                                            \
	{                                                                                          \
		type *p = CPU_ALLOC(type, GFP_KERNEL);                                             \
		bool right = _Generic(cpu_sum(*p), type : true, default : false);                  \
                                                                                                   \
		for (size_t k = 0; k < 100; k++) {                                                 \
			fill(p, sizeof(*p), 1000 * k);                                             \
			right &= cpu_sum(*p) == (type)plain_sum(p, sizeof(*p));                    \
		}                                                                                  \
		CPU_FREE(p);                                                                       \
		return right;                                                                      \
	}
TYPES(SUM_OF)

/* One on each index in turn: none is left out, none counts twice. */
static bool each_index_counts(void)
{
	uint64_t *p = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO), sums[1];
	bool right = true;

	cpu_alloc_for_each (i) {
		*CPU_PTR(p, i) = 1;
		cpu_sum_array(p, 1, sums);
		right &= cpu_sum(*p) == 1 && sums[0] == 1;
		*CPU_PTR(p, i) = 0;
	}
	CPU_FREE(p);
	return right;
}

/* One more on a CPU, one less on another, and nothing is left. */
#define BALANCE(type)                                                                              \
	static void balance_##type(void)                                                           \
	{                                                                                          \
		type *p = CPU_ALLOC(type, GFP_KERNEL | __GFP_ZERO);                                \
                                                                                                   \
		must(pin(0, allowed_cpu(0)));                                                      \
		this_cpu_inc(*p);                                                                  \
		must(pin(0, allowed_cpu(1)));                                                      \
		this_cpu_dec(*p);                                                                  \
		ok(cpu_sum(*p) == 0, "inc on a CPU and dec on another: no " #type " left");        \
		CPU_FREE(p);                                                                       \
	}
TYPES(BALANCE)

#define ARRAY_MAX 17000 /* two blocks of bytes, and more */
static unsigned char result[(ARRAY_MAX + 1) * 8];

/* Sizes around the blocks that the library works in, and those that divide nothing. */
static const size_t counts[] = {0,    1,    2,	  3,	 7,	15,    16,    17,	31,   33,
				100,  1023, 1024, 1025,	 2047,	2048,  2049,  4095,	4096, 4097,
				8191, 8192, 8193, 12289, 16383, 16384, 16385, ARRAY_MAX};

/* What lies behind the last sum stays as it was. */
#define ARRAY_OF(type)                                                                             \
	static bool array_of_##type(size_t n)                                                      \
	{                                                                                          \
		type *p = CPU_ALLOC_ARRAY(type, n + 1, GFP_KERNEL), *sums = (type *)result;        \
		bool right = true;                                                                 \
                                                                                                   \
		fill(p, n * sizeof(*p), n);                                                        \
		memset(sums, 0x5a, (n + 1) * sizeof(*sums));                                       \
		cpu_sum_array(p, n, sums);                                                         \
		for (size_t k = 0; k < n; k++)                                                     \
			right &= sums[k] == (type)plain_sum(p + k, sizeof(*p));                    \
		right &= all_bytes(sums + n, 0x5a, sizeof(*sums));                                 \
		CPU_FREE_ARRAY(p, n + 1);                                                          \
		return right;                                                                      \
	}                                                                                          \
                                                                                                   \
	static bool arrays_of_##type(void)                                                         \
	{                                                                                          \
		bool right = true;                                                                 \
                                                                                                   \
		for (size_t k = 0; k < sizeof(counts) / sizeof(*counts); k++)                      \
			right &= array_of_##type(counts[k]);                                       \
		return right;                                                                      \
	}
TYPES(ARRAY_OF)

/* A sum that begins in the middle of an object, at no round address. */
static bool part_of_array(void)
{
	uint16_t *p = CPU_ALLOC_ARRAY(uint16_t, 9000, GFP_KERNEL), *sums = (uint16_t *)result;
	bool right = true;

	fill(p, 18000, 5);
	cpu_sum_array(p + 13, 8900, sums);
	for (size_t k = 0; k < 8900; k++)
		right &= sums[k] == (uint16_t)plain_sum(p + 13 + k, 2);
	CPU_FREE_ARRAY(p, 9000);
	return right;
}

/* Of all areas nothing but the page that one thread wrote to. The first to use them. */
static void residence(void)
{
	const size_t bytes = 64 * page_bytes(), n = bytes / sizeof(uint64_t);
	uint64_t *p = cpu_alloc(bytes, GFP_KERNEL | __GFP_ZERO, CPU_ALLOC_MAX_ALIGN);
	uint64_t *sums = malloc(bytes);

	must(p && sums);
	ok(own_memory_all(p, bytes) == 0, "a fresh object has no memory");
	ok(cpu_sum(p[n / 2]) == 0 && own_memory_all(p, bytes) == 0, "cpu_sum takes none");
	cpu_sum_array(p, n, sums);
	ok(all_bytes(sums, 0, bytes) && own_memory_all(p, bytes) == 0, "cpu_sum_array takes none");
	this_cpu_inc(p[7]);
	cpu_sum_array(p, n, sums);
	ok(sums[7] == 1 && cpu_sum(p[7]) == 1 && own_memory_all(p, bytes) == page_bytes(),
	   "an operation takes one page, sums no more");
	free(sums);
	cpu_free(p, bytes);
}

#define RUN_SUM(type) ok(sum_of_##type(), "sum of " #type);
#define RUN_ARRAYS(type) ok(arrays_of_##type(), "sums of arrays of " #type);
#define RUN_BALANCE(type) balance_##type();

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	must(CPU_ALLOC(int, GFP_KERNEL));
	ok_path(&mode);
	residence();
	TYPES(RUN_SUM)
	ok(each_index_counts(), "every index counts once, that for strays too");
	TYPES(RUN_ARRAYS)
	ok(part_of_array(), "sums of a part of an array");
	if (allowed_cpu(1) < 0) {
		skip("inc on a CPU and dec on another", "there is one CPU only");
		return tap_done();
	}
	TYPES(RUN_BALANCE)
	return tap_done();
}
