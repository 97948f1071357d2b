/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The operations by atomic instructions, on the instance at a given address:
 * for the library's slow path, for architectures without critical sections, and
 * for ThreadSanitizer, which sees what compilers make of these.
 *
 * Included by inline.h.
 */
#ifndef CPU_ALLOC_ATOMIC_H
#define CPU_ALLOC_ATOMIC_H

#define CPU_ALLOC_ATOMIC_WIDTH(width)                                                              \
	/* Whatever integer or pointer of this width lies there. */                                \
	typedef uint##width##_t __attribute__((may_alias)) cpu_alloc_any_##width;                  \
                                                                                                   \
	static inline uint64_t cpu_alloc_atomic_##width(enum cpu_alloc_op op,                      \
							cpu_alloc_any_##width *at, uint64_t value, \
							uint64_t expected)                         \
	{                                                                                          \
		const uint##width##_t v = (uint##width##_t)value;                                  \
		cpu_alloc_any_##width old = (uint##width##_t)expected;                             \
                                                                                                   \
		switch (op) {                                                                      \
		case CPU_ALLOC_OP_READ:                                                            \
			return __atomic_load_n(at, __ATOMIC_RELAXED);                              \
		case CPU_ALLOC_OP_WRITE:                                                           \
			__atomic_store_n(at, v, __ATOMIC_RELAXED);                                 \
			return 0;                                                                  \
		case CPU_ALLOC_OP_ADD:                                                             \
		case CPU_ALLOC_OP_XADD:                                                            \
			return __atomic_fetch_add(at, v, __ATOMIC_RELAXED);                        \
		case CPU_ALLOC_OP_AND:                                                             \
			return __atomic_fetch_and(at, v, __ATOMIC_RELAXED);                        \
		case CPU_ALLOC_OP_OR:                                                              \
			return __atomic_fetch_or(at, v, __ATOMIC_RELAXED);                         \
		case CPU_ALLOC_OP_XCHG:                                                            \
			return __atomic_exchange_n(at, v, __ATOMIC_RELAXED);                       \
		case CPU_ALLOC_OP_CMPXCHG:                                                         \
			__atomic_compare_exchange_n(at, &old, v, 0, __ATOMIC_RELAXED,              \
						    __ATOMIC_RELAXED);                             \
			return old;                                                                \
		}                                                                                  \
		return 0;                                                                          \
	}

CPU_ALLOC_ATOMIC_WIDTH(8)
CPU_ALLOC_ATOMIC_WIDTH(16)
CPU_ALLOC_ATOMIC_WIDTH(32)
CPU_ALLOC_ATOMIC_WIDTH(64)
#undef CPU_ALLOC_ATOMIC_WIDTH

/* @size: in bytes. Returns the old value; nothing of meaning for a write. */
static inline uint64_t cpu_alloc_atomic(enum cpu_alloc_op op, size_t size, void *at, uint64_t value,
					uint64_t expected)
{
	switch (size) {
	case 1:
		return cpu_alloc_atomic_8(op, (cpu_alloc_any_8 *)at, value, expected);
	case 2:
		return cpu_alloc_atomic_16(op, (cpu_alloc_any_16 *)at, value, expected);
	case 4:
		return cpu_alloc_atomic_32(op, (cpu_alloc_any_32 *)at, value, expected);
	default:
		return cpu_alloc_atomic_64(op, (cpu_alloc_any_64 *)at, value, expected);
	}
}

#endif
