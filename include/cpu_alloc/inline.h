/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the macros of ops.h are made of: an lvalue becomes an address and a size, a
 * value an integer of 64 bits; an attempt by the architecture's section, or the
 * slow path, makes an operation of them. All of it folds into the section.
 *
 * Included by ops.h.
 */
#ifndef CPU_ALLOC_INLINE_H
#define CPU_ALLOC_INLINE_H

#include "atomic.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The value at @at, of @size bytes and any type, as an integer; and the other way. */
__cpu_alloc_inline uint64_t cpu_alloc_bits(const volatile void *at, size_t size)
{
	const void *const from = (const void *)(uintptr_t)at;
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case 1:
		__builtin_memcpy(&v8, from, sizeof(v8));
		return v8;
	case 2:
		__builtin_memcpy(&v16, from, sizeof(v16));
		return v16;
	case 4:
		__builtin_memcpy(&v32, from, sizeof(v32));
		return v32;
	default:
		__builtin_memcpy(&v64, from, sizeof(v64));
		return v64;
	}
}

__cpu_alloc_inline void cpu_alloc_set_bits(volatile void *at, size_t size, uint64_t value)
{
	void *const to = (void *)(uintptr_t)at;
	const uint8_t v8 = (uint8_t)value;
	const uint16_t v16 = (uint16_t)value;
	const uint32_t v32 = (uint32_t)value;

	switch (size) {
	case 1:
		__builtin_memcpy(to, &v8, sizeof(v8));
		break;
	case 2:
		__builtin_memcpy(to, &v16, sizeof(v16));
		break;
	case 4:
		__builtin_memcpy(to, &v32, sizeof(v32));
		break;
	default:
		__builtin_memcpy(to, &value, sizeof(value));
	}
}

/* What @op, if it is no read, makes of an old value. */
__cpu_alloc_inline uint64_t cpu_alloc_op_new(enum cpu_alloc_op op, uint64_t old, uint64_t value,
					     uint64_t expected)
{
	switch (op) {
	case CPU_ALLOC_OP_ADD:
	case CPU_ALLOC_OP_XADD:
		return old + value;
	case CPU_ALLOC_OP_AND:
		return old & value;
	case CPU_ALLOC_OP_OR:
		return old | value;
	case CPU_ALLOC_OP_CMPXCHG:
		return old == expected ? value : old;
	default:
		return value;
	}
}

/* For a caller who excludes others. Returns the old value. */
__cpu_alloc_inline uint64_t cpu_alloc_plain(enum cpu_alloc_op op, size_t size, uintptr_t handle,
					    uint64_t value, uint64_t expected)
{
	void *const at = (void *)__cpu_alloc_address(handle, __cpu_alloc_index());
	const uint64_t old = cpu_alloc_bits(at, size);

	if (op != CPU_ALLOC_OP_READ)
		cpu_alloc_set_bits(at, size, cpu_alloc_op_new(op, old, value, expected));
	return old;
}

#if CPU_ALLOC_SECTIONS
/*
 * One attempt at an operation. *@result is expected first, and the old value
 * afterwards, where the operation as the user knows it has a result.
 */
#define CPU_ALLOC_ATTEMPT(width)                                                                   \
	__cpu_alloc_inline bool cpu_alloc_attempt_##width(enum cpu_alloc_op op, uintptr_t handle,  \
							  uint64_t value, uint64_t *result)        \
	{                                                                                          \
		const uint##width##_t v = (uint##width##_t)value;                                  \
		uint##width##_t old = (uint##width##_t) * result;                                  \
		bool done = false;                                                                 \
                                                                                                   \
		switch (op) {                                                                      \
		case CPU_ALLOC_OP_READ:                                                            \
			done = cpu_alloc_try_read_##width(handle, &old);                           \
			break;                                                                     \
		case CPU_ALLOC_OP_WRITE:                                                           \
			return cpu_alloc_try_write_##width(handle, v);                             \
		case CPU_ALLOC_OP_ADD:                                                             \
			return cpu_alloc_try_add_##width(handle, v);                               \
		case CPU_ALLOC_OP_AND:                                                             \
			return cpu_alloc_try_and_##width(handle, v);                               \
		case CPU_ALLOC_OP_OR:                                                              \
			return cpu_alloc_try_or_##width(handle, v);                                \
		case CPU_ALLOC_OP_XADD:                                                            \
			old = v;                                                                   \
			done = cpu_alloc_try_xadd_##width(handle, &old);                           \
			break;                                                                     \
		case CPU_ALLOC_OP_XCHG:                                                            \
			old = v;                                                                   \
			done = cpu_alloc_try_xchg_##width(handle, &old);                           \
			break;                                                                     \
		case CPU_ALLOC_OP_CMPXCHG:                                                         \
			done = cpu_alloc_try_cmpxchg_##width(handle, &old, v);                     \
			break;                                                                     \
		}                                                                                  \
		if (done)                                                                          \
			*result = old;                                                             \
		return done;                                                                       \
	}

CPU_ALLOC_ATTEMPT(8)
CPU_ALLOC_ATTEMPT(16)
CPU_ALLOC_ATTEMPT(32)
CPU_ALLOC_ATTEMPT(64)
#undef CPU_ALLOC_ATTEMPT

__cpu_alloc_inline bool cpu_alloc_attempt(enum cpu_alloc_op op, size_t size, uintptr_t handle,
					  uint64_t value, uint64_t *result)
{
	switch (size) {
	case 1:
		return cpu_alloc_attempt_8(op, handle, value, result);
	case 2:
		return cpu_alloc_attempt_16(op, handle, value, result);
	case 4:
		return cpu_alloc_attempt_32(op, handle, value, result);
	default:
		return cpu_alloc_attempt_64(op, handle, value, result);
	}
}

/* One operation, of @size bytes. Returns the old value, see above. */
__cpu_alloc_inline uint64_t cpu_alloc_op(enum cpu_alloc_op op, size_t size, uintptr_t handle,
					 uint64_t value, uint64_t expected)
{
	uint64_t old = expected;

	if (__builtin_expect(cpu_alloc_attempt(op, size, handle, value, &old), 1))
		return old;
	return cpu_alloc_op_slow(op, size, handle, value, expected);
}
#else
static inline uint64_t cpu_alloc_op(enum cpu_alloc_op op, size_t size, uintptr_t handle,
				    uint64_t value, uint64_t expected)
{
	return cpu_alloc_atomic(op, size, (void *)__cpu_alloc_address(handle, cpu_alloc_index()),
				value, expected);
}
#endif

#if CPU_ALLOC_HAS_128
__cpu_alloc_inline void cpu_alloc_op_add2(uintptr_t handle, uint64_t first, uint64_t second)
{
#if CPU_ALLOC_SECTIONS
	if (__builtin_expect(cpu_alloc_try_add2(handle, first, second), 1))
		return;
#endif
	cpu_alloc_add2_slow(handle, first, second);
}

__cpu_alloc_inline void cpu_alloc_op_read2(uintptr_t handle, uint64_t *first, uint64_t *second)
{
#if CPU_ALLOC_SECTIONS
	if (__builtin_expect(cpu_alloc_try_read2(handle, first, second), 1))
		return;
#endif
	cpu_alloc_read2_slow(handle, first, second);
}

/* Returns the old value. */
__cpu_alloc_inline cpu_alloc_u128 cpu_alloc_op_cmpxchg_128(uintptr_t handle, cpu_alloc_u128 old,
							   cpu_alloc_u128 value)
{
	cpu_alloc_u128 found = old;

#if CPU_ALLOC_SECTIONS
	if (__builtin_expect(cpu_alloc_try_cmpxchg_128(handle, &found, value), 1))
		return found;
#endif
	cpu_alloc_cmpxchg_128_slow(handle, &found, value);
	return found;
}
#endif

/*
 * What is made of them: an addition that gives the new value, and a comparison
 * with what the user keeps at @old, which is told what was found.
 */
#define CPU_ALLOC_COMPOSED(how)                                                                    \
	__cpu_alloc_inline uint64_t how##_add_return(size_t size, uintptr_t handle, uint64_t n)    \
	{                                                                                          \
		return how(CPU_ALLOC_OP_XADD, size, handle, n, 0) + n;                             \
	}                                                                                          \
                                                                                                   \
	__cpu_alloc_inline bool how##_try_cmpxchg(size_t size, uintptr_t handle,                   \
						  volatile void *old, uint64_t value)              \
	{                                                                                          \
		const uint64_t expected = cpu_alloc_bits(old, size);                               \
		const uint64_t found = how(CPU_ALLOC_OP_CMPXCHG, size, handle, value, expected);   \
		const unsigned int unused_bits = 64 - 8 * (unsigned int)size;                      \
                                                                                                   \
		if (__builtin_expect(((expected ^ found) << unused_bits) == 0, 1))                 \
			return true;                                                               \
		cpu_alloc_set_bits(old, size, found);                                              \
		return false;                                                                      \
	}

CPU_ALLOC_COMPOSED(cpu_alloc_op)
CPU_ALLOC_COMPOSED(cpu_alloc_plain)
#undef CPU_ALLOC_COMPOSED

static inline uint64_t cpu_alloc_sum(size_t size, uintptr_t handle)
{
	switch (size) {
	case 1:
		return cpu_sum_8((const uint8_t *)handle);
	case 2:
		return cpu_sum_16((const uint16_t *)handle);
	case 4:
		return cpu_sum_32((const uint32_t *)handle);
	default:
		return cpu_sum_64((const uint64_t *)handle);
	}
}

static inline void cpu_alloc_sum_array(size_t size, uintptr_t handle, size_t n, void *sums)
{
	switch (size) {
	case 1:
		cpu_sum_array_8((const uint8_t *)handle, n, (uint8_t *)sums);
		break;
	case 2:
		cpu_sum_array_16((const uint16_t *)handle, n, (uint16_t *)sums);
		break;
	case 4:
		cpu_sum_array_32((const uint32_t *)handle, n, (uint32_t *)sums);
		break;
	default:
		cpu_sum_array_64((const uint64_t *)handle, n, (uint64_t *)sums);
	}
}

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

/*
 * From lvalues to integers and back. __cpu_alloc_size(v) is its size, if the
 * operations take its type; the compiler says what is wrong, if not.
 */
#ifdef __cplusplus

extern "C++" {

/* Of a bare type: can operations take it, and can they add to it? */
template <class T> struct __cpu_alloc_kind {
	static constexpr bool scalar = __is_enum(T), number = scalar;
};
struct __cpu_alloc_integer {
	static constexpr bool scalar = true, number = true;
};
template <> struct __cpu_alloc_kind<char> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<signed char> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<unsigned char> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<short> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<unsigned short> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<int> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<unsigned int> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<long> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<unsigned long> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<long long> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<unsigned long long> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<wchar_t> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<char16_t> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<char32_t> : __cpu_alloc_integer {
};
template <> struct __cpu_alloc_kind<bool> {
	static constexpr bool scalar = true, number = false;
};
template <class T> struct __cpu_alloc_kind<T *> : __cpu_alloc_kind<bool> {
};

template <class T> struct __cpu_alloc_field {
	static_assert(__cpu_alloc_kind<T>::scalar && (sizeof(T) == 1 || sizeof(T) == 2 ||
						      sizeof(T) == 4 || sizeof(T) == 8),
		      "this_cpu operations take integers and pointers of 1, 2, 4 or 8 bytes");
	static constexpr size_t size = sizeof(T);
	static constexpr bool number = __cpu_alloc_kind<T>::number;
	static uint64_t bits(T value)
	{
		return cpu_alloc_bits(&value, sizeof(value));
	}
	static T *same(T *place)
	{
		return place;
	}
	static T value(uint64_t bits)
	{
		T value;

		cpu_alloc_set_bits(&value, sizeof(value), bits);
		return value;
	}
};
template <class T> struct __cpu_alloc_field<const T> : __cpu_alloc_field<T> {
};
template <class T> struct __cpu_alloc_field<volatile T> : __cpu_alloc_field<T> {
};
template <class T> struct __cpu_alloc_field<const volatile T> : __cpu_alloc_field<T> {
};

template <class T> struct __cpu_alloc_number : __cpu_alloc_field<T> {
	static_assert(__cpu_alloc_field<T>::number, "only integers can be added to");
};

/* Of the lvalue: a type does not tell that a structure is packed. */
template <bool natural> struct __cpu_alloc_natural {
	static_assert(natural, "this_cpu operations need natural alignment");
	static constexpr size_t more = 0;
};

} /* extern "C++" */

#define __cpu_alloc_align(v) __cpu_alloc_natural<(__alignof__(v) >= sizeof(v))>::more
#define __cpu_alloc_size(v) (__cpu_alloc_field<__typeof__(v)>::size + __cpu_alloc_align(v))
#define __cpu_alloc_number_size(v) (__cpu_alloc_number<__typeof__(v)>::size + __cpu_alloc_align(v))
#define __cpu_alloc_bits(v, x) (__cpu_alloc_field<__typeof__(v)>::bits(x))
#define __cpu_alloc_value(v, x) (__cpu_alloc_field<__typeof__(v)>::value(x))

#else

#define __cpu_alloc_check(condition, text)                                                         \
	(0 * sizeof(struct {                                                                       \
		 _Static_assert(condition, text);                                                  \
		 int unused;                                                                       \
	 }))
#ifdef __CHECKER__
#define __cpu_alloc_is_real(v) _Generic((v), float : 1, double : 1, default : 0)
#else
#define __cpu_alloc_is_real(v) (__builtin_classify_type((v)) == __builtin_classify_type(1.0))
#endif
#define __cpu_alloc_size(v)                                                                        \
	(sizeof((__typeof__(v))(uintptr_t)0) +                                                     \
	 __cpu_alloc_check(                                                                        \
		 (sizeof(v) == 1 || sizeof(v) == 2 || sizeof(v) == 4 || sizeof(v) == 8) &&         \
			 !__cpu_alloc_is_real(v),                                                  \
		 "this_cpu operations take integers and pointers of 1, 2, 4 or 8 bytes") +         \
	 __cpu_alloc_check(__alignof__(v) >= sizeof(v),                                            \
			   "this_cpu operations need natural alignment"))
#ifdef __CHECKER__
#define __cpu_alloc_number_size(v) __cpu_alloc_size(v)
#define __cpu_alloc_bits(v, x) ((uint64_t)(uintptr_t)(x))
#else
#define __cpu_alloc_number_size(v)                                                                 \
	(__cpu_alloc_size(v) +                                                                     \
	 __cpu_alloc_check(_Generic((v), _Bool : 0, default : 1) &&                                \
				   __builtin_classify_type((v)) == __builtin_classify_type(1),     \
			   "only integers can be added to"))
#define __cpu_alloc_bits(v, x) cpu_alloc_bits(&(__typeof__(v)){(x)}, sizeof(v))
#endif
#define __cpu_alloc_value(v, x) ((__typeof__(v))(uintptr_t)(x))

#endif /* __cplusplus */

/* Is @old a pointer to what v is? */
#ifdef __cplusplus
#define __cpu_alloc_same(v, old) (__cpu_alloc_field<__typeof__(v)>::same(old))
#elif defined(__CHECKER__)
#define __cpu_alloc_same(v, old) (old)
#else
#define __cpu_alloc_same(v, old) (1 ? (old) : (__typeof__(v) *)0)
#endif

/* @how: cpu_alloc_op, or cpu_alloc_plain. */
#define __cpu_alloc_at(v) ((uintptr_t) & (v))
#define __cpu_alloc_do(how, op, v, x)                                                              \
	how(CPU_ALLOC_OP_##op, __cpu_alloc_size(v), __cpu_alloc_at(v), x, 0)
#define __cpu_alloc_add(how, v, n)                                                                 \
	((void)how(CPU_ALLOC_OP_ADD, __cpu_alloc_number_size(v), __cpu_alloc_at(v), n, 0))
#define __cpu_alloc_add_return(how, v, n)                                                          \
	__cpu_alloc_value(v, how##_add_return(__cpu_alloc_number_size(v), __cpu_alloc_at(v), n))
#define __cpu_alloc_cmpxchg(how, v, old, x)                                                        \
	__cpu_alloc_value(v, how(CPU_ALLOC_OP_CMPXCHG, __cpu_alloc_size(v), __cpu_alloc_at(v),     \
				 __cpu_alloc_bits(v, x), __cpu_alloc_bits(v, old)))
#define __cpu_alloc_try_cmpxchg(how, v, old, x)                                                    \
	how##_try_cmpxchg(__cpu_alloc_size(v), __cpu_alloc_at(v), __cpu_alloc_same(v, old),        \
			  __cpu_alloc_bits(v, x))

/* The address of a pair, if its type is one. */
#ifdef __cplusplus
extern "C++" {
template <size_t size, size_t alignment> struct __cpu_alloc_pair {
	static_assert(size == 16 && alignment >= 16,
		      "this needs 16 bytes, of a type that is aligned to 16");
	static constexpr uintptr_t at(uintptr_t handle)
	{
		return handle;
	}
};
}
#define __cpu_alloc_pair_at(v) (__cpu_alloc_pair<sizeof(v), __alignof__(v)>::at(__cpu_alloc_at(v)))
#elif defined(__CHECKER__)
#define __cpu_alloc_pair_at(v) __cpu_alloc_at(v)
#else
#define __cpu_alloc_pair_at(v)                                                                     \
	(__cpu_alloc_at(v) +                                                                       \
	 __cpu_alloc_check(sizeof(v) == 16 && __alignof__(v) >= 16,                                \
			   "this needs 16 bytes, of a type that is aligned to 16"))
#endif

#endif /* CPU_ALLOC_INLINE_H */
