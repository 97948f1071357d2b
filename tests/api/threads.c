/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Threads, forks and signal handlers at once. Racing frees: defect 6, in defects_1_20.c. */
#include <pthread.h>
#include <sched.h>

#include "inside.h"

#define THREADS 4
#define SLOTS 32

/* One thread: allocate, write all instances, check, free, over and over. */
struct worker {
	pthread_t thread;
	gfp_t mode;
	int number, rounds;
	unsigned int seed;
	unsigned int failed; /* EAGAIN, which only the modes that do not wait may see */
	bool corrupt;
	struct {
		char *ptr;
		size_t size;
	} slot[SLOTS];
};

static void renew(struct worker *worker, int k)
{
	char *ptr = worker->slot[k].ptr;
	size_t size = 1 + (size_t)rand_r(&worker->seed) % 200;
	size_t align = (size_t)1 << rand_r(&worker->seed) % 8;
	gfp_t zero = rand_r(&worker->seed) % 2 ? __GFP_ZERO : 0;

	if (ptr) {
		worker->corrupt |= !instances_hold(ptr, worker->number, worker->slot[k].size);
		cpu_free(ptr, worker->slot[k].size);
	}
	ptr = cpu_alloc(size, worker->mode | zero, align);
	worker->slot[k].ptr = ptr;
	worker->slot[k].size = size;
	if (!ptr) {
		worker->corrupt |= errno != EAGAIN || worker->mode == GFP_KERNEL;
		worker->failed++;
		return;
	}
	worker->corrupt |= zero && !instances_zero(ptr, size);
	fill_instances(ptr, worker->number, size);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (int round = 0; round < worker->rounds; round++)
		renew(worker, rand_r(&worker->seed) % SLOTS);
	for (int k = 0; k < SLOTS; k++)
		if (worker->slot[k].ptr)
			cpu_free(worker->slot[k].ptr, worker->slot[k].size);
	return NULL;
}

static int all_at_once(const void *argument)
{
	struct worker worker[THREADS] = {0};
	unsigned int failed = 0;
	const int each = rounds(3000);
	const unsigned int total = THREADS * (unsigned int)each;
	struct cpu_alloc_stats now;

	must(cpu_alloc(4, GFP_KERNEL, 4)); /* or GFP_NOWAIT never gets anything */
	for (int n = 0; n < THREADS; n++) {
		worker[n].mode = *(const gfp_t *)argument;
		worker[n].number = 16 * n;
		worker[n].rounds = each;
		worker[n].seed = (unsigned int)n;
		must(pthread_create(&worker[n].thread, NULL, work, &worker[n]) == 0);
	}
	for (int n = 0; n < THREADS; n++) {
		pthread_join(worker[n].thread, NULL);
		must(!worker[n].corrupt);
		failed += worker[n].failed;
	}
	now = stats_now();
	must(now.objects == 1 && now.cpu_bytes == 4 && now.misuses == 0);
	must(now.allocs == 1 + total - failed && now.allocs == now.frees + 1);
	must(now.failed_eagain == failed && failed < total);
	cpu_alloc_trim();
	must(stats_now().cached_bytes == 0 && stats_now().objects == 1);
	return 0;
}

/* Objects go from the magazine that was counted already to one that was not. */
static void move_objects(int number)
{
	char *object[8];
	int n = 0;

	(void)number;
	must(mprotect(magazines_of(0), magazines_bytes(), PROT_READ | PROT_WRITE) == 0);
	while (n < 8 && (object[n] = cpu_alloc(24, GFP_ATOMIC, 8)))
		n++;
	must(bind_to(1));
	while (n > 0)
		cpu_free(object[--n], 24);
}

/* Not left to chance: a magazine that cannot be read stops cpu_alloc_stats() just there. */
static int figures_of_one_moment(const void *unused)
{
	struct cpu_alloc_stats before, now;

	(void)unused;
	if (!magazines() || under_valgrind() || !bind_to(1))
		return CANNOT;
	cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
	must(bind_to(0));
	cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
	before = stats_now();
	must(before.cached_bytes > 0);
	signal(SIGSEGV, move_objects);
	must(mprotect(magazines_of(1), MAGAZINES_STRIDE, PROT_NONE) == 0);
	now = stats_now();
	must(now.cpu_bytes == 0 && now.objects == 0);
	must(now.allocs >= before.allocs && now.frees == now.allocs);
	return 0;
}

static pthread_barrier_t start;

static void *begin_together(void *failed)
{
	char *ptr;

	pthread_barrier_wait(&start);
	ptr = cpu_alloc(400, GFP_KERNEL, 8);
	if (!ptr)
		*(bool *)failed = true;
	cpu_free(ptr, 400);
	return NULL;
}

/* Several threads of a child that fork() made: nobody who could hold the lock is missing. */
static int threads_of_a_child(const void *unused)
{
	pthread_t thread[THREADS];
	bool failed = false;

	must(pthread_barrier_init(&start, NULL, THREADS) == 0);
	for (int n = 0; n < THREADS; n++)
		must(pthread_create(&thread[n], NULL, begin_together, &failed) == 0);
	for (int n = 0; n < THREADS; n++)
		pthread_join(thread[n], NULL);
	must(!failed && stats_now().objects == 1 && stats_now().failed_eagain == 0);
	(void)unused;
	return 0;
}

static int fork_then_threads(const void *unused)
{
	struct outcome o;

	must(cpu_alloc(4, GFP_KERNEL, 4));
	for (int n = rounds(200); n > 0; n--) {
		o = run_child(threads_of_a_child, NULL);
		printf("%s", o.out);
		must(exited(&o, 0));
	}
	(void)unused;
	return 0;
}

static volatile bool stop;

static void *churn(void *unused)
{
	while (!stop) {
		char *big = cpu_alloc(65536, GFP_KERNEL, 4096);
		char *small = cpu_alloc(24, GFP_KERNEL | __GFP_ZERO, 8);

		cpu_free(big, 65536);
		cpu_free(small, 24);
		cpu_alloc_trim();
	}
	return unused;
}

/* A child of fork() goes on with its copy, whatever the other threads were at. */
static int fork_child(char *kept)
{
	char *ptr = cpu_alloc(40, GFP_KERNEL | __GFP_ZERO, 8);
	struct cpu_alloc_stats before = stats_now();

	alarm(10);
	must(ptr && instances_zero(ptr, 40) && instances_hold(kept, 9, 24));
	fill_instances(kept, 1, 24);
	cpu_free(ptr, 40);
	cpu_free(kept, 24);
	must(stats_now().objects == before.objects - 2);
	return 0;
}

static int fork_amid(const void *unused)
{
	pthread_t thread[2];
	char *kept = cpu_alloc(24, GFP_KERNEL, 8);

	fill_instances(kept, 9, 24);
	for (int n = 0; n < 2; n++)
		must(pthread_create(&thread[n], NULL, churn, NULL) == 0);
	for (int n = rounds(200); n > 0; n--) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(fork_child(kept));
		must(waitpid(child, &status, 0) == child && status == 0);
	}
	stop = true;
	for (int n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	must(instances_hold(kept, 9, 24) && stats_now().objects == 1);
	(void)unused;
	return 0;
}

/* Takes the lock all the time, and allocates nothing. */
static void *ask(void *unused)
{
	while (!stop)
		stats_now();
	return unused;
}

/* Nothing was allocated yet: the children must find the lock free all the same. */
static int fork_before_first(const void *unused)
{
	pthread_t thread[2];

	for (int n = 0; n < 2; n++)
		must(pthread_create(&thread[n], NULL, ask, NULL) == 0);
	for (int n = rounds(200); n > 0; n--) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(!cpu_alloc(24, GFP_KERNEL, 8));
		must(waitpid(child, &status, 0) == child && status == 0);
	}
	stop = true;
	for (int n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	(void)unused;
	return 0;
}

static int freed_before_fork;

static void free_and_allocate(void)
{
	cpu_free(cpu_alloc(24, GFP_KERNEL, 8), 24);
	freed_before_fork++;
}

/* The handlers of fork() run in reverse order: the program's before the library's. */
static int handler_before_fork(const void *unused)
{
	int status;
	pid_t child;

	must(pthread_atfork(free_and_allocate, NULL, NULL) == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8));
	child = fork();
	if (child == 0)
		_exit(stats_now().objects != 1);
	must(waitpid(child, &status, 0) == child && status == 0 && freed_before_fork == 1);
	(void)unused;
	return 0;
}

static volatile sig_atomic_t handled, got, refused, freed, strange;
static char *volatile found[4096];

/* Every third time it frees one instead, if there is one. */
static void allocate_in_handler(int number)
{
	int saved = errno;
	char *ptr;

	(void)number;
	if (got && handled % 3 == 2) {
		cpu_free(found[--got], 8);
		freed++;
	} else if ((ptr = cpu_alloc(8, GFP_ATOMIC, 4))) {
		found[got++] = ptr;
	} else if (errno == EAGAIN) {
		refused++;
	} else {
		strange++;
	}
	handled++;
	errno = saved;
}

static void *interrupt(void *thread)
{
	for (int n = 0; n < 1000; n++) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		while (handled == n)
			usleep(50);
	}
	return NULL;
}

/* A handler allocates and frees, whatever it interrupted; nothing hangs, nothing is lost. */
static int handler_allocates(const void *unused)
{
	pthread_t main_thread = pthread_self(), other;
	char *keep = cpu_alloc(4, GFP_KERNEL, 4);

	(void)unused;
	signal(SIGUSR1, allocate_in_handler);
	must(keep && pthread_create(&other, NULL, interrupt, &main_thread) == 0);
	while (handled < 1000) {
		char *ptr = cpu_alloc(400, GFP_KERNEL | __GFP_ZERO, 64);
		char *same = cpu_alloc(8, GFP_KERNEL | __GFP_ZERO, 4);

		must(ptr && same);
		cpu_free(same, 8);
		cpu_free(ptr, 400);
	}
	pthread_join(other, NULL);
	printf("%d handlers: %d objects, %d freed, %d times EAGAIN\n", handled, got, freed,
	       refused);
	must(strange == 0 && freed > 0 && got + 2 * freed + refused == handled);
	must(stats_now().objects == 1 + (uint64_t)got);
	for (int n = 0; n < got; n++)
		cpu_free(found[n], 8);
	cpu_alloc_trim();
	must(stats_now().objects == 1 && stats_now().misuses == 0);
	must(stats_now().cached_bytes == 0);
	return 0;
}

/* Nothing is set up yet, and GFP_ATOMIC may not do it. */
static int first_call_is_atomic(const void *mode)
{
	gfp_t flags = *(const gfp_t *)mode;

	errno = 0;
	must(!cpu_alloc(8, flags, 8) && errno == EAGAIN);
	must(cpu_alloc(8, GFP_KERNEL, 8) != NULL);
	must(cpu_alloc(8, flags, 8) != NULL);
	must(stats_now().failed_eagain == 1);
	return 0;
}

/* What is not committed, GFP_ATOMIC does not get: EAGAIN, for room there is. */
static int atomic_does_not_grow(const void *mode)
{
	gfp_t flags = *(const gfp_t *)mode;
	size_t committed;

	must(cpu_alloc(8, GFP_KERNEL, 8));
	committed = (size_t)stats_now().committed_bytes;
	must(committed < stats_now().area_bytes);
	must(!cpu_alloc(committed, flags, 8) && errno == EAGAIN);
	must(stats_now().committed_bytes == committed);
	must(cpu_alloc(committed, GFP_KERNEL, 8) != NULL);
	return 0;
}

static int default_mode_is_nowait(const void *unused)
{
	(void)unused;
	must(!cpu_alloc(8, __GFP_ZERO, 8) && errno == EAGAIN);
	must(cpu_alloc(8, GFP_KERNEL, 8) && cpu_alloc(8, 0, 8));
	return 0;
}

int main(void)
{
	const gfp_t kernel = GFP_KERNEL, nowait = GFP_NOWAIT, atomic = GFP_ATOMIC;
	struct outcome o;

	ok_child("four threads, GFP_KERNEL", all_at_once, &kernel);
	ok_child("four threads, GFP_NOWAIT", all_at_once, &nowait);
	ok_child("four threads, GFP_ATOMIC", all_at_once, &atomic);
	ok_child_or_skip("statistics belong to one moment", figures_of_one_moment, NULL,
			 "no magazines, CPU 0 and CPU 1 cannot be chosen, or valgrind");
	ok_child("fork() while others allocate", fork_amid, NULL);
	ok_child("fork(), then threads", fork_then_threads, NULL);
	ok_child("fork() before the first allocation, while others ask", fork_before_first, NULL);
	ok_child("a handler of fork() that allocates", handler_before_fork, NULL);
	o = run_child(handler_allocates, NULL);
	ok_outcome(&o, "a handler allocates and frees, whatever it interrupted");
	diag_lines("", o.out);
	ok_child("EAGAIN if the first call is GFP_ATOMIC", first_call_is_atomic, &atomic);
	ok_child("EAGAIN if the first call is GFP_NOWAIT", first_call_is_atomic, &nowait);
	ok_child("GFP_ATOMIC does not grow the area", atomic_does_not_grow, &atomic);
	ok_child("GFP_NOWAIT does not grow the area", atomic_does_not_grow, &nowait);
	ok_child("no mode counts as GFP_NOWAIT", default_mode_is_nowait, NULL);
	return tap_done();
}
