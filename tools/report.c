/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The results: one list of rows, printed as JSON or as text. */
#include "report.h"
#include "escape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR_COLUMNS 40

/* One result, whatever its type. */
struct value {
	bool is_real;
	uint64_t whole; /* UINT64_MAX: not known */
	double real;
};

static struct value whole(uint64_t n)
{
	return (struct value){.whole = n};
}

static struct value real(double x)
{
	return (struct value){.is_real = true, .real = x};
}

#define REPORT_VALUE(type, x) _Generic((type)0, double : real, default : whole)(x)

/* Where the text has it. */
enum where { NOWHERE, PACKING, LIST, LIST_IF_ANY };

struct row {
	const char *key, *text;
	enum where where;
	struct value value;
};

#define REPORT_COUNT(...) +1
enum { ROWS = 0 REPLAY_RESULTS(REPORT_COUNT) };

static void make_rows(const struct replay_result *result, struct row *row)
{
#define REPORT_ROW(type, name, where, text)                                                        \
	*row++ = (struct row){#name, text, where, REPORT_VALUE(type, result->name)};
	REPLAY_RESULTS(REPORT_ROW)
#undef REPORT_ROW
}

/* JSON */

static void print_member(const struct row *row)
{
	printf(", \"%s\": ", row->key);
	if (row->value.is_real)
		printf("%.3f", row->value.real);
	else if (row->value.whole == UINT64_MAX)
		printf("null");
	else
		printf("%" PRIu64, row->value.whole);
}

void report_json(const struct replay *replay)
{
	struct row rows[ROWS];

	make_rows(&replay->result, rows);
	printf("{\"file\": ");
	print_json_string(stdout, replay->path);
	for (int i = 0; i < ROWS; i++)
		print_member(&rows[i]);
	printf("}\n");
}

/* Text */

const char *grouped(uint64_t n, char *text)
{
	char digits[24];
	int count = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *end = text;

	for (int i = 0; i < count; i++) {
		if (i && (count - i) % 3 == 0)
			*end++ = ',';
		*end++ = digits[i];
	}
	*end = '\0';
	return text;
}

const char *size_class_name(unsigned int i, char *text)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

	sprintf(text, "%u %s", 1u << i % 10, units[i / 10]);
	return text;
}

static void print_packing(const struct row *rows, uint64_t asked)
{
	char number[32];

	printf("  %-36s %14s %19s\n", "packing", "bytes", "per byte asked for");
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].where != PACKING)
			continue;
		printf("  %-36s %14s", rows[i].text, grouped(rows[i].value.whole, number));
		if (asked)
			printf(" %19.3f", (double)rows[i].value.whole / (double)asked);
		printf("\n");
	}
}

static void print_sizes(const uint64_t *sizes)
{
	uint64_t most = 1;
	char name[40], number[32];

	for (unsigned int i = 0; i < REPLAY_SIZES; i++)
		most = sizes[i] > most ? sizes[i] : most;
	printf("\n  sizes up to   allocations\n");
	for (unsigned int i = 0; i < REPLAY_SIZES; i++) {
		/* Rounded up, so that no size that was seen looks like none. */
		int bar = (int)((sizes[i] * BAR_COLUMNS + most - 1) / most);

		if (sizes[i])
			printf("  %11s %13s  %.*s\n", size_class_name(i, name),
			       grouped(sizes[i], number), bar,
			       "########################################");
	}
}

static void print_list(const struct row *rows)
{
	for (int i = 0; i < ROWS; i++) {
		const struct value *value = &rows[i].value;
		char number[32];

		if (rows[i].where != LIST && (rows[i].where != LIST_IF_ANY || !value->whole))
			continue;
		if (value->is_real)
			snprintf(number, sizeof(number), "%.1f", value->real);
		else if (value->whole == UINT64_MAX)
			strcpy(number, "not known");
		else
			grouped(value->whole, number);
		printf("  %-42s %16s\n", rows[i].text, number);
	}
}

void report_text(const struct replay *replay)
{
	struct row rows[ROWS];

	make_rows(&replay->result, rows);
	printf("%s\n\n", replay->path);
	print_packing(rows, replay->result.peak_bytes_requested);
	print_sizes(replay->sizes);
	printf("\n");
	print_list(rows);
}
