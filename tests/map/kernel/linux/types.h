/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A stand-in for the kernel's header of this name: what the core may use of it,
 * with the types that the kernel has on 64-bit machines. There uint64_t is
 * unsigned long long, and limits such as UINT32_MAX are not to be had.
 */
#ifndef TESTS_MAP_KERNEL_LINUX_TYPES_H
#define TESTS_MAP_KERNEL_LINUX_TYPES_H

typedef signed char s8;
typedef unsigned char u8;
typedef signed short s16;
typedef unsigned short u16;
typedef signed int s32;
typedef unsigned int u32;
typedef signed long long s64;
typedef unsigned long long u64;

typedef s8 int8_t;
typedef u8 uint8_t;
typedef s16 int16_t;
typedef u16 uint16_t;
typedef s32 int32_t;
typedef u32 uint32_t;
typedef s64 int64_t;
typedef u64 uint64_t;

typedef unsigned long size_t;
typedef long ssize_t;
typedef long ptrdiff_t;
typedef unsigned long uintptr_t;

typedef _Bool bool;

/* Of <linux/stddef.h>, which comes with it. */
enum { false = 0, true = 1 };

#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)

#endif
