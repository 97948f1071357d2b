/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every system call that fails, one after the other.
 *
 * A scenario uses all that the library asks of the system. It is run in a child
 * with the first call failing, then in another with the second, and so on until
 * there are no more; and again with all calls from the k-th on failing. Each
 * step either succeeds, or says so and has changed nothing. Afterwards, with
 * the system well again, everything works.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "helpers.h"

#define KIB ((size_t)1 << 10)
#define BIG (100 * KIB)	    /* more than is committed at first */
#define BIGGER (2048 * KIB) /* more than the next step */

static struct {
	bool armed, from_then_on, munmap_failed;
	int calls, fail_at; /* the first is 1; 0: none fails */
} injection;

static bool fails(int error)
{
	if (!injection.armed)
		return false;
	injection.calls++;
	if (!injection.fail_at || injection.calls < injection.fail_at)
		return false;
	if (injection.calls > injection.fail_at && !injection.from_then_on)
		return false;
	errno = error;
	return true;
}

/* The linker (--wrap) leads the library's calls here. */
#define WRAP(type, name, error, failure, parameters, arguments)                                    \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails(error) ? (failure) : __real_##name arguments;                         \
	}

WRAP(void *, mmap64, ENOMEM, MAP_FAILED,
     (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(void *, mmap, ENOMEM, MAP_FAILED,
     (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(int, mprotect, ENOMEM, -1, (void *at, size_t bytes, int protection), (at, bytes, protection))
WRAP(int, madvise, EINVAL, -1, (void *at, size_t bytes, int advice), (at, bytes, advice))
WRAP(int, munlock, ENOMEM, -1, (const void *at, size_t bytes), (at, bytes))
WRAP(int, open, EMFILE, -1, (const char *path, int flags, int mode), (path, flags, mode))
WRAP(int, open64, EMFILE, -1, (const char *path, int flags, int mode), (path, flags, mode))
WRAP(ssize_t, read, EIO, -1, (int fd, void *at, size_t bytes), (fd, at, bytes))
WRAP(int, pthread_atfork, ENOMEM, ENOMEM,
     (void (*before)(void), void (*parent)(void), void (*child)(void)), (before, parent, child))

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

/* That the number of CPUs cannot be learnt at all is tested in machine.c. */
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	return number != SYS_sched_getaffinity && fails(EPERM)
		       ? -1
		       : __real_syscall(number, a, b, c, d, e, f);
}

int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);

int __wrap_munmap(void *at, size_t bytes)
{
	if (!fails(ENOMEM))
		return __real_munmap(at, bytes);
	injection.munmap_failed = true;
	return -1;
}

struct scenario {
	const char *options;
	bool locked; /* under mlockall(MCL_FUTURE) */
	int fail_at;
	bool from_then_on;
};

static size_t messages_bytes(void)
{
	return (size_t)lseek(STDERR_FILENO, 0, SEEK_CUR);
}

static size_t address_space(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	must(statm && fscanf(statm, "%zu", &pages) == 1);
	fclose(statm);
	return pages;
}

/* Behind what is committed nothing can be touched, unless undoing a step failed as well. */
static void must_end_at_committed(const char *ptr)
{
	struct cpu_alloc_stats now = stats_now();

	if (!ptr || injection.from_then_on || now.committed_bytes == now.area_bytes)
		return;
	cpu_alloc_for_each (i)
		must(unreachable(instance(first_handle(ptr), i) + now.committed_bytes));
}

/* Succeed, or fail with reason and message and leave all as it was. */
static char *attempt(size_t size, gfp_t flags, const char *first)
{
	struct cpu_alloc_stats before = stats_now();
	size_t said = messages_bytes(), space = address_space();
	char *ptr;

	errno = 0;
	injection.munmap_failed = false;
	injection.armed = true;
	ptr = cpu_alloc(size, flags, 8);
	injection.armed = false;
	if (!ptr) {
		must(errno == ENOMEM && messages_bytes() > said);
		must_change(&before, "failed_enomem");
		must(injection.munmap_failed || address_space() == space);
		must_end_at_committed(first);
	}
	return ptr;
}

/* What could not be had while the system failed can be had now. */
static char *surely(char *ptr, size_t size, gfp_t flags)
{
	if (!ptr)
		ptr = cpu_alloc(size, flags, 8);
	must(ptr != NULL);
	return ptr;
}

static void attempt_trim(void)
{
	struct cpu_alloc_stats before = stats_now(), after;
	size_t bytes;

	injection.armed = true;
	bytes = cpu_alloc_trim();
	injection.armed = false;
	after = stats_now();
	must(after.given_back_bytes == before.given_back_bytes + bytes);
	must(after.objects == before.objects && after.cpu_bytes == before.cpu_bytes);
	must(after.largest_free_bytes == before.largest_free_bytes);
	must(after.committed_bytes == before.committed_bytes);
}

/* At least so many bytes are resident, or it is not known. */
static void attempt_questions(size_t resident)
{
	struct cpu_alloc_stats now;

	injection.armed = true;
	must(cpu_alloc_stats(&now, sizeof(now)) == 0);
	must(cpu_alloc_nr() >= (int)sysconf(_SC_NPROCESSORS_CONF));
	injection.armed = false;
	must(now.resident_bytes >= resident); /* UINT64_MAX: not known */
}

/* Allocate, grow, dirty, give back, zero: with failures, then without. */
static int play(const void *argument)
{
	const struct scenario *s = argument;
	const gfp_t zeroed = GFP_KERNEL | __GFP_ZERO;
	char *first, *big, *bigger;
	bool taken;

	if (s->locked && mlockall(MCL_FUTURE) != 0)
		return CANNOT;
	injection.fail_at = s->fail_at;
	injection.from_then_on = s->from_then_on;
	injection.armed = true;
	taken = cpu_alloc_setup(s->options) == 0;
	injection.armed = false;
	must(taken || errno == EINVAL);
	first = attempt(24, zeroed, NULL);
	big = attempt(BIG, zeroed, first);
	attempt_questions(0);
	first = surely(first, 24, zeroed);
	big = surely(big, BIG, zeroed);
	must(instances_zero(first, 24) && instances_zero(big, BIG));
	fill_instances(first, 1, 24);
	fill_instances(big, 2, BIG);
	attempt_questions(BIG * ((size_t)cpu_alloc_nr() + 1));
	cpu_free(big, BIG);
	attempt_trim();
	big = surely(attempt(BIG / 2, zeroed, first), BIG / 2, zeroed);
	must(instances_zero(big, BIG / 2) && instances_hold(first, 1, 24));
	bigger = surely(attempt(BIGGER, zeroed, first), BIGGER, zeroed);
	must(instances_zero(bigger, 2 * KIB) && instances_hold(first, 1, 24));
	cpu_free(bigger, BIGGER);
	cpu_free(big, BIG / 2);
	cpu_free(first, 24);
	must(stats_now().objects == 0 && stats_now().misuses == 0);
	printf("calls %d\n", injection.calls);
	return 0;
}

static int calls_of(const struct outcome *o)
{
	int calls = 0;

	sscanf(o->out, "calls %d", &calls);
	return calls;
}

/* Fail the first call, the second, and so on. */
static void play_all(struct scenario s, const char *name)
{
	struct outcome o = run_child(play, &s);
	const int calls = calls_of(&o); /* up to the one that fails they are the same */

	if (exited(&o, CANNOT))
		return skip(name, "memory cannot be locked here");
	ok_outcome(&o, name);
	for (int both = 0; both < 2; both++) {
		bool good = calls > 20;

		s.from_then_on = both;
		for (s.fail_at = 1; good && s.fail_at <= calls; s.fail_at++) {
			o = run_child(play, &s);
			good = exited(&o, 0);
		}
		if (!ok(good, "%s: %d calls, %s", name, calls,
			both ? "all from one on fail" : "one fails")) {
			diag("with call %d", s.fail_at - 1);
			diag_outcome(&o);
		}
	}
}

int main(void)
{
	if (under_valgrind()) {
		skip("system calls that fail", "with /sys hidden it has too little address space");
		return tap_done();
	}
	play_all((struct scenario){.options = ""}, "this machine");
	play_all((struct scenario){.options = "cpus=8"}, "8 CPUs");
	play_all((struct scenario){.options = "percpu=8M", .locked = true}, "locked memory");
	return tap_done();
}
