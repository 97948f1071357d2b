/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads that end, by themselves or by pthread_cancel(), in the middle of a loop that
 * allocates and frees: nothing is stranded. No call is a cancellation point, not
 * even one that reports a misuse; what a thread has is freed by its cleanup handler,
 * or by whoever is handed it.
 */
#include "crowd.h"

#define AT_ONCE 6
#define HELD 24

/* One thread, and what it leaves when it ends. */
struct worker {
	pthread_t thread;
	uint64_t random;
	struct books books;
	struct owned owned[HELD];
	bool misuses; /* frees what it may not, now and then */
	int steps;    /* until it ends by itself */
};

static pthread_key_t key;

static void use_any(struct worker *worker)
{
	const uint64_t random = next_random(&worker->random);
	struct owned *owned = &worker->owned[random % HELD];
	struct request request = {.size = 4 + 4 * ((random >> 16) % 64), .align = 4};

	request.flags = random >> 8 & 1 ? GFP_KERNEL : GFP_KERNEL | __GFP_ZERO;
	if (owned->ptr)
		owned_drop(owned, &worker->books);
	else
		owned_make(owned, &worker->books, request);
	if (worker->misuses && (random >> 9) % 64 == 0) {
		owned_expect_misuse();
		cpu_free(worker, 8);
	}
}

static void drop_half(void *argument)
{
	struct worker *worker = argument;

	for (int n = 0; n < HELD; n += 2)
		owned_drop(&worker->owned[n], &worker->books);
}

/* Of thread-specific data: some of the last that a thread does. */
static void use_at_end(void *argument)
{
	for (int n = 0; n < 10; n++)
		use_any(argument);
}

static void *until_cancelled(void *argument)
{
	struct worker *worker = argument;

	pthread_cleanup_push(drop_half, worker);
	pthread_setspecific(key, worker);
	for (;;) {
		for (int n = 0; n < 16; n++)
			use_any(worker);
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

static void *until_done(void *argument)
{
	struct worker *worker = argument;

	pthread_setspecific(key, worker);
	while (worker->steps-- > 0)
		use_any(worker);
	drop_half(worker);
	return NULL;
}

static void begin(struct worker *worker, void *(*work)(void *), uint64_t *random)
{
	*worker = (struct worker){.misuses = work == until_cancelled};
	worker->random = next_random(random);
	worker->steps = (int)(worker->random % 2000);
	must(pthread_create(&worker->thread, NULL, work, worker) == 0);
	usleep((unsigned int)(worker->random >> 16) % 200);
}

static void end(struct worker *worker, bool cancel, struct books *books)
{
	if (cancel)
		pthread_cancel(worker->thread);
	must(pthread_join(worker->thread, NULL) == 0);
	for (int k = 0; k < HELD; k++)
		owned_drop(&worker->owned[k], &worker->books);
	books_add(books, &worker->books);
}

static void end_threads(void *(*work)(void *))
{
	static struct worker worker[AT_ONCE];
	const int threads = AT_ONCE + rounds(80);
	uint64_t random = 88172645463325252;
	struct books books = {0};

	owned_set_up(NULL);
	must(pthread_key_create(&key, use_at_end) == 0);
	for (int n = 0; n < threads; n++) {
		if (n >= AT_ONCE)
			end(&worker[n % AT_ONCE], work == until_cancelled, &books);
		begin(&worker[n % AT_ONCE], work, &random);
	}
	for (int n = 0; n < AT_ONCE; n++)
		end(&worker[n], work == until_cancelled, &books);
	must_be_empty(&books);
	printf("%d threads, %" PRIu64 " objects\n", threads, books.allocs);
	must(books.allocs > (uint64_t)threads);
}

static int cancelled(const void *unused)
{
	(void)unused;
	end_threads(until_cancelled);
	return 0;
}

static int done(const void *unused)
{
	(void)unused;
	end_threads(until_done);
	return 0;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	crowd_child("threads that are cancelled strand nothing", cancelled, NULL);
	crowd_child("threads that come to their end strand nothing", done, NULL);
	return tap_done();
}
