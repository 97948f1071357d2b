/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads and processes that came into being in unusual ways. A child of fork() is
 * as good as its parent, and a thread that took its registration back is known for
 * what it is. But what clone() makes in the memory of its creator, and with its thread
 * pointer, the kernel does not know, while the memory says that it does: there the
 * operations must not be used. Three tests show what happens.
 */
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "api/helpers.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#define UNREGISTER 1
#define LONGEST 256 /* bytes of a structure that a C library may have registered */
#ifdef __aarch64__
#define SIGNATURE 0xd428bc00U
#else
#define SIGNATURE 0x53053053U
#endif

#define STACK_BYTES 65536
#define TLS_BYTES 16384
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static uint64_t *counter;
static int cpus[2]; /* that we may use */
static struct {
	int cpu, index;
} seen;

static uint64_t at(int i)
{
	return *CPU_PTR(counter, i);
}

static void new_counter(void)
{
	counter = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	must(counter);
}

/* This thread alone. No function that knows about thread-local memory, but for failing. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	syscall(SYS_sched_setaffinity, 0, sizeof(set), &set);
}

static int find_cpus(void)
{
	cpu_set_t allowed;
	int n = 0;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed))
			cpus[n++] = cpu;
	return n;
}

static int forked(const void *unused)
{
	int status;
	pid_t child;

	(void)unused;
	new_counter();
	this_cpu_add(*counter, 3);
	child = fork();
	for (int i = 0; i < 1000; i++)
		this_cpu_add(*counter, child == 0 ? 1 : 10);
	must(at(-1) == 0); /* both by sections */
	must(cpu_sum(*counter) == (child == 0 ? 1003 : 10003));
	if (child == 0)
		_exit(0);
	must(waitpid(child, &status, 0) == child && status == 0);
	must(cpu_sum(*counter) == 10003);
	return 0;
}

/* What the kernel and the operations say of a thread on cpus[1]. */
static int look(void *unused)
{
	unsigned int cpu = 0;

	(void)unused;
	pin(cpus[1]);
	syscall(SYS_getcpu, &cpu, NULL, NULL);
	seen.cpu = (int)cpu;
	seen.index = cpu_alloc_index();
	this_cpu_inc(*counter);
	return 0;
}

/* An operation worked on @stale's instance, and not as a stray would. */
static void must_be_stale(int stale)
{
	must(seen.cpu == cpus[1]);
	must(seen.index == stale);
	must(at(stale) == 1 && at(cpus[1]) == 0 && at(-1) == 0);
}

static int vforked(const void *unused)
{
	pid_t child;

	(void)unused;
	new_counter();
	pin(cpus[0]);
	child = vfork();
	if (child == 0) {
		look(NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	must_be_stale(cpus[0]);
	return 0;
}

/* look() in a thread that only the kernel knows, with this thread pointer. */
static void look_in_clone(int flags, void *thread_pointer)
{
	static char stack[STACK_BYTES] __attribute__((aligned(64)));
	static int alive = 1;
	int *const word = &alive;

	must(clone(look, stack + sizeof(stack), THREAD | CLONE_CHILD_CLEARTID | flags, NULL, NULL,
		   thread_pointer, word) > 0);
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE))
		usleep(100);
}

static int cloned_shared(const void *unused)
{
	(void)unused;
	new_counter();
	pin(cpus[0]);
	look_in_clone(0, NULL);
	must_be_stale(cpus[0]);
	return 0;
}

/* cpu_id is 0, and so not negative. cpus[1] is not 0. */
static int cloned_zeroed(const void *unused)
{
	static char memory[TLS_BYTES] __attribute__((aligned(64)));
	void *thread_pointer = memory + sizeof(memory) / 2;

	(void)unused;
	new_counter();
	*(void **)thread_pointer = thread_pointer;
	look_in_clone(CLONE_SETTLS, thread_pointer);
	must_be_stale(0);
	return 0;
}

/* How long the structure is, only who registered it knows. */
static void unregister(void)
{
	const char *known = cpu_alloc_thread_pointer() + cpu_alloc_known_offset;
	long result = -1;

	for (unsigned int size = 32; result != 0 && size <= LONGEST; size += 4)
		result = syscall(SYS_rseq, known - 4, size, UNREGISTER, SIGNATURE);
	must(result == 0);
}

/* mm_cid is 0 then. In a process of its own, with index=cid. */
static int unregistered(void)
{
	if (strncmp(cpu_alloc_path(), "rseq", 4) != 0)
		return CANNOT;
	if (getauxval(AT_RSEQ_FEATURE_SIZE) < 28)
		return CANNOT;
	new_counter();
	must(strstr(cpu_alloc_path(), "concurrency id"));
	unregister();
	must(cpu_alloc_thread_int(cpu_alloc_index_offset) == 0);
	must(cpu_alloc_index() == -1);
	for (int i = 0; i < 1000; i++)
		this_cpu_inc(*counter);
	must(at(-1) == 1000 && cpu_sum(*counter) == 1000);
	return 0;
}

static void check_unregistered(void)
{
	const char *name = "a thread that took its registration back, index=cid: it is a stray";
	struct outcome o = run_self("index=cid", "unregistered");

	if (exited(&o, CANNOT))
		skip(name, "no concurrency ids");
	else
		ok_outcome(&o, name);
}

static void check_limit(const char *name, int (*function)(const void *))
{
	if (find_cpus() < 2)
		skip(name, "one CPU");
	else
		ok_child(name, function, NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unregistered") == 0)
		return unregistered();
	ok_child("fork(): both work by sections, on counters of their own", forked, NULL);
	check_limit("limit: vfork(): the index of the parent's CPU", vforked);
	check_limit("limit: clone(), shared thread pointer: the index of another thread's CPU",
		    cloned_shared);
	check_limit("limit: clone(), thread-local memory of zeroes: index 0", cloned_zeroed);
	check_unregistered();
	return tap_done();
}
