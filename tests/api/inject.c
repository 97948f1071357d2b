/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every system call that fails, one after the other.
 *
 * A scenario uses all that the library asks of the system. It is run in a child
 * with the first call failing, then in another with the second, and so on until
 * there are no more; and again with all calls from the k-th on failing. Each
 * step either succeeds, or says so and has changed nothing. Afterwards, with
 * the system well again, everything works. The same with the calls that are made
 * when the library is loaded, in a process of its own.
 *
 * And what magazines need and may not get: then it goes on without.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "inside.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define BIG (100 * KIB)	    /* more than is committed at first */
#define BIGGER (2048 * KIB) /* more than the next step */

/* What is refused always, for magazines not to be. */
enum denied { NOTHING, ADDRESS_SPACE, MEMORY, CLEARING, MEMBARRIER };

static struct {
	bool loaded; /* main() was reached */
	bool armed, from_then_on, munmap_failed;
	int calls, fail_at; /* the first is 1; 0: none fails */
	enum denied denied;
} injection;

/* While the library is loaded the environment tells what main() tells later. */
static void load(void)
{
	const char *fail_at = getenv("FAIL_AT");

	if (!fail_at)
		return;
	injection.armed = true;
	injection.from_then_on = *fail_at == '-';
	injection.fail_at = abs(atoi(fail_at));
}

static bool fails(int error, bool denied)
{
	if (!injection.loaded)
		load();
	if (denied) {
		errno = error;
		return true;
	}
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

static bool denies(enum denied denied, size_t bytes)
{
	return injection.denied == denied && bytes == magazines_bytes();
}

/* The linker (--wrap) leads the library's calls here. */
#define WRAP(type, name, error, failure, denied, parameters, arguments)                            \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails(error, denied) ? (failure) : __real_##name arguments;                 \
	}

WRAP(void *, mmap64, ENOMEM, MAP_FAILED, denies(ADDRESS_SPACE, bytes),
     (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(void *, mmap, ENOMEM, MAP_FAILED, denies(ADDRESS_SPACE, bytes),
     (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(int, mprotect, ENOMEM, -1, denies(MEMORY, bytes), (void *at, size_t bytes, int protection),
     (at, bytes, protection))
/* All but the depot's are cleared in copies. */
WRAP(int, madvise, EINVAL, -1, denies(CLEARING, bytes + MAGAZINES_STRIDE),
     (void *at, size_t bytes, int advice), (at, bytes, advice))
WRAP(int, munlock, ENOMEM, -1, false, (const void *at, size_t bytes), (at, bytes))
WRAP(int, open, EMFILE, -1, false, (const char *path, int flags, int mode), (path, flags, mode))
WRAP(int, open64, EMFILE, -1, false, (const char *path, int flags, int mode), (path, flags, mode))
WRAP(ssize_t, read, EIO, -1, false, (int fd, void *at, size_t bytes), (fd, at, bytes))
WRAP(int, pthread_atfork, ENOMEM, ENOMEM, false,
     (void (*before)(void), void (*parent)(void), void (*child)(void)), (before, parent, child))

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

/* That the number of CPUs cannot be learnt at all is tested in machine.c. */
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	const bool denied = number == SYS_membarrier && injection.denied == MEMBARRIER;

	return number != SYS_sched_getaffinity && fails(EPERM, denied)
		       ? -1
		       : __real_syscall(number, a, b, c, d, e, f);
}

int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);

int __wrap_munmap(void *at, size_t bytes)
{
	if (!fails(ENOMEM, false))
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

/* What magazines hold may have gone back to the map, as far as they could be closed. */
static void forget_cached(struct cpu_alloc_stats *before)
{
	const struct cpu_alloc_stats now = stats_now();

	must(now.cached_bytes <= before->cached_bytes);
	must(now.largest_free_bytes >= before->largest_free_bytes);
	if (now.cached_bytes < before->cached_bytes)
		before->largest_free_bytes = now.largest_free_bytes;
	before->cached_bytes = now.cached_bytes;
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
		forget_cached(&before);
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
	forget_cached(&before);
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
	injection.calls = 0;
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

/* What the library asks for when it is loaded. Then all is well. */
static void load_all(const char *options)
{
	struct start start = {"FAIL_AT", "1000000", NULL, options};
	struct outcome o = run_child(exec_start, &start);
	const int calls = strncmp(o.out, "loaded", 6) == 0 ? atoi(o.out + 6) : 0;
	char fail_at[16];

	ok_outcome(&o, "loaded");
	for (int both = 0; both < 2; both++) {
		bool good = calls > 2;

		start.value = fail_at;
		for (int n = 1; good && n <= calls; n++) {
			snprintf(fail_at, sizeof(fail_at), "%d", both ? -n : n);
			o = run_child(exec_start, &start);
			good = exited(&o, 0);
		}
		if (!ok(good, "while it is loaded: %d calls, %s", calls,
			both ? "all from one on fail" : "one fails")) {
			diag("with call %s", fail_at);
			diag_outcome(&o);
		}
	}
}

/* As `inject OPTIONS`, with FAIL_AT in the environment. */
static int loaded(const char *options)
{
	struct scenario s = {.options = options};

	printf("loaded %d\n", injection.calls);
	injection.armed = false;
	return play(&s);
}

/* By the lock alone, first fit. Says how much address space there is more than before. */
static int without_magazines(const void *argument)
{
	const size_t space = address_space();
	char *first;

	injection.denied = *(const enum denied *)argument;
	first = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);
	printf("%zu pages\n", address_space() - space);
	must(first && !caches_are_there());
	for (int n = 1; n < 100; n++)
		must(cpu_alloc(24, GFP_KERNEL, 8) == first + 24 * n);
	cpu_free(first + 48, 24);
	must(stats_now().cached_bytes == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8) == first + 48);
	cpu_alloc_trim();
	must(stats_now().objects == 100 && stats_now().misuses == 0);
	return 0;
}

static void denied_magazines(void)
{
	static const char *const names[] = {
		[ADDRESS_SPACE] = "no address space for magazines",
		[MEMORY] = "no memory for magazines",
		[CLEARING] = "magazines that are not cleared in copies",
		[MEMBARRIER] = "no membarrier()",
	};
	struct outcome first = {0};
	bool same = true;

	for (enum denied denied = ADDRESS_SPACE; denied <= MEMBARRIER; denied++) {
		struct outcome o = run_child(without_magazines, &denied);

		ok_outcome(&o, names[denied]);
		if (denied == ADDRESS_SPACE)
			first = o;
		same &= strcmp(first.out, o.out) == 0;
	}
	ok(same, "and no address space is left behind");
}

static int tell_own_bytes(const void *denied)
{
	injection.denied = *(const enum denied *)denied;
	must(cpu_alloc(24, GFP_KERNEL, 8));
	printf("%" PRIu64, stats_now().own_bytes);
	return 0;
}

/* Magazines count as the library's own where there are any. */
static void own_bytes(void)
{
	struct outcome with = run_child(tell_own_bytes, &(enum denied){NOTHING});
	struct outcome without = run_child(tell_own_bytes, &(enum denied){MEMBARRIER});
	const size_t own = strtoul(without.out, NULL, 10);

	ok(own > 0 && strtoul(with.out, NULL, 10) - own ==
			      (magazines() ? ((size_t)cpu_alloc_nr() + 1) * MAGAZINES_STRIDE : 0),
	   "own_bytes: %s, without magazines %s", with.out, without.out);
}

/* A free on another CPU wants a fence. If there is none any more, it frees, and keeps errno. */
static int without_fence(const void *unused)
{
	char *ptr, *same;

	(void)unused;
	if (!bind_to(1) || !bind_to(0))
		return CANNOT;
	ptr = cpu_alloc(24, GFP_KERNEL, 8);
	must(ptr && bind_to(1));
	injection.denied = MEMBARRIER;
	errno = ENOTTY;
	cpu_free(ptr, 24);
	must(errno == ENOTTY);
	must(stats_now().frees == 1 && stats_now().objects == 0);
	cpu_free(ptr, 24);
	must(stats_now().frees == 1 && stats_now().misuses == 1);
	cpu_alloc_trim();
	same = cpu_alloc(MIB, GFP_KERNEL, 8);
	must(same && !cpu_alloc(16 * MIB, GFP_KERNEL, 8) && errno == ENOMEM);
	cpu_free(same, MIB);
	must(stats_now().objects == 0 && stats_now().misuses == 1);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = getenv("CPU_ALLOC");

	injection.loaded = true;
	if (under_valgrind()) {
		skip("system calls that fail", "with /sys hidden it has too little address space");
		return tap_done();
	}
	if (argc > 1)
		return loaded(argv[1]);
	load_all(mode ? mode : "");
	play_all((struct scenario){.options = ""}, "this machine");
	play_all((struct scenario){.options = "cpus=8"}, "8 CPUs");
	play_all((struct scenario){.options = "percpu=8M", .locked = true}, "locked memory");
	denied_magazines();
	own_bytes();
	ok_child_or_skip("membarrier() fails later", without_fence, NULL,
			 "CPU 0 and CPU 1 cannot be chosen");
	return tap_done();
}
