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

/* The section that @pc is in, that begins there, or goes on there after an abort; or NULL. */
struct section *section_around(uintptr_t pc);
struct section *section_at_start(uintptr_t pc);
struct section *section_at_abort(uintptr_t pc);

/* Where the function begins that @pc is in; or 0. */
uintptr_t function_at(uintptr_t pc);

/* Does it work on a magazine of the allocator, instead of an instance? */
bool section_is_of_magazines(const struct section *section);

/*
 * Was it visited? With sanitizers: or a copy of it, of the same operation in the same
 * function. They keep compilers from seeing that some copies are never run.
 */
bool section_is_visited(const struct section *section);

#endif
