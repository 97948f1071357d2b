/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Standard error, with a line of progress that gives way to messages. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool progress_shown;

bool progress_wanted(void)
{
	return isatty(STDERR_FILENO);
}

void progress_clear(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

void progress(const char *format, ...)
{
	va_list arguments;

	progress_clear();
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fflush(stderr);
	progress_shown = true;
}

void complain(const char *format, ...)
{
	va_list arguments;

	flockfile(stderr); /* one line is one thread's */
	progress_clear();
	fputs("cpu-alloc: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\n", stderr);
	funlockfile(stderr);
}

void out_of_memory(void)
{
	complain("out of memory");
	exit(2);
}

void *reallocate(void *memory, size_t n, size_t size)
{
	memory = reallocarray(memory, n, size);
	if (!memory)
		out_of_memory();
	return memory;
}
