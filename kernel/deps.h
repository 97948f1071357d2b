/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The door of src/core in the kernel. It is included ahead of everything else, and
 * has the guard of src/core/deps.h: the files of the core ask for that one, and find
 * that it is there already.
 */
#ifndef CPU_ALLOC_CORE_DEPS_H
#define CPU_ALLOC_CORE_DEPS_H

#include <linux/bug.h>
#include <linux/types.h>

#ifndef UINT32_MAX
#define UINT32_MAX ((uint32_t)~0U)
#define UINT64_MAX ((uint64_t)~0ULL)
#endif

#ifdef MAP_DEBUG
#define MAP_ASSERT(condition) BUG_ON(!(condition))
#else
#define MAP_ASSERT(condition) ((void)0)
#endif

#endif
