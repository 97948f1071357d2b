/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Messages to standard error, all of one form:
 *
 *	cpu_alloc: cpu_free(0x7f2a00000018, 24): double free
 *
 * By write(2) alone: async-signal-safe, keeps errno. Of each kind the first
 * REPORT_MAX are written, the rest is silent: whoever reports also counts.
 */
#ifndef CPU_ALLOC_REPORT_H
#define CPU_ALLOC_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define REPORT_MAX 16

/*
 * A text in the making; what does not fit is cut. Begin with report_begin(),
 * add, end with one of the functions below.
 */
struct report {
	char text[256];
	size_t length;
};

void report_begin(struct report *report);
void report_string(struct report *report, const char *string);
void report_decimal(struct report *report, uint64_t number);
void report_hex(struct report *report, uint64_t number);
void report_size(struct report *report, uint64_t bytes); /* 16M, 36K, 7 */

/* Something the system or the options would not give. */
void report_failure(struct report *report);

/* Something the program must not do: the process ends with on_error=abort. */
void report_misuse(struct report *report);
void report_misuse_aborts(int aborts);

#endif
