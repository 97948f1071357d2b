/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Waiting for what runs on other CPUs, inside the library. */
#ifndef CPU_ALLOC_FENCE_H
#define CPU_ALLOC_FENCE_H

#include <stdbool.h>

/*
 * cpu_fence(), of all indices if @i is -1. Keeps errno. False: the system does not
 * do it. Async-signal-safe.
 */
bool fence_index(int i);

#endif
