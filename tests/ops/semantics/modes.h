/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ways in which operations can work. The environment of a test asks for one
 * of them, its first argument names it, and this tells whether it was had:
 *
 *	rseq		by default: registered by the C library where it does that
 *	cid		CPU_ALLOC=index=cid
 *	own		GLIBC_TUNABLES=glibc.pthread.rseq=0: the library registers
 *	own-cid		both
 *	off		CPU_ALLOC=rseq=off: by atomic instructions
 *
 * And threads: pinned to a CPU, or strays, which the library does not know.
 */
#ifndef OPS_MODES_H
#define OPS_MODES_H

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "helpers.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#define AT_RSEQ_ALIGN 28
#endif

#if defined(__x86_64__)
#define RSEQ_SIGNATURE 0x53053053U
#elif defined(__aarch64__)
#define RSEQ_SIGNATURE 0xd428bc00U
#else
#define RSEQ_SIGNATURE 0U
#endif

#define RSEQ_OLD_BYTES 32 /* the length that every kernel takes */
#define RSEQ_UNREGISTER 1
#define RSEQ_ROOM 128 /* for whatever length a kernel may want */

struct mode {
	const char *name;
	bool sections, own, cid; /* what there should be, on this machine */
};

/* A kernel with restartable sequences refuses no structure at all by EINVAL. */
static inline bool kernel_has_rseq(void)
{
	return syscall(SYS_rseq, NULL, 0, 0, 0) < 0 && errno == EINVAL;
}

static inline struct mode mode_of(int argc, char **argv)
{
	struct mode mode = {.name = argc > 1 ? argv[1] : "rseq"};

	mode.sections = CPU_ALLOC_SECTIONS && strcmp(mode.name, "off") != 0 && kernel_has_rseq();
	mode.own = mode.sections && strncmp(mode.name, "own", 3) == 0;
	mode.cid = mode.sections && strstr(mode.name, "cid");
	if (mode.cid && getauxval(AT_RSEQ_FEATURE_SIZE) < 28) {
		printf("1..0 # SKIP this kernel has no concurrency ids: the same as without\n");
		exit(0);
	}
	return mode;
}

static inline bool path_says(const char *words)
{
	return strstr(cpu_alloc_path(), words) != NULL;
}

/* One check, after the first allocation: the environment was heard. */
static inline void ok_path(const struct mode *mode)
{
	const char *start = mode->sections ? "rseq" : "atomic";
	bool right = strncmp(cpu_alloc_path(), start, strlen(start)) == 0;

	right &= path_says("concurrency id") == mode->cid;
	right &= !mode->own || path_says("own registration");
	right &= strcmp(mode->name, "off") != 0 || path_says("rseq=off") || !CPU_ALLOC_SECTIONS;
	ok(right, "mode %s: %s", mode->name, cpu_alloc_path());
}

static inline cpu_set_t allowed_at_start(void)
{
	static cpu_set_t set;
	static bool known;

	if (!known && sched_getaffinity(0, sizeof(set), &set) != 0)
		CPU_ZERO(&set);
	known = true;
	return set;
}

/* The @n-th of the CPUs that the process was given; -1 if there are not so many. */
static inline int allowed_cpu(int n)
{
	const cpu_set_t set = allowed_at_start();

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

/* @thread: a thread's number in the system, 0 for the caller. */
static inline bool pin(pid_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(thread, sizeof(set), &set) == 0;
}

static inline bool unregister_libc(void)
{
	char *area = (char *)(uintptr_t)cpu_alloc_thread_pointer() + cpu_alloc_known_offset - 4;
	const unsigned long align = getauxval(AT_RSEQ_ALIGN);
	unsigned long bytes = getauxval(AT_RSEQ_FEATURE_SIZE);

	if (syscall(SYS_rseq, area, RSEQ_OLD_BYTES, RSEQ_UNREGISTER, RSEQ_SIGNATURE) == 0)
		return true;
	if (align > 0)
		bytes = (bytes + align - 1) & ~(align - 1);
	return syscall(SYS_rseq, area, bytes, RSEQ_UNREGISTER, RSEQ_SIGNATURE) == 0;
}

/*
 * Make this thread one that the library does not know, before its first
 * operation: unregister what the C library registered; or register elsewhere,
 * so that the library cannot. False where there is no such thing.
 */
static inline bool make_stray(void)
{
	static _Thread_local char elsewhere[RSEQ_ROOM] __attribute__((aligned(RSEQ_ROOM)));

	if (strncmp(cpu_alloc_path(), "rseq", 4) != 0)
		return false;
	if (!path_says("own registration"))
		return unregister_libc();
	return syscall(SYS_rseq, elsewhere, RSEQ_OLD_BYTES, 0, RSEQ_SIGNATURE) == 0;
}

/* Run @work in a thread of its own. */
static inline void in_thread(void *(*work)(void *), void *argument)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, work, argument) == 0);
	must(pthread_join(thread, NULL) == 0);
}

#endif
