/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The crowd itself, see crowd.h: threads, timers, moves and quiet points. */
#include "crowd.h"

#define THREADS_PER_CPU 4
#define LEAST_THREADS 8
#define CPUS_USED (CROWD_MOST / THREADS_PER_CPU) /* at most: crowds grow no worse by more */
#define STRAY_EACH 4				 /* every so many threads */
#define SIGNAL SIGUSR2
#define PAUSE_US 100	  /* between two moves from outside */
#define LEAST_HANDLED 300 /* signals; where it is slow, they take longer, */
#define MOST_MS 10000	  /* but not for ever */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct member {
	pthread_t thread;
	pid_t tid;
	timer_t timer;
	bool is_stray;
	volatile sig_atomic_t interrupted;
	struct side side[2];
	struct owned owned[2][CROWD_SLOTS]; /* where the slots point in the beginning */
};

static struct member members[CROWD_MOST];
static int threads, cpus;
static const struct crowd *crowd;
enum { RUN, QUIET, STOP };
static int wanted;
static bool has_left; /* a child has no timers */
static uint64_t handled, moves;
static pthread_barrier_t barrier;
static _Thread_local struct member *self_member;

static void handle(int number)
{
	const int saved = errno;

	(void)number;
	crowd->step(&self_member->side[1]);
	__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
	self_member->interrupted = 1;
	errno = saved;
}

/* Once, after 1 to 100 microseconds; a hundred times as much under valgrind. */
static void set_timer(struct member *member)
{
	const uint64_t slower = under_valgrind() ? 100 : 1;
	const uint64_t ns = slower * (1000 + next_random(&member->side[0].random) % 99000);
	const struct itimerspec when = {{0, 0}, {0, (long)ns}};

	member->interrupted = 0;
	if (!has_left)
		must(timer_settime(member->timer, 0, &when, NULL) == 0);
}

static void make_timer(struct member *member)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGNAL};

	event.sigev_notify_thread_id = gettid();
	must(timer_create(CLOCK_MONOTONIC, &event, &member->timer) == 0);
	set_timer(member);
}

/* To one CPU, or to all of them. */
static void move(pid_t tid, uint64_t random)
{
	const cpu_set_t all = allowed_at_start();
	const int to = (int)(random % (uint64_t)(cpus + 1));

	if (to < cpus ? pin(tid, allowed_cpu(to)) : sched_setaffinity(tid, sizeof(all), &all) == 0)
		__atomic_add_fetch(&moves, 1, __ATOMIC_RELAXED);
}

static void block_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	pthread_sigmask(how, &set, NULL);
}

/* Who comes too late is told so. */
static bool want(int what)
{
	int now = RUN;

	return __atomic_compare_exchange_n(&wanted, &now, what, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

static int what_is_wanted(void)
{
	return __atomic_load_n(&wanted, __ATOMIC_RELAXED);
}

void crowd_want_quiet(void)
{
	want(QUIET);
}

void crowd_leave(void)
{
	owned_forget_others();
	has_left = true;
	wanted = RUN;
}

/* Until the one who started them has done what there is to do. */
static void stand_still(void)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
}

static void one_step(struct member *member)
{
	crowd->step(&member->side[0]);
	if (what_is_wanted() == QUIET) {
		block_signal(SIG_BLOCK);
		stand_still();
		block_signal(SIG_UNBLOCK);
	}
	if (!member->interrupted)
		return;
	if (next_random(&member->side[0].random) % 16 == 0)
		move(0, member->side[0].random >> 8);
	set_timer(member);
}

static void *work(void *argument)
{
	struct member *member = argument;

	self_member = member;
	if (member->is_stray)
		member->is_stray = make_stray();
	make_timer(member);
	__atomic_store_n(&member->tid, gettid(), __ATOMIC_RELEASE);
	while (what_is_wanted() != STOP)
		one_step(member);
	block_signal(SIG_BLOCK);
	timer_delete(member->timer);
	for (int k = 0; k < 2; k++)
		for (int n = 0; n < CROWD_SLOTS; n++)
			owned_drop(member->side[k].slot[n], &member->side[k].books);
	stand_still(); /* nobody's number is used again by the system while others send to it */
	return NULL;
}

static void start(int number)
{
	struct member *member = &members[number];

	memset(member, 0, sizeof(*member));
	member->is_stray = number % STRAY_EACH == STRAY_EACH - 1;
	for (int k = 0; k < 2; k++) {
		struct side *side = &member->side[k];

		side->number = number;
		side->handler = k;
		side->random = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(2 * number + k + 1);
		for (int n = 0; n < CROWD_SLOTS; n++)
			side->slot[n] = &member->owned[k][n];
	}
	must(pthread_create(&member->thread, NULL, work, member) == 0);
}

struct books crowd_books(void)
{
	struct books sum = {0};

	if (crowd->books)
		books_add(&sum, crowd->books);
	for (int n = 0; n < threads; n++) {
		books_add(&sum, &members[n].side[0].books);
		books_add(&sum, &members[n].side[1].books);
	}
	return sum;
}

struct owned *crowd_slot(size_t n)
{
	const size_t each = 2 * CROWD_SLOTS, member = n / each;

	if (member >= (size_t)threads)
		return NULL;
	return members[member].side[n % each / CROWD_SLOTS].slot[n % CROWD_SLOTS];
}

static void quiet_point(void)
{
	struct books books;

	pthread_barrier_wait(&barrier);
	books = crowd_books();
	must_balance(&books);
	if (crowd->quiet)
		crowd->quiet();
	__atomic_store_n(&wanted, RUN, __ATOMIC_RELAXED);
	pthread_barrier_wait(&barrier);
}

/* A move, or a signal, from outside. */
static void disturb(uint64_t *random)
{
	struct member *member = &members[next_random(random) % (unsigned int)threads];
	const pid_t tid = __atomic_load_n(&member->tid, __ATOMIC_ACQUIRE);

	if (crowd->meanwhile)
		crowd->meanwhile();
	if (tid && *random >> 8 & 1)
		move(tid, *random >> 9);
	else if (tid)
		syscall(SYS_tgkill, getpid(), tid, SIGNAL);
	usleep(under_valgrind() ? 10 * PAUSE_US : PAUSE_US);
}

static bool is_over(int64_t begin, int64_t ms)
{
	const int64_t so_far = now_ms() - begin;

	return so_far >= ms && (so_far >= MOST_MS || __atomic_load_n(&handled, __ATOMIC_RELAXED) >=
							     (uint64_t)rounds(LEAST_HANDLED));
}

static void run_for(int64_t ms)
{
	const int64_t begin = now_ms(), each = ms / crowd->quiet_points;
	uint64_t random = 88172645463325252;

	for (int64_t next = begin + each; !is_over(begin, ms);) {
		disturb(&random);
		if (now_ms() >= next)
			want(QUIET);
		if (what_is_wanted() != QUIET)
			continue;
		next = now_ms() + each;
		quiet_point();
	}
	while (!want(STOP))
		quiet_point();
}

/* Once: members ask how many they are, all at the same time. */
static void count_cpus(void)
{
	if (threads)
		return;
	for (cpus = 0; cpus < CPUS_USED && allowed_cpu(cpus) >= 0; cpus++)
		;
	threads = cpus * THREADS_PER_CPU;
	threads = threads < LEAST_THREADS ? LEAST_THREADS : threads;
}

int crowd_members(void)
{
	count_cpus();
	return threads;
}

void crowd_run(const struct crowd *new_crowd)
{
	const struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	struct books books;

	crowd = new_crowd;
	count_cpus();
	must(sigaction(SIGNAL, &action, NULL) == 0);
	must(pthread_barrier_init(&barrier, NULL, (unsigned int)threads + 1) == 0);
	for (int n = 0; n < threads; n++)
		start(n);
	run_for(test_ms(crowd->ms));
	stand_still();
	for (int n = 0; n < threads; n++)
		must(pthread_join(members[n].thread, NULL) == 0);
	books = crowd_books();
	must_balance(&books);
	printf("%" PRIu64 " objects, %" PRIu64 " EAGAIN, %" PRIu64
	       " ENOMEM; %d threads on %d CPUs, "
	       "%" PRIu64 " handlers, %" PRIu64 " moves\n",
	       books.allocs, books.eagain, books.enomem, threads, cpus, handled, moves);
}
