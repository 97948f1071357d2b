/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The command cpu-alloc: its command line. Exit status: 0 all is well, 1 an
 * allocation failed or an object was found changed, 2 bad usage or bad input.
 */
#include "info.h"
#include "message.h"
#include "picture.h"
#include "report.h"
#include "threads.h"

#include <cpu_alloc.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum status { FINE = 0, WRONG = 1, BAD = 2 };

static const char help[] =
	"Usage: cpu-alloc replay [OPTION]... FILE...\n"
	"       cpu-alloc info\n"
	"       cpu-alloc --help | --version\n"
	"\n"
	"replay does what a recorded trace of the Linux kernel's per-CPU allocations did\n"
	"through cpu_alloc, checks each object, and reports. FILE is text of ftrace's\n"
	"percpu_alloc_percpu and percpu_free_percpu, or of the kernel module's\n"
	"cpu_alloc:alloc and cpu_alloc:free, plain or compressed by gzip; - is standard\n"
	"input.\n"
	"  --json         print one JSON object a line, one line a file\n"
	"  --map          draw the area at its peak\n"
	"  --svg FILE     draw it as a picture into FILE; takes one trace\n"
	"  --percpu SIZE  size of each area, as 64K, 16M\n"
	"  --no-touch     do not write and check the objects\n"
	"  --threads N    split the trace over N threads, each bound to a CPU\n"
	"\n"
	"info tells what the library finds on this machine.\n";

/* Bad usage: what is wrong has been told. */
static int usage(void)
{
	fprintf(stderr, "Try 'cpu-alloc --help'.\n");
	return BAD;
}

/* What replay is asked for. */
struct request {
	struct replay_options options;
	bool json, map;
	const char *svg;
	char **files;
	int file_count;
};

static bool set_percpu(const char *size)
{
	char item[64];

	/* A comma would smuggle in further options. */
	if (!strchr(size, ',') &&
	    snprintf(item, sizeof(item), "percpu=%s", size) < (int)sizeof(item) &&
	    cpu_alloc_setup(item) == 0)
		return true;
	complain("--percpu: bad size '%s'", size);
	return false;
}

static bool set_threads(struct request *request, const char *text)
{
	char *end;
	const unsigned long count = strtoul(text, &end, 10);

	/* strtoul() would take a sign and blanks. */
	if (!isdigit((unsigned char)*text) || *end || !count || count > THREADS_MOST) {
		complain("--threads: bad number '%s', not from 1 to %d", text, THREADS_MOST);
		return false;
	}
	request->options.threads = (unsigned int)count;
	return true;
}

enum option_value { JSON = 256, MAP, SVG, PERCPU, NO_TOUCH, THREADS };

static bool set_option(struct request *request, int option)
{
	switch (option) {
	case JSON:
		return request->json = true;
	case MAP:
		return request->map = true;
	case SVG:
		return (request->svg = optarg);
	case PERCPU:
		return set_percpu(optarg);
	case NO_TOUCH:
		request->options.touch = false;
		return true;
	case THREADS:
		return set_threads(request, optarg);
	default:
		return false;
	}
}

static void complain_option(char **arguments, int found)
{
	if (found == ':')
		complain("option '%s' needs a value", arguments[optind - 1]);
	else if (optopt && optopt < JSON)
		complain("unknown option '-%c'", optopt);
	else if (optopt)
		complain("option '%s' takes no value", arguments[optind - 1]);
	else
		complain("unknown option '%s'", arguments[optind - 1]);
}

static bool parse_options(struct request *request, int count, char **arguments)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, JSON},
		{"map", no_argument, NULL, MAP},
		{"svg", required_argument, NULL, SVG},
		{"percpu", required_argument, NULL, PERCPU},
		{"no-touch", no_argument, NULL, NO_TOUCH},
		{"threads", required_argument, NULL, THREADS},
		{0},
	};
	int found;

	opterr = 0;
	while ((found = getopt_long(count, arguments, ":", options, NULL)) != -1) {
		if (found == ':' || found == '?') {
			complain_option(arguments, found);
			return false;
		}
		if (!set_option(request, found))
			return false;
	}
	request->files = arguments + optind;
	request->file_count = count - optind;
	return true;
}

static bool check_request(const struct request *request)
{
	if (!request->file_count)
		complain("replay: no FILE");
	else if (request->json && request->map)
		complain("--json and --map exclude each other");
	else if (request->svg && request->file_count > 1)
		complain("--svg %s: takes one trace, not %d", request->svg, request->file_count);
	else
		return true;
	return false;
}

static enum status show(const struct request *request, const struct replay *replay)
{
	const struct replay_result *result = &replay->result;

	if (request->json)
		report_json(replay);
	else
		report_text(replay);
	if (request->map)
		picture_map(replay);
	if (request->svg && !picture_svg(replay, request->svg))
		return BAD;
	if (result->failures || result->refused_frees || result->unfreed_bytes ||
	    result->corruptions)
		return WRONG;
	return FINE;
}

static enum status replay_file(const struct request *request, const char *path)
{
	struct replay replay = {.path = path, .options = request->options};
	enum status status = replay_run(&replay) ? show(request, &replay) : BAD;

	history_free(&replay.history);
	return status;
}

/* What was printed is not lost, or that is told: the status then. */
static enum status close_output(enum status status)
{
	if (!ferror(stdout) && fclose(stdout) == 0)
		return status;
	complain("standard output: %s", strerror(errno));
	return BAD;
}

/* The status of a process that replays one of several files. */
static enum status await(pid_t child, const char *path)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) < 0)
		complain("%s: %s", path, strerror(errno));
	else if (WIFSIGNALED(status))
		complain("%s: %s", path, strsignal(WTERMSIG(status)));
	else
		return (enum status)WEXITSTATUS(status);
	return BAD;
}

/* In a process of its own, see replay.h. */
static enum status replay_apart(const struct request *request, const char *path)
{
	pid_t child;

	fflush(stdout);
	signal(SIGCHLD, SIG_DFL); /* who started us may have had it ignored */
	child = fork();
	if (child == 0)
		exit((int)close_output(replay_file(request, path)));
	return await(child, path);
}

static int command_replay(int count, char **arguments)
{
	struct request request = {.options = {.threads = 1, .touch = true}};
	enum status worst = FINE;

	if (!parse_options(&request, count, arguments) || !check_request(&request))
		return usage();
	request.options.remember = request.map || request.svg;
	if (request.file_count == 1)
		return (int)replay_file(&request, request.files[0]);
	for (int i = 0; i < request.file_count; i++) {
		enum status status = replay_apart(&request, request.files[i]);

		if (!request.json && status != BAD && i + 1 < request.file_count)
			printf("\n");
		worst = status > worst ? status : worst;
	}
	return (int)worst;
}

static int command_info(int count, char **arguments)
{
	if (count > 1) {
		complain("info: unknown argument '%s'", arguments[1]);
		return usage();
	}
	info_print();
	return FINE;
}

static int command_help(int count, char **arguments)
{
	(void)count, (void)arguments;
	fputs(help, stdout);
	return FINE;
}

static int command_version(int count, char **arguments)
{
	(void)count, (void)arguments;
	printf("cpu-alloc %d.%d\n", CPU_ALLOC_VERSION_MAJOR, CPU_ALLOC_VERSION_MINOR);
	return FINE;
}

static int run(int count, char **arguments)
{
	static const struct {
		const char *name;
		int (*function)(int count, char **arguments);
	} commands[] = {
		{"replay", command_replay},
		{"info", command_info},
		{"--help", command_help},
		{"--version", command_version},
	};

	if (count < 2) {
		complain("no command");
		return usage();
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(arguments[1], commands[i].name))
			return commands[i].function(count - 1, arguments + 1);
	complain("unknown command '%s'", arguments[1]);
	return usage();
}

int main(int count, char **arguments)
{
	setlocale(LC_CTYPE, "");
	return (int)close_output((enum status)run(count, arguments));
}
