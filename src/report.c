/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Messages, see report.h. */
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int misuse_aborts;
static unsigned failures, misuses;

void report_begin(struct report *report)
{
	report->length = 0;
	report_string(report, "cpu_alloc: ");
}

void report_string(struct report *report, const char *string)
{
	const size_t room = sizeof(report->text) - 1 - report->length; /* one for the line's end */
	size_t n = strlen(string);

	if (n > room)
		n = room;
	memcpy(report->text + report->length, string, n);
	report->length += n;
}

static void report_number(struct report *report, uint64_t number, unsigned base)
{
	char digits[sizeof("18446744073709551615")];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[number % base];
	} while ((number /= base));
	report_string(report, p);
}

void report_decimal(struct report *report, uint64_t number)
{
	report_number(report, number, 10);
}

void report_hex(struct report *report, uint64_t number)
{
	report_string(report, "0x");
	report_number(report, number, 16);
}

void report_size(struct report *report, uint64_t bytes)
{
	static const char units[][2] = {"", "K", "M", "G"};
	unsigned power = 0;

	for (; power < 3 && bytes && bytes % 1024 == 0; power++)
		bytes /= 1024;
	report_decimal(report, bytes);
	report_string(report, units[power]);
}

/* Write it, if it is among the first of its kind, in one piece. */
static void report_end(struct report *report, unsigned *count)
{
	const unsigned before = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	const int saved = errno;
	int cancel;

	if (before >= REPORT_MAX) {
		__atomic_store_n(count, REPORT_MAX, __ATOMIC_RELAXED); /* it must not wrap */
		return;
	}
	report->text[report->length++] = '\n';
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (write(STDERR_FILENO, report->text, report->length) < 0) {
		/* Nobody is there to read it. */
	}
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
}

void report_failure(struct report *report)
{
	report_end(report, &failures);
}

void report_misuse(struct report *report)
{
	report_end(report, &misuses);
	if (misuse_aborts)
		abort();
}

void report_misuse_aborts(int aborts)
{
	misuse_aborts = aborts;
}
