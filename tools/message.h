/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the command says on standard error. */
#ifndef TOOLS_MESSAGE_H
#define TOOLS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Print "cpu-alloc: ", the text and a newline. By any thread; what follows by one alone. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* Is there a terminal on which somebody may wait? */
bool progress_wanted(void);

/* Show a line there for now: until the next one, a complaint, or progress_clear(). */
__attribute__((format(printf, 1, 2))) void progress(const char *format, ...);
void progress_clear(void);

/* End the process with status 2, saying so. */
_Noreturn void out_of_memory(void);

/* realloc() to @n members of @size bytes, which does not fail but by the above. */
void *reallocate(void *memory, size_t n, size_t size);

#endif
