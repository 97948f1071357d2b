/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The reader of traces, bottom-up: lines, fields of an event, events. */
#include "trace.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t\r"

/* Of a free all from PTR on. */
enum field { SIZE, ALIGN, PTR, BASE_ADDR, OFF, FIELDS };

static const char *const field_names[FIELDS] = {
	[SIZE] = "size", [ALIGN] = "align", [PTR] = "ptr", [BASE_ADDR] = "base_addr", [OFF] = "off",
};

/*
 * The events that count. A name that others may have as well counts with what
 * must stand behind it, and is longer by that.
 */
static const struct event_type {
	enum trace_source source;
	enum trace_kind kind;
	const char *system, *name, *behind;
} event_types[] = {
	{TRACE_KERNEL, TRACE_ALLOC, "percpu:", "percpu_alloc_percpu", ""},
	{TRACE_KERNEL, TRACE_FREE, "percpu:", "percpu_free_percpu", ""},
	{TRACE_MODULE, TRACE_ALLOC, "cpu_alloc:", "alloc", "call_site="},
	{TRACE_MODULE, TRACE_FREE, "cpu_alloc:", "free", "base_addr="},
};

#define EVENT_TYPES (sizeof(event_types) / sizeof(*event_types))

/* An event as it stands in its line, of the values NULL where there is none. */
struct fields {
	const struct event_type *type;
	bool alone; /* the name, without its system */
	const char *value[FIELDS];
};

/* Note why reading ends. Returns false. What the file says must not reach a terminal raw. */
__attribute__((format(printf, 2, 3))) static bool stop(struct trace *trace, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trace->error, sizeof(trace->error), format, arguments);
	va_end(arguments);
	for (char *c = trace->error; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	return false;
}

/* Lines */

static bool read_failed(struct trace *trace)
{
	int error;

	gzerror(trace->file, &error);
	switch (error) {
	case Z_OK:
	case Z_STREAM_END:
		return false;
	case Z_ERRNO:
		stop(trace, "%s", strerror(errno));
		return true;
	case Z_BUF_ERROR:
		stop(trace, "the compressed data ends too early");
		return true;
	case Z_MEM_ERROR:
		stop(trace, "out of memory");
		return true;
	default:
		stop(trace, "the compressed data is damaged");
		return true;
	}
}

/* Read more behind what there is. False if there is no more, or no room for it. */
static bool fill(struct trace *trace)
{
	size_t left = trace->end - trace->start;
	int got;

	if (left == TRACE_LINE_MAX)
		return stop(trace, "a line of more than %d bytes", TRACE_LINE_MAX);
	memmove(trace->text, trace->text + trace->start, left);
	trace->start = 0;
	trace->end = left;
	got = gzread(trace->file, trace->text + left, (unsigned int)(TRACE_LINE_MAX - left));
	if (got > 0)
		trace->end += (size_t)got;
	else
		read_failed(trace);
	return got > 0;
}

/* The next line without its newline, to be changed at will; NULL at the end. */
static char *next_line(struct trace *trace)
{
	char *line, *newline;
	size_t length;

	trace->line++;
	do {
		line = trace->text + trace->start;
		newline = memchr(line, '\n', trace->end - trace->start);
	} while (!newline && fill(trace));

	line = trace->text + trace->start;
	length = newline ? (size_t)(newline - line) : trace->end - trace->start;
	if (*trace->error || (!newline && !length))
		return NULL;
	if (memchr(line, '\0', length)) {
		stop(trace, "binary data, not the text of a trace");
		return NULL;
	}
	line[length] = '\0';
	trace->start += length + (newline != NULL);
	return line;
}

/* Fields */

static bool number(struct trace *trace, const struct fields *fields, enum field field, int base,
		   uint64_t *result)
{
	const char *text = fields->value[field];
	char *end;

	if (!text)
		return stop(trace, "%s without %s", fields->type->name, field_names[field]);
	errno = 0;
	*result = strtoull(text, &end, base);
	if (!isxdigit((unsigned char)*text) || end == text || *end)
		return stop(trace, "%s=%.40s is not a number", field_names[field], text);
	if (errno)
		return stop(trace, "%s=%.40s is too large", field_names[field], text);
	return true;
}

static bool is_hidden(const char *pointer)
{
	return pointer && *pointer == '(';
}

static bool read_name(struct trace *trace, const struct fields *fields, struct trace_name *name)
{
	name->offset = TRACE_NO_OFFSET;
	if (!is_hidden(fields->value[PTR]))
		return number(trace, fields, PTR, 16, &name->address);

	name->address = 0;
	if (!is_hidden(fields->value[BASE_ADDR]) &&
	    !number(trace, fields, BASE_ADDR, 16, &name->address))
		return false;
	return number(trace, fields, OFF, 10, &name->offset);
}

/* The values among the tokens "key=value" of @rest. Of two with one key the first counts. */
static void split_fields(char **rest, struct fields *fields)
{
	char *token;

	while ((token = strtok_r(NULL, BLANKS, rest))) {
		char *value = strchr(token, '=');

		if (!value)
			continue;
		*value++ = '\0';
		for (int i = 0; i < FIELDS; i++)
			if (!fields->value[i] && !strcmp(token, field_names[i]))
				fields->value[i] = value;
	}
}

/*
 * Is it one of the module's events, or does it only have the name of one? With
 * the system before the name there is no doubt, and what is missing is an error.
 */
static bool is_meant(const struct fields *fields)
{
	if (fields->type->source == TRACE_KERNEL || !fields->alone)
		return true;
	for (int i = fields->type->kind == TRACE_ALLOC ? SIZE : PTR; i < FIELDS; i++)
		if (!fields->value[i])
			return false;
	return true;
}

static bool read_event(struct trace *trace, const struct fields *fields, struct trace_event *event)
{
	const struct event_type *type = fields->type;

	*event = (struct trace_event){.kind = type->kind, .name.source = type->source};
	if (type->kind == TRACE_ALLOC && (!number(trace, fields, SIZE, 10, &event->size) ||
					  !number(trace, fields, ALIGN, 10, &event->align)))
		return false;
	return read_name(trace, fields, &event->name);
}

/* Events */

static bool is_time(const char *token)
{
	return isdigit((unsigned char)*token) && token[strspn(token, "0123456789.")] == ':';
}

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* Is @token, which ends in a colon, with @rest behind it, the name of an event of @type? */
static bool is_name(const struct event_type *type, const char *token, const char *rest, bool *alone)
{
	*alone = !begins_with(token, type->system);
	if (!*alone)
		token += strlen(type->system);
	return begins_with(token, type->name) && !strcmp(token + strlen(type->name), ":") &&
	       begins_with(rest + strspn(rest, BLANKS), type->behind);
}

static const struct event_type *find_type(const char *token, const char *rest, bool *alone)
{
	for (size_t i = 0; i < EVENT_TYPES; i++)
		if (is_name(&event_types[i], token, rest, alone))
			return &event_types[i];
	return NULL;
}

/*
 * Find the event of @line, and its fields. False for any other line. Our names,
 * with what must stand behind them, are longer than the name of a task can be, so
 * they can stand only where the event's name belongs, or in the text of another
 * event, whose name follows the time.
 */
static bool find_event(char *line, struct fields *fields)
{
	bool after_time = false;
	char *rest;

	*fields = (struct fields){0};
	for (char *token = strtok_r(line, BLANKS, &rest); token;
	     token = strtok_r(NULL, BLANKS, &rest)) {
		if (token[strlen(token) - 1] == ':') {
			fields->type = find_type(token, rest, &fields->alone);
			if (fields->type) {
				split_fields(&rest, fields);
				return is_meant(fields);
			}
			if (after_time)
				return false;
		}
		after_time = is_time(token);
	}
	return false;
}

/* "CPU:1 [LOST 24 EVENTS]", or "CPU:1 [LOST EVENTS]" where the kernel has lost count. */
static bool count_lost(struct trace *trace, const char *line)
{
	const char *lost = strstr(line, " [LOST ");

	if (strncmp(line, "CPU:", 4) || !lost || !strstr(lost, "EVENTS]"))
		return false;
	trace->lost_marks++;
	trace->lost_events += strtoull(lost + strlen(" [LOST "), NULL, 10);
	return true;
}

bool trace_next(struct trace *trace, struct trace_event *event)
{
	struct fields fields;
	char *line;

	while (!*trace->error && (line = next_line(trace))) {
		if (*line == '#') {
			trace->comments++;
			continue;
		}
		if (count_lost(trace, line))
			continue;
		if (find_event(line, &fields))
			return read_event(trace, &fields, event);
		trace->other_lines++;
	}
	return false;
}

bool trace_open_fd(struct trace *trace, int fd)
{
	struct stat status;

	memset(trace, 0, offsetof(struct trace, text));
	if (fd < 0 || fstat(fd, &status) < 0)
		return stop(trace, "%s", strerror(errno));
	if (S_ISDIR(status.st_mode))
		stop(trace, "%s", strerror(EISDIR));
	else if (!(trace->file = gzdopen(fd, "rb")))
		stop(trace, "out of memory");
	if (!trace->file)
		close(fd);
	return trace->file;
}

bool trace_open(struct trace *trace, const char *path)
{
	if (!strcmp(path, "-"))
		return trace_open_fd(trace, dup(STDIN_FILENO));
	return trace_open_fd(trace, open(path, O_RDONLY | O_CLOEXEC));
}

uint64_t trace_position(const struct trace *trace)
{
	return (uint64_t)gzoffset(trace->file);
}

void trace_close(struct trace *trace)
{
	gzclose(trace->file);
}
