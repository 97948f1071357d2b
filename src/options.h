/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The options: a comma-separated list from the environment variable CPU_ALLOC
 * or from cpu_alloc_setup(), which wins item by item.
 */
#ifndef CPU_ALLOC_OPTIONS_H
#define CPU_ALLOC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
	size_t percpu; /* bytes, whole pages */
	int cpus;      /* 0: as many as there can be */
	bool cid, rseq_off, abort_on_error, thp;
};

/* The defaults, then what the environment says. Bad items are reported. */
void options_from_environment(struct options *options);

/* Is each item of @list good? Bad ones are reported. */
bool options_are_good(const char *list);

/* What @list, which is good, says. */
void options_from_call(struct options *options, const char *list);

#endif
