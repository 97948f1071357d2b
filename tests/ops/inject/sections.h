/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The critical sections of this program, as its own symbol table has them: each
 * descriptor has a local symbol, and there is one in front of no other list.
 */
#ifndef INJECT_SECTIONS_H
#define INJECT_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct section {
	const char *name;     /* the symbol, without what all of them begin with */
	uintptr_t descriptor; /* what rseq_cs points to */
	uintptr_t start, end; /* end: behind the commit */
	uintptr_t abort;
	bool sound;   /* as the kernel wants it */
	bool visited; /* a test injected at each of its instructions */
};

extern struct section *sections;
extern size_t section_count;

/* Abort signatures in executable memory that no section has: records without a symbol. */
extern size_t orphan_signatures;

/* Fill in the above. Returns false if this program's file cannot be understood. */
bool sections_find(void);

/* The section that begins, or goes on after an abort, at @pc; or NULL. */
struct section *section_at_start(uintptr_t pc);
struct section *section_at_abort(uintptr_t pc);

/* Where the function begins that @pc is in; or 0. */
uintptr_t function_at(uintptr_t pc);

/* Are they of the same operation, and in the same function: did the compiler copy one? */
bool section_copies(const struct section *a, const struct section *b);

#endif
