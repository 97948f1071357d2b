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
	unsigned set; /* items that cpu_alloc_setup() has set, a bit each */
};

/* The defaults, then what the environment says. Bad items are reported. */
void options_from_environment(struct options *options);

/* What @list says. A bad item is reported, *@options stays as it was: false. */
bool options_from_call(struct options *options, const char *list);

#endif
