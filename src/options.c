/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Options, see options.h. One table names them all. */
#include "options.h"
#include "cpu_alloc.h"
#include "cpus.h"
#include "os.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

#define PERCPU_MIN ((size_t)4 << 10)
#define PERCPU_MAX (CPU_ALLOC_STRIDE - ((size_t)1 << 20)) /* guard space always follows */
#define PERCPU_DEFAULT ((size_t)16 << 20)

/* A piece of a list; not terminated. */
struct text {
	const char *start;
	size_t length;
};

static bool text_is(struct text text, const char *word)
{
	return strlen(word) == text.length && memcmp(word, text.start, text.length) == 0;
}

/* Digits and nothing else; false beyond what a size_t holds. */
static bool parse_digits(struct text text, size_t *number)
{
	*number = 0;
	for (size_t i = 0; i < text.length; i++) {
		const char digit = text.start[i];

		if (digit < '0' || digit > '9' || __builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (size_t)(digit - '0'), number))
			return false;
	}
	return text.length > 0;
}

static bool parse_size(struct text text, size_t *bytes)
{
	static const char suffixes[] = "KkMmGg";
	const char *suffix = text.length ? strchr(suffixes, text.start[text.length - 1]) : NULL;
	size_t factor = 1;

	if (suffix && *suffix) {
		factor = (size_t)1 << (10 + 10 * ((suffix - suffixes) / 2));
		text.length--;
	}
	return parse_digits(text, bytes) && !__builtin_mul_overflow(*bytes, factor, bytes);
}

/* One of two words: @no sets *@value to false, @yes to true. */
static const char *parse_choice(struct text text, const char *no, const char *yes, bool *value)
{
	*value = text_is(text, yes);
	return *value || text_is(text, no) ? NULL : "no such choice";
}

/* Each parser returns NULL or the reason against the value. */

static const char *parse_percpu(struct text text, struct options *options)
{
	size_t bytes;

	if (!parse_size(text, &bytes))
		return "not a size (as in 64K, 16M or 1G)";
	if (bytes < PERCPU_MIN || bytes > PERCPU_MAX)
		return "out of range (from 4K to the stride less 1M)";
	options->percpu = os_round_to_page(bytes);
	return NULL;
}

static const char *parse_cpus(struct text text, struct options *options)
{
	size_t cpus;

	if (!parse_digits(text, &cpus))
		return "not a number";
	if (cpus > CPUS_MAX)
		return "more than 4096";
	if (cpus < (size_t)cpus_possible())
		return "fewer than the machine can have";
	options->cpus = (int)cpus;
	return NULL;
}

static const char *parse_index(struct text text, struct options *options)
{
	return parse_choice(text, "cpu", "cid", &options->cid);
}

static const char *parse_rseq(struct text text, struct options *options)
{
	return parse_choice(text, "auto", "off", &options->rseq_off);
}

static const char *parse_on_error(struct text text, struct options *options)
{
	return parse_choice(text, "warn", "abort", &options->abort_on_error);
}

static const char *parse_thp(struct text text, struct options *options)
{
	return parse_choice(text, "off", "on", &options->thp);
}

static const struct {
	char name[12];
	const char *(*parse)(struct text text, struct options *options);
} items[] = {
	{"percpu", parse_percpu},     {"index", parse_index}, {"rseq", parse_rseq},
	{"on_error", parse_on_error}, {"thp", parse_thp},     {"cpus", parse_cpus},
};

/* One "name=value". */
static const char *parse_item(struct text item, struct options *options)
{
	const char *equals = memchr(item.start, '=', item.length);
	struct text name = item, value = {NULL, 0};

	if (equals) {
		name.length = (size_t)(equals - item.start);
		value.start = equals + 1;
		value.length = item.length - name.length - 1;
	}
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (text_is(name, items[i].name))
			return equals ? items[i].parse(value, options) : "no value";
	return item.length ? "no such option" : "an empty item";
}

static void report_item(const char *where, struct text item, const char *reason)
{
	char text[64];
	struct report report;
	size_t n = item.length < sizeof(text) - 1 ? item.length : sizeof(text) - 1;

	memcpy(text, item.start, n);
	text[n] = '\0';
	report_begin(&report);
	report_string(&report, where);
	report_string(&report, ": ");
	report_string(&report, text);
	report_string(&report, ": ");
	report_string(&report, reason);
	report_failure(&report);
}

/* Parse all items, the good ones into *@options. False if one was bad. */
static bool parse_list(const char *where, const char *list, struct options *options)
{
	bool good = true;

	for (struct text item = {list, 0}; *list; item.start += item.length + 1) {
		struct options tried = *options;
		const char *reason;

		item.length = strcspn(item.start, ",");
		reason = parse_item(item, &tried);
		if (reason) {
			report_item(where, item, reason);
			good = false;
		} else {
			*options = tried;
		}
		if (item.start[item.length] == '\0')
			break;
	}
	return good;
}

void options_from_environment(struct options *options)
{
	const char *list = secure_getenv("CPU_ALLOC");

	*options = (struct options){.percpu = os_round_to_page(PERCPU_DEFAULT)};
	if (list)
		parse_list("CPU_ALLOC", list, options);
}

bool options_are_good(const char *list)
{
	struct options tried = {0};

	return parse_list("cpu_alloc_setup", list, &tried);
}

void options_from_call(struct options *options, const char *list)
{
	parse_list("cpu_alloc_setup", list, options);
}
