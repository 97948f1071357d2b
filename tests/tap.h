/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * TAP, the Test Anything Protocol: one line a check, the plan at the end.
 *
 *	ok(1 + 1 == 2, "sum of %d and %d", 1, 1);
 *	return tap_done();
 *
 * A check that cannot hold yet is todo("21", ...): it is listed by its reason,
 * not counted as passed, and a failure once it holds.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 3, 0))) static inline bool
tap_line(bool passed, const char *todo_reason, const char *format, va_list arguments)
{
	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	vprintf(format, arguments);
	if (todo_reason)
		printf(" # TODO %s", todo_reason);
	printf("\n");
	fflush(stdout);
	if (passed == (todo_reason != NULL))
		tap_failed++;
	return passed;
}

__attribute__((format(printf, 2, 3))) static inline bool ok(bool passed, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tap_line(passed, NULL, format, arguments);
	va_end(arguments);
	return passed;
}

__attribute__((format(printf, 3, 4))) static inline bool todo(const char *reason, bool passed,
							      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tap_line(passed, reason, format, arguments);
	va_end(arguments);
	return passed;
}

/* A note for people, ignored by the count. */
__attribute__((format(printf, 1, 2))) static inline void diag(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("# ");
	vprintf(format, arguments);
	printf("\n");
	fflush(stdout);
	va_end(arguments);
}

/* A check that this machine cannot make; it says why. */
static inline void skip(const char *name, const char *reason)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, name, reason);
	fflush(stdout);
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
