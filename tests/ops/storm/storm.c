/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The storm itself, see storm.h: threads, timers, and moves. */
#include "storm.h"

#include <time.h>

#define CPUS_USED 4 /* at most: storms grow no worse by more */
#define THREADS_PER_CPU 4
#define LEAST_THREADS 8
#define MOST_THREADS (CPUS_USED * THREADS_PER_CPU)
#define SIGNALS 4000
#define STRAY_EACH 4 /* every so many threads */
#define SIGNAL SIGUSR2

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct worker {
	pthread_t thread;
	pid_t tid;
	timer_t timer;
	bool ready, is_stray;
	volatile sig_atomic_t interrupted;
	struct side side[2];
};

static struct worker workers[MOST_THREADS];
static int threads, cpus;
static const struct storm *storm;
static bool stop;
static uint64_t moves;
static _Thread_local struct worker *self_worker;

int64_t storm_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool storm_was_interrupted(void)
{
	return self_worker->interrupted;
}

static void handle(int number)
{
	const int saved = errno;

	(void)number;
	storm->step(&self_worker->side[1]);
	__atomic_add_fetch(&self_worker->side[1].steps, 1, __ATOMIC_RELAXED);
	self_worker->interrupted = 1;
	errno = saved;
}

/* Once, after 1 to 40 microseconds; a hundred times as much under valgrind. */
static void set_timer(struct worker *worker)
{
	const uint64_t slower = under_valgrind() ? 100 : 1;
	const uint64_t ns = slower * (1000 + next_random(&worker->side[0]) % 39000);
	const struct itimerspec when = {{0, 0}, {0, (long)ns}};

	worker->interrupted = 0;
	must(timer_settime(worker->timer, 0, &when, NULL) == 0);
}

static void make_timer(struct worker *worker)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGNAL};

	event.sigev_notify_thread_id = worker->tid = gettid();
	must(timer_create(CLOCK_MONOTONIC, &event, &worker->timer) == 0);
	set_timer(worker);
}

static void move(struct worker *worker, uint64_t random)
{
	if (!storm->pinned && pin(worker->tid, allowed_cpu((int)(random % (uint64_t)cpus))))
		__atomic_add_fetch(&moves, 1, __ATOMIC_RELAXED);
}

static void block_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	pthread_sigmask(how, &set, NULL);
}

static void one_step(struct worker *worker)
{
	storm->step(&worker->side[0]);
	worker->side[0].steps++;
	if (!worker->interrupted)
		return;
	if (next_random(&worker->side[0]) % 4 == 0)
		move(worker, worker->side[0].random >> 8);
	set_timer(worker);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	self_worker = worker;
	if (worker->is_stray)
		worker->is_stray = make_stray();
	must(pin(0, allowed_cpu(worker->side[0].number % cpus)));
	make_timer(worker);
	__atomic_store_n(&worker->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		one_step(worker);
	block_signal(SIG_BLOCK); /* its books are closed */
	timer_delete(worker->timer);
	return NULL;
}

static void start(int number)
{
	struct worker *worker = &workers[number];

	memset(worker, 0, sizeof(*worker));
	worker->is_stray = !storm->no_strays && number % STRAY_EACH == STRAY_EACH - 1;
	for (int k = 0; k < 2; k++) {
		worker->side[k].number = number;
		worker->side[k].handler = k;
		worker->side[k].random = fingerprint((uint64_t)(2 * number + k));
	}
	must(pthread_create(&worker->thread, NULL, work, worker) == 0);
}

static uint64_t signals_handled(void)
{
	uint64_t sum = 0;

	for (int n = 0; n < threads; n++)
		sum += __atomic_load_n(&workers[n].side[1].steps, __ATOMIC_RELAXED);
	return sum;
}

/* Where it is slow, what there was in a while has to do. */
static int64_t most_ms(void)
{
	return under_valgrind() ? 500 : 10000;
}

/*
 * Move threads from outside until there were enough signals. Without a pause: so one
 * that runs on another CPU is often moved away in the middle of an operation.
 */
static void disturb(void)
{
	const uint64_t enough = (uint64_t)rounds(SIGNALS);
	const int64_t end = storm_now_ms() + most_ms();
	struct side chance = {.random = 88172645463325252};

	while (signals_handled() < enough && storm_now_ms() < end) {
		struct worker *worker = &workers[next_random(&chance) % (unsigned int)threads];

		if (__atomic_load_n(&worker->ready, __ATOMIC_ACQUIRE))
			move(worker, chance.random >> 8);
		if (under_valgrind())
			usleep(1000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
}

static void enter(struct side *all, const struct side *one)
{
	for (int width = 0; width < WIDTHS; width++) {
		all->sum[width] += one->sum[width];
		all->chain[width] += one->chain[width];
	}
	all->steps += one->steps;
	all->bad += one->bad;
}

static struct side close_books(void)
{
	struct side all = {0};

	for (int n = 0; n < threads; n++) {
		enter(&all, &workers[n].side[0]);
		enter(&all, &workers[n].side[1]);
	}
	return all;
}

static void prepare(const struct storm *new_storm)
{
	const struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};

	storm = new_storm;
	stop = false;
	moves = 0;
	for (cpus = 0; cpus < CPUS_USED && allowed_cpu(cpus) >= 0; cpus++)
		;
	threads = cpus * THREADS_PER_CPU;
	threads = threads < LEAST_THREADS ? LEAST_THREADS : threads;
	must(sigaction(SIGNAL, &action, NULL) == 0);
}

struct side storm_run(const struct storm *new_storm)
{
	struct side all;
	int strays = 0;

	prepare(new_storm);
	for (int n = 0; n < threads; n++)
		start(n);
	disturb();
	for (int n = 0; n < threads; n++) {
		must(pthread_join(workers[n].thread, NULL) == 0);
		strays += workers[n].is_stray;
	}
	all = close_books();
	diag("%s: %" PRIu64 " steps of %d threads, %d of them strays, on %d CPUs; %" PRIu64
	     " signals, %" PRIu64 " moves",
	     storm->name, all.steps, threads, strays, cpus, signals_handled(), moves);
	return all;
}

struct side storm_alone(int steps)
{
	struct worker *worker = self_worker;
	struct side all = {0};

	alarm(CHILD_SECONDS);
	for (int k = 0; k < 2; k++) {
		memset(worker->side[k].sum, 0, sizeof(worker->side[k].sum));
		worker->side[k].steps = 0;
	}
	make_timer(worker);
	for (int n = 0; n < steps; n++)
		one_step(worker);
	block_signal(SIG_BLOCK);
	enter(&all, &worker->side[0]);
	enter(&all, &worker->side[1]);
	return all;
}
