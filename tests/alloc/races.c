/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two, and three, threads free the same objects at the same time, while they wander from
 * CPU to CPU: of all frees of an object one succeeds and the others are misuses. A
 * bystander allocates, frees and trims.
 *
 *	racer 0		allocate a batch, publish it	free 0, free 1, ...	count
 *	racer 1, 2	wait				free 0, free 1, ...
 *
 * The control frees by a plain comparison and a plain store: that this is not enough
 * is seen by the same count.
 */
#include "crowd.h"

#define RACERS 3
#define BATCH 64
#define SPINS 2000

/* What is freed, and how. */
struct race {
	int racers;
	size_t size; /* 0: the control */
};

static struct race race;
static void *batch[BATCH];
static uint32_t arrived[BATCH], finished; /* racers, in this batch */
static uint32_t round_number;		  /* of the batch that is published */
static bool stop;
static uint64_t batches;

static uint16_t control_state[BATCH]; /* 1: live */
static uint64_t control_frees[RACERS];

static void wait_until(const uint32_t *word, uint32_t value)
{
	for (int n = 1; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; n++)
		if (n % SPINS == 0)
			sched_yield();
}

/* All at one object at one time; but nobody waits for one who does not run. */
static void meet(uint32_t *word)
{
	__atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
	for (int n = 0;
	     n < SPINS && __atomic_load_n(word, __ATOMIC_ACQUIRE) < (uint32_t)race.racers; n++)
		;
}

static void wander(uint64_t *random)
{
	const cpu_set_t all = allowed_at_start();
	const int cpu = allowed_cpu((int)(next_random(random) % 3));

	if (*random >> 8 & 1)
		return;
	if (cpu >= 0)
		pin(0, cpu);
	else
		sched_setaffinity(0, sizeof(all), &all);
}

static void control_free(int racer, size_t n)
{
	if (__atomic_load_n(&control_state[n], __ATOMIC_RELAXED) != 1)
		return;
	__atomic_store_n(&control_state[n], 0, __ATOMIC_RELAXED);
	control_frees[racer]++;
}

/* What one does in no time takes another a system call: now the one is late, now the other. */
static void dawdle(uint64_t *random)
{
	const uint64_t turns = next_random(random) & 1 ? *random >> 8 & 4095 : 0;

	for (volatile uint64_t n = 0; n < turns; n++)
		;
}

static void free_batch(int racer, uint64_t *random)
{
	for (size_t n = 0; n < BATCH; n++) {
		meet(&arrived[n]);
		if (race.size)
			dawdle(random);
		if (race.size)
			cpu_free(batch[n], race.size);
		else
			control_free(racer, n);
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_ACQ_REL);
}

/* None is handed out twice: what is written to each is still there when all are written. */
static void make_batch(void)
{
	for (size_t n = 0; n < BATCH; n++) {
		batch[n] = cpu_alloc(race.size, GFP_KERNEL, 4);
		must(batch[n]);
		*(uint32_t *)(void *)instance(batch[n], -1) = (uint32_t)n;
	}
	for (size_t n = 0; n < BATCH; n++)
		must(*(uint32_t *)(void *)instance(batch[n], -1) == n);
}

static void *be_racer(void *number)
{
	const int racer = (int)(intptr_t)number;
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)racer;

	for (uint32_t n = 1;; n++) {
		wander(&random);
		wait_until(&round_number, n);
		if (__atomic_load_n(&stop, __ATOMIC_RELAXED))
			return NULL;
		free_batch(racer, &random);
	}
}

static void *be_bystander(void *unused)
{
	struct owned owned[16] = {0};
	struct books books = {0};
	uint64_t random = 88172645463325252;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct owned *any = &owned[next_random(&random) % 16];

		if (any->ptr)
			owned_drop(any, &books);
		else
			owned_make(any, &books,
				   (struct request){random % 2 ? 40 : 8, 4, GFP_KERNEL});
		if (random >> 8 & 1)
			cpu_alloc_trim();
		wander(&random);
		usleep(20);
	}
	for (int n = 0; n < 16; n++)
		owned_drop(&owned[n], &books);
	return unused;
}

static void one_round(uint64_t *random)
{
	wander(random);
	if (race.size) {
		if (*random >> 9 & 1)
			cpu_alloc_trim(); /* so it is forgotten that others free them */
		make_batch();
	} else {
		for (size_t n = 0; n < BATCH; n++)
			control_state[n] = 1;
	}
	memset(arrived, 0, sizeof(arrived));
	finished = 0;
	__atomic_fetch_add(&round_number, 1, __ATOMIC_RELEASE);
	free_batch(0, random);
	wait_until(&finished, (uint32_t)race.racers);
	batches++;
}

static uint64_t control_freed(void)
{
	uint64_t sum = 0;

	for (int n = 0; n < RACERS; n++)
		sum += control_frees[n];
	return sum;
}

/* Rounds for some time; the control's end when it is caught. */
static void run(int64_t ms)
{
	pthread_t thread[RACERS], bystander;
	uint64_t random = 88172645463325252;
	const int64_t end = now_ms() + ms;

	for (intptr_t n = 1; n < race.racers; n++)
		must(pthread_create(&thread[n], NULL, be_racer, (void *)n) == 0);
	must(pthread_create(&bystander, NULL, be_bystander, NULL) == 0);
	do {
		one_round(&random);
	} while (now_ms() < end && (race.size || control_freed() == batches * BATCH));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	__atomic_fetch_add(&round_number, 1, __ATOMIC_RELEASE);
	for (int n = 1; n < race.racers; n++)
		pthread_join(thread[n], NULL);
	pthread_join(bystander, NULL);
}

static int one_succeeds(const void *argument)
{
	struct cpu_alloc_stats now;

	race = *(const struct race *)argument;
	owned_set_up("percpu=1M");
	run(test_ms(rounds(400)));
	must_be_well();
	now = stats_now();
	printf("%" PRIu64 " objects, %" PRIu64 " frees, %" PRIu64 " misuses\n", batches * BATCH,
	       now.frees, now.misuses);
	must(now.misuses == batches * BATCH * (uint64_t)(race.racers - 1));
	must(now.frees == now.allocs && now.objects == 0 && now.cpu_bytes == 0);
	must(cpu_alloc_trim() <= now.area_bytes && stats_now().cached_bytes == 0);
	must(cpu_alloc(now.area_bytes, GFP_KERNEL, 4));
	return 0;
}

static int control(const void *argument)
{
	race = *(const struct race *)argument;
	if (allowed_cpu(1) < 0 || under_valgrind())
		return CANNOT;
	owned_set_up(NULL);
	run(10000);
	printf("%" PRIu64 " objects, %" PRIu64 " frees\n", batches * BATCH, control_freed());
	must(control_freed() != batches * BATCH);
	return 0;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	crowd_child("two threads free an object: one succeeds", one_succeeds,
		    &(struct race){2, 24});
	crowd_child("three threads free an object: one succeeds", one_succeeds,
		    &(struct race){3, 24});
	crowd_child("three threads free a large object: one succeeds", one_succeeds,
		    &(struct race){3, 400});
	ok_child_or_skip("without an atomic step both succeed", control, &(struct race){2, 0},
			 "one CPU, or valgrind, whose threads take turns");
	return tap_done();
}
