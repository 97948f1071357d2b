/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* For tests that look into the library: where its own memory is. */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include "helpers.h"
#include "state.h"

/* That of index @i; they lie apart from all else. Only if there are any. */
static inline char *magazines_of(int i)
{
	return (char *)magazine_at(&cpu_alloc_state.magazines, i, 1);
}

/* Of all indices, and the depot. */
static inline size_t magazines_bytes(void)
{
	return (size_t)(cpu_alloc_state.nr - DEPOT) * MAGAZINES_STRIDE;
}

/* From cpu_alloc_state.own on: the map, pages, states and all that is not magazines. */
static inline size_t metadata_bytes(void)
{
	return cpu_alloc_state.own_bytes - (caches_are_there() ? magazines_bytes() : 0);
}

#endif
