/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The only door of src/core to its surroundings. The kernel module has its own,
 * kernel/deps.h, with the same guard; the files of src/core are the same in both.
 *
 * What is needed: fixed-width integers, bool, size_t, MAP_ASSERT().
 */
#ifndef CPU_ALLOC_CORE_DEPS_H
#define CPU_ALLOC_CORE_DEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef MAP_DEBUG
#define MAP_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define MAP_ASSERT(condition) ((void)0)
#endif

#endif
