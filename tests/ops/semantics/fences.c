/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Fences: which indices there are, errno, fork(); and that they order memory where
 * the operations do not:
 *
 *	worker				watcher
 *	write the counter (operation)	write the word
 *	read the word			fence
 *					read the counter
 *
 * Without a fence each may miss what the other wrote, as stores wait in a CPU's
 * buffer while later loads go ahead. With it one of them sees it, in every round.
 */
#include "modes.h"

#define ROUNDS 2000
#define MEMBARRIER_QUERY 0

static bool have_membarrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_QUERY, 0, 0) > 0;
}

static bool fails_with_einval(int i)
{
	errno = 0;
	return cpu_fence(i) == -1 && errno == EINVAL;
}

static bool every_index(void)
{
	bool right = true;

	cpu_alloc_for_each (i) {
		errno = ERANGE;
		right &= cpu_fence(i) == 0 && errno == ERANGE;
	}
	errno = ERANGE;
	return right && cpu_fence_all() == 0 && errno == ERANGE;
}

/* A child asks for fences on its own. */
static int fences_in_child(const void *unused)
{
	(void)unused;
	must(every_index());
	return 0;
}

static struct {
	uint64_t *counter;
	int cpu[2], index; /* of the worker and of the watcher; the worker's index */
	bool all;	   /* cpu_fence_all() */
	int rounds, both_missed;
	_Alignas(64) unsigned int arrived;
	_Alignas(64) uint64_t word;
	_Alignas(64) bool worker_missed;
} duel;

/* Both meet here, the @n-th time. Who waits for long gives way: there may be others. */
static void meet(unsigned int n)
{
	__atomic_add_fetch(&duel.arrived, 1, __ATOMIC_SEQ_CST);
	for (int k = 0; __atomic_load_n(&duel.arrived, __ATOMIC_SEQ_CST) < 2 * n; k++)
		if (k > 100000)
			sched_yield();
}

static void *worker(void *unused)
{
	must(pin(0, duel.cpu[0]));
	this_cpu_write(*duel.counter, 0);
	duel.index = cpu_alloc_index();
	for (unsigned int n = 1; n <= (unsigned int)duel.rounds; n++) {
		meet(2 * n - 1);
		this_cpu_write(*duel.counter, n);
		duel.worker_missed = __atomic_load_n(&duel.word, __ATOMIC_RELAXED) < n;
		meet(2 * n);
	}
	return unused;
}

/* With concurrency ids it may be any. */
static uint64_t counter_now(void)
{
	uint64_t most = 0;

	cpu_alloc_for_each (i) {
		const uint64_t value = __atomic_load_n(CPU_PTR(duel.counter, i), __ATOMIC_RELAXED);

		most = value > most ? value : most;
	}
	return most;
}

static void watcher(void)
{
	for (unsigned int n = 1; n <= (unsigned int)duel.rounds; n++) {
		bool missed;

		meet(2 * n - 1);
		__atomic_store_n(&duel.word, n, __ATOMIC_RELAXED);
		must((duel.all ? cpu_fence_all() : cpu_fence(duel.index)) == 0);
		missed = counter_now() < n;
		meet(2 * n);
		duel.both_missed += missed && duel.worker_missed;
	}
}

static int fight(const void *all)
{
	pthread_t thread;

	duel.all = *(const bool *)all;
	duel.rounds = rounds(ROUNDS);
	duel.cpu[0] = allowed_cpu(0);
	duel.cpu[1] = allowed_cpu(1);
	duel.counter = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);
	must(pin(0, duel.cpu[1]));
	must(pthread_create(&thread, NULL, worker, NULL) == 0);
	watcher();
	pthread_join(thread, NULL);
	must(duel.both_missed == 0);
	return 0;
}

static void order(void)
{
	const bool one = false, all = true;

	if (allowed_cpu(1) < 0) {
		skip("order between two CPUs", "there is one CPU only");
		return;
	}
	ok_child("cpu_fence: worker or watcher sees the other's write", fight, &one);
	ok_child("cpu_fence_all: worker or watcher sees the other's write", fight, &all);
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	must(CPU_ALLOC(int, GFP_KERNEL));
	ok_path(&mode);
	ok(fails_with_einval(-2) && fails_with_einval(INT32_MIN), "EINVAL below the first index");
	ok(fails_with_einval(cpu_alloc_nr()) && fails_with_einval(INT32_MAX),
	   "EINVAL above the last index");
	if (!have_membarrier()) {
		skip("fences", "no membarrier() here");
		return tap_done();
	}
	ok(every_index(), "every index from -1 on can be fenced, and all at once; errno is kept");
	ok_child("the same in a child", fences_in_child, NULL);
	order();
	return tap_done();
}
