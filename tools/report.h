/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a replay found, for people and for programs, on standard output. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "replay.h"

void report_text(const struct replay *replay);

/* One object on one line; its keys are the names of REPLAY_RESULTS. */
void report_json(const struct replay *replay);

/* @n with a comma after each third digit, in @text of at least 27 bytes. */
const char *grouped(uint64_t n, char *text);

/* "at most 64 bytes" and the like for size class @i, in @text of at least 40 bytes. */
const char *size_class_name(unsigned int i, char *text);

#endif
