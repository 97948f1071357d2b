/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which instance an operation finds: that of the CPU, of the concurrency id, or
 * of the strays; in the first thread, in others, in handlers and after fork().
 */
#include "modes.h"

#define TIMES 100

static struct mode mode;
static uint64_t *p;

static void clear(void)
{
	cpu_alloc_for_each (i)
		*CPU_PTR(p, i) = 0;
}

/* An operation of each kind: a thread's first may be any of them. */
static void work(int first)
{
	for (int n = 0; n < TIMES; n++)
		switch ((n + first) % 4) {
		case 0:
			this_cpu_inc(*p);
			break;
		case 1:
			(void)this_cpu_add_return(*p, 1);
			break;
		case 2:
			this_cpu_add_64(p, 1);
			break;
		default:
			for (uint64_t v = this_cpu_read(*p); !this_cpu_try_cmpxchg(*p, &v, v + 1);)
				;
		}
}

static bool all_at(int i)
{
	return *CPU_PTR(p, i) == TIMES && cpu_sum(*p) == TIMES;
}

/* Nothing for strays; and at the CPU's index, where those are CPU numbers. */
static void must_be_known(int cpu)
{
	if (!mode.cid)
		must(all_at(cpu) && cpu_alloc_index() == cpu && __cpu_alloc_index() == cpu);
	must(*CPU_PTR(p, -1) == 0 && cpu_sum(*p) == TIMES);
	must(cpu_alloc_index() >= 0 && cpu_alloc_index() < cpu_alloc_nr());
}

static int first_thread(const void *cpu)
{
	must(pin(0, *(const int *)cpu));
	work(0);
	must_be_known(*(const int *)cpu);
	return 0;
}

struct job {
	int cpu, first;
};

static void *in_other_thread(void *argument)
{
	const struct job *job = argument;

	must(pin(0, job->cpu));
	work(job->first);
	must_be_known(job->cpu);
	return NULL;
}

static int other_threads(const void *cpu)
{
	for (int first = 0; first < 4; first++) {
		struct job job = {*(const int *)cpu, first};

		clear();
		in_thread(in_other_thread, &job);
	}
	return 0;
}

static void *in_stray(void *cannot)
{
	must(pin(0, allowed_cpu(0)));
	if (!make_stray()) {
		*(bool *)cannot = true;
		return NULL;
	}
	must(cpu_alloc_thread_int(cpu_alloc_known_offset) < 0);
	work(0);
	must(all_at(-1));
	must(cpu_alloc_thread_int(cpu_alloc_known_offset) < 0);
	must(!mode.cid || cpu_alloc_index() == -1);
	return NULL;
}

/* A stray's work is with the strays, beside that of others on the same CPU. */
static int stray(const void *unused)
{
	bool cannot = false;
	(void)unused;

	in_thread(in_stray, &cannot);
	return cannot ? CANNOT : 0;
}

static void *stray_pairs(void *cannot)
{
#if CPU_ALLOC_HAS_128
	struct two {
		uint64_t first, second;
	} __attribute__((aligned(16))) *pair = CPU_ALLOC(struct two, GFP_KERNEL | __GFP_ZERO);
	uint64_t a, b;

	*(bool *)cannot = !make_stray();
	if (*(bool *)cannot)
		return NULL;
	this_cpu_add2(*pair, 1, 2);
	this_cpu_read2(*pair, &a, &b);
	must(a == 1 && b == 2 && CPU_PTR(pair, -1)->first == 1 && CPU_PTR(pair, -1)->second == 2);
	(void)this_cpu_cmpxchg_128((cpu_alloc_u128 *)pair, (cpu_alloc_u128)2 << 64 | 1, 5);
	must(CPU_PTR(pair, -1)->first == 5 && CPU_PTR(pair, -1)->second == 0);
	must(cpu_sum(pair->first) == 5);
#else
	*(bool *)cannot = true;
#endif
	return NULL;
}

static int strays_with_pairs(const void *unused)
{
	bool cannot = false;
	(void)unused;

	in_thread(stray_pairs, &cannot);
	return cannot ? CANNOT : 0;
}

static int in_child(const void *cpu)
{
	int status;
	pid_t child;

	must(pin(0, *(const int *)cpu));
	this_cpu_add(*p, 1000);
	child = fork();
	if (child == 0) {
		clear();
		work(0);
		must_be_known(*(const int *)cpu);
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child && status == 0);
	must(cpu_sum(*p) == 1000);
	return 0;
}

static void handle(int number)
{
	(void)number;
	work(1);
}

static int in_handler(const void *cpu)
{
	must(pin(0, *(const int *)cpu));
	signal(SIGUSR1, handle);
	raise(SIGUSR1);
	must_be_known(*(const int *)cpu);
	return 0;
}

/* One thread has the first concurrency id, wherever it runs. */
static int lone_thread(const void *cpu)
{
	must(pin(0, *(const int *)cpu));
	work(0);
	must(all_at(0) && cpu_alloc_index() == 0 && sched_getcpu() == *(const int *)cpu);
	return 0;
}

/* A thread that moves takes its next step where it is then. */
static int follows(const void *unused)
{
	(void)unused;
	for (int n = 0; n < 200; n++) {
		const int cpu = allowed_cpu(n % 2);
		const uint64_t before = *CPU_PTR(p, cpu);

		must(pin(0, cpu));
		this_cpu_inc(*p);
		must(*CPU_PTR(p, cpu) == before + 1);
	}
	must(cpu_sum(*p) == 200);
	return 0;
}

static void on_cpu(int n)
{
	const int cpu = allowed_cpu(n);
	const struct {
		const char *name;
		int (*function)(const void *);
	} checks[] = {
		{"the first thread", first_thread},
		{"other threads, whatever they do first", other_threads},
		{"a signal handler", in_handler},
		{"a child of fork()", in_child},
	};
	char name[100];

	for (size_t k = 0; k < sizeof(checks) / sizeof(*checks); k++) {
		snprintf(name, sizeof(name), "CPU %d of those allowed: %s", n, checks[k].name);
		if (cpu < 0)
			skip(name, "there is one CPU only");
		else
			ok_child(name, checks[k].function, &cpu);
	}
}

int main(int argc, char **argv)
{
	const int second = allowed_cpu(1);

	mode = mode_of(argc, argv);
	p = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	ok_path(&mode);
	on_cpu(0);
	on_cpu(1);
	ok_child_or_skip("a stray works at index -1", stray, NULL, "no strays in this mode");
	ok_child_or_skip("and with pairs", strays_with_pairs, NULL, "no strays in this mode");
	if (second >= 0 && mode.cid)
		ok_child("the only thread, on another CPU: index 0", lone_thread, &second);
	else if (second >= 0)
		ok_child("a thread that moves works where it is", follows, NULL);
	return tap_done();
}
