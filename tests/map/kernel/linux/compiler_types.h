/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A stand-in for the kernel's header of this name, which is ahead of every file there:
 * words that are macros in the kernel.
 */
#ifndef TESTS_MAP_KERNEL_LINUX_COMPILER_TYPES_H
#define TESTS_MAP_KERNEL_LINUX_COMPILER_TYPES_H

#define inline inline __attribute__((__gnu_inline__)) __attribute__((__unused__))
#define noinline __attribute__((__noinline__))
#define fallthrough __attribute__((__fallthrough__))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
