/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * C++ functions with critical sections, which two translation units both have: the
 * linker keeps one of each, and of what belongs to it.
 */
#ifndef PITFALLS_COMDAT_H
#define PITFALLS_COMDAT_H

#include "adds.h"

template <class T> __attribute__((noinline)) void count_template(T *counter)
{
	this_cpu_add(*counter, 1);
}

__attribute__((noinline)) inline void count_inline(struct pair *pair)
{
	this_cpu_add2(*pair, 1, 1);
}

/* A step of adds.h, by way of the other translation unit. */
void other_step(struct adds *to);

#endif
