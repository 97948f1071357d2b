/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * For the tests of the public interface: children that may die and what they
 * said, statistics before and after, resident pages.
 *
 * Options hold for a process, and a misuse may end it: hence most checks are
 * made in a child. A child says must(); its parent counts the check.
 */
#ifndef API_HELPERS_H
#define API_HELPERS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu_alloc.h"
#include "tap.h"

#define CHILD_SECONDS 60 /* a child that takes longer hangs */

struct outcome {
	int status;	/* as waitpid() tells it */
	char out[8192]; /* standard output and standard error, cut to fit */
	char err[8192];
};

/* In a child: say what does not hold, and leave. */
#define must(condition) ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void must_failed(const char *condition, const char *file,
							 int line)
{
	printf("%s:%d: %s does not hold, errno: %s\n", file, line, condition, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static inline void read_back(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* Run @function in a child; what it returns is the exit status. */
static inline struct outcome run_child(int (*function)(const void *), const void *argument)
{
	struct outcome outcome;
	int out = memfd_create("out", 0), err = memfd_create("err", 0);
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		alarm(CHILD_SECONDS);
		out = function(argument);
		fflush(stdout);
		_exit(out);
	}
	waitpid(child, &outcome.status, 0);
	read_back(out, outcome.out, sizeof(outcome.out));
	read_back(err, outcome.err, sizeof(outcome.err));
	return outcome;
}

/* A program's start in its own process: the environment, and what main() is told. */
struct start {
	const char *variable, *value; /* CPU_ALLOC is unset if value is NULL */
	const char *file;	      /* NULL: this program */
	const char *command;
};

/* Where this program is. */
static inline const char *self(void)
{
	static char path[4096];

	must(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	return path;
}

static inline int exec_start(const void *argument)
{
	const struct start *start = argument;

	unsetenv("CPU_ALLOC");
	if (start->value)
		setenv(start->variable, start->value, 1);
	execl(start->file ? start->file : self(), self(), start->command, (char *)NULL);
	return 127;
}

/* Run this program once more, as `program command`, with CPU_ALLOC=@options. */
static inline struct outcome run_self(const char *options, const char *command)
{
	struct start start = {"CPU_ALLOC", options, NULL, command};

	return run_child(exec_start, &start);
}

/* The same in the mode of this process: with rseq=off as well, if that is what it was told. */
static inline struct outcome run_self_alike(const char *options, const char *command)
{
	const char *ours = getenv("CPU_ALLOC");
	char both[256];

	snprintf(both, sizeof(both), "%s%s", options,
		 ours && strstr(ours, "rseq=off") ? ",rseq=off" : "");
	return run_self(both, command);
}

static inline bool exited(const struct outcome *o, int code)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == code;
}

static inline bool killed(const struct outcome *o, int number)
{
	return WIFSIGNALED(o->status) && WTERMSIG(o->status) == number;
}

static inline void diag_lines(const char *title, const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		diag("%s%.*s", title, n, text);
		text += n + (text[n] == '\n');
	}
}

static inline void diag_outcome(const struct outcome *o)
{
	diag("status 0x%x", (unsigned int)o->status);
	diag_lines("out: ", o->out);
	diag_lines("err: ", o->err);
}

/* One check: the child leaves with 0. */
static inline void ok_outcome(const struct outcome *o, const char *name)
{
	if (!ok(exited(o, 0), "%s", name))
		diag_outcome(o);
}

static inline void ok_child(const char *name, int (*function)(const void *), const void *argument)
{
	struct outcome o = run_child(function, argument);

	ok_outcome(&o, name);
}

#define CANNOT 77 /* a child's exit status: this machine cannot make the check */

static inline void ok_child_or_skip(const char *name, int (*function)(const void *),
				    const void *argument, const char *reason)
{
	struct outcome o = run_child(function, argument);

	if (exited(&o, CANNOT))
		skip(name, reason);
	else
		ok_outcome(&o, name);
}

static inline bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* Fewer rounds where each is a lot slower: TEST_SLOW is set in emulated machines. */
static inline int rounds(int n)
{
	return under_valgrind() || getenv("TEST_SLOW") ? n / 10 : n;
}

static inline bool bind_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

static inline unsigned int line_count(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static inline int read_address(const void *address)
{
	signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler of their own */
	return *(const volatile char *)address;
}

static inline int write_address(const void *address)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)(uintptr_t)address = 1;
	return 0;
}

/* Does reading, and writing, at @address end a process? */
static inline bool faults(const void *address)
{
	struct outcome reading = run_child(read_address, address);
	struct outcome writing = run_child(write_address, address);

	return killed(&reading, SIGSEGV) && killed(&writing, SIGSEGV);
}

/* Can neither be read nor written, as the kernel sees it: quicker, and no noise. */
static inline bool unreachable(const void *address)
{
	char byte = 0;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)address, 1};

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) < 0 && errno == EFAULT &&
	       process_vm_writev(getpid(), &here, 1, &there, 1, 0) < 0 && errno == EFAULT;
}

/* Can so much be reserved? Not under valgrind. */
static inline bool address_space_for(size_t cpus)
{
	size_t bytes = (cpus + 2) * CPU_ALLOC_STRIDE;
	void *space =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return space != MAP_FAILED && munmap(space, bytes) == 0;
}

static inline size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static inline char *instance(const void *ptr, int i)
{
	return CPU_PTR((char *)(uintptr_t)ptr, i);
}

static inline bool all_bytes(const void *start, int value, size_t bytes)
{
	const unsigned char *byte = start;

	for (size_t n = 0; n < bytes; n++)
		if (byte[n] != value)
			return false;
	return true;
}

/* Fill, and check, every instance: each with a value of its own. */
static inline void fill_instances(const void *ptr, int value, size_t bytes)
{
	cpu_alloc_for_each (i)
		memset(instance(ptr, i), (value + i) & 0xff, bytes);
}

static inline bool instances_hold(const void *ptr, int value, size_t bytes)
{
	cpu_alloc_for_each (i)
		if (!all_bytes(instance(ptr, i), (value + i) & 0xff, bytes))
			return false;
	return true;
}

static inline bool instances_zero(const void *ptr, size_t bytes)
{
	cpu_alloc_for_each (i)
		if (!all_bytes(instance(ptr, i), 0, bytes))
			return false;
	return true;
}

/* Are there magazines here? Small objects that are free stay in them for a while. */
static inline bool magazines(void)
{
	return strncmp(cpu_alloc_path(), "rseq", 4) == 0 && cpu_fence_all() == 0;
}

/* What magazines hold goes back to the map: what comes next is as if there were none. */
static inline void settle(void)
{
	if (magazines())
		cpu_alloc_trim();
}

/* An object at the lowest address that fits. With magazines only the map is that exact. */
static inline char *first_fit(size_t size, gfp_t flags, size_t align)
{
	settle();
	return cpu_alloc(size, flags, align);
}

static inline struct cpu_alloc_stats stats_now(void)
{
	struct cpu_alloc_stats now;

	if (cpu_alloc_stats(&now, sizeof(now)) != 0 || now.size != sizeof(now))
		abort();
	return now;
}

/*
 * The names of the members that are not the same now as in @before, with a
 * space between. resident_bytes, which others change too, is left out.
 */
static inline const char *stats_changed(const struct cpu_alloc_stats *before)
{
	static char names[1024];
	struct cpu_alloc_stats now = stats_now();

	names[0] = '\0';
#define STATS_COMPARE(name, text)                                                                  \
	if (before->name != now.name && strcmp(#name, "resident_bytes") != 0)                      \
		strcat(strcat(names, names[0] ? " " : ""), #name);
	CPU_ALLOC_STATS(STATS_COMPARE)
#undef STATS_COMPARE
	return names;
}

/* In a child: only these members have changed. */
#define must_change(before, names) must(strcmp(stats_changed(before), names) == 0)

#define PAGEMAP_OWN (UINT64_C(1) << 56 | UINT64_C(1) << 62) /* mapped here only, or swapped */

/*
 * Bytes of whole pages at @start that have memory of their own. The shared zero
 * page, which reading maps, does not count; nor do pages shared by a fork.
 */
static inline size_t own_memory(const void *start, size_t bytes)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t page = page_bytes(), first = (uintptr_t)start / page;
	size_t end = ((uintptr_t)start + bytes + page - 1) / page, own = 0;
	uint64_t entry[512];

	for (size_t n; first < end; first += n) {
		n = end - first < 512 ? end - first : 512;
		must(pread(fd, entry, n * 8, (off_t)(first * 8)) == (ssize_t)(n * 8));
		for (size_t k = 0; k < n; k++)
			own += entry[k] & PAGEMAP_OWN ? page : 0;
	}
	close(fd);
	return own;
}

/* Of all areas together: @bytes of each at the place of @ptr. */
static inline size_t own_memory_all(const void *ptr, size_t bytes)
{
	size_t sum = 0;

	cpu_alloc_for_each (i)
		sum += own_memory(instance(ptr, i), bytes);
	return sum;
}

/* The first handle of all: where the areas begin. */
static inline char *first_handle(const void *ptr)
{
	return (char *)(uintptr_t)ptr - cpu_alloc_offset(ptr);
}

#endif
