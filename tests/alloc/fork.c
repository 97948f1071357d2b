/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fork() while a crowd allocates and frees: the child goes on with its copy.
 *
 *	fork()		The child has all objects that were there, uses the whole library,
 *			and its children do.
 *	_Fork()		and a raw clone(): nobody made the library ready. What is not
 *			to be had is refused; nothing hangs, nothing overlaps.
 *	in a handler	that interrupted the library: the same, and the interrupted call
 *			comes to its end in the child, too.
 */
#include "crowd.h"

#define CHILD_OBJECTS 100
#define CHILD_STEPS 50
#define HANG_SECONDS 10 /* a child that takes longer hangs */
#define AREA_BYTES ((size_t)1 << 20)

extern pid_t _Fork(void) __attribute__((weak)); /* glibc 2.34 */

static struct owned kept[8]; /* of the thread that forks */
static struct books kept_books;
static unsigned int children;

static void step(struct side *side)
{
	const uint64_t random = next_random(&side->random);
	struct owned *owned = side->slot[random % 32];
	struct request request = {.size = 4 + 4 * ((random >> 16) % 100), .align = 4};

	request.flags = side->handler ? GFP_ATOMIC : GFP_KERNEL;
	if (owned->ptr)
		owned_drop(owned, &side->books);
	else
		owned_make(owned, &side->books, request);
}

/* Whatever the library has of others', it may not be handed out here. */
static void use(gfp_t mode)
{
	struct owned owned[CHILD_OBJECTS];
	struct books books = {0};

	for (size_t n = 0; n < CHILD_OBJECTS; n++) {
		owned_make(&owned[n], &books, (struct request){4 + n % 8 * 12, 4, mode});
		if (n % 3 == 0)
			owned_drop(&owned[n / 2], &books);
	}
	for (size_t n = 0; n < CHILD_OBJECTS; n++)
		owned_drop(&owned[n], &books);
	must_be_well();
}

/* To the last byte, and not for ever. */
static void exhaust(void)
{
	static char *ptr[AREA_BYTES / 4096];
	size_t n = 0;

	while ((ptr[n] = cpu_alloc(4096, GFP_KERNEL, 4)))
		n++;
	must(errno == ENOMEM);
	while (n > 0)
		cpu_free(ptr[--n], 4096);
}

static void must_have_kept(void)
{
	for (size_t n = 0; n < sizeof(kept) / sizeof(*kept); n++)
		must(owned_is_intact(&kept[n]));
}

static void reap(pid_t child)
{
	int status = -1;

	must(child > 0 && waitpid(child, &status, 0) == child);
	if (status != 0)
		printf("a child's status is 0x%x\n", (unsigned int)status);
	must(status == 0);
	__atomic_fetch_add(&children, 1, __ATOMIC_RELAXED);
}

/*
 * Each thread that is no more may have been inside of a call, and so may have the
 * handler that it was in: these objects count, or do not.
 */
static void must_have_all(void)
{
	const uint64_t count = owned_objects(), objects = stats_now().objects;

	if (objects < count || objects > count + 4 * (uint64_t)crowd_members())
		printf("%" PRIu64 " objects for %" PRIu64 "\n", objects, count);
	must(objects >= count && objects <= count + 4 * (uint64_t)crowd_members());
}

static void be_child(bool has_children)
{
	struct cpu_alloc_stats before;

	alarm(HANG_SECONDS);
	owned_forget_others();
	must_have_kept();
	must_have_all();
	before = stats_now();
	use(GFP_KERNEL);
	use(GFP_ATOMIC);
	must(stats_now().objects == before.objects && stats_now().cpu_bytes == before.cpu_bytes);
	exhaust();
	cpu_alloc_trim();
	must(stats_now().cached_bytes == 0 && stats_now().objects == before.objects);
	for (size_t n = 0; n < sizeof(kept) / sizeof(*kept); n++)
		owned_drop(&kept[n], &kept_books);
	must(stats_now().misuses == 0);
	must_be_well();
	if (has_children) {
		const pid_t child = fork();

		if (child == 0) {
			use(GFP_KERNEL);
			_exit(0);
		}
		reap(child);
	}
	_exit(0);
}

static void fork_once(void)
{
	const pid_t child = fork();

	if (child == 0)
		be_child(children % 8 == 0);
	reap(child);
	must_have_kept();
}

/* The library does not know that it is in a child. */
static void be_unprepared(void)
{
	alarm(HANG_SECONDS);
	owned_forget_others();
	owned_allow_eagain();
	must_have_kept();
	use(GFP_ATOMIC);
	use(GFP_KERNEL);
	for (size_t n = 0; n < sizeof(kept) / sizeof(*kept); n++)
		owned_drop(&kept[n], &kept_books);
	must_be_well();
	_exit(0);
}

static void fork_unprepared(void)
{
	const pid_t child =
		children % 2 && _Fork ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (child == 0)
		be_unprepared();
	reap(child);
	must_have_kept();
}

static bool in_child;
static int child_steps;

/* A child goes on where its parent was, with the call that the handler has interrupted. */
static void fork_in_handler(struct side *side)
{
	pid_t child;

	if (in_child && ++child_steps == CHILD_STEPS) {
		must_be_well();
		_exit(0);
	}
	if (!in_child && side->handler && (next_random(&side->random) % 32 == 0 || children == 0)) {
		child = fork();
		if (child != 0) {
			reap(child);
		} else {
			alarm(HANG_SECONDS);
			in_child = true;
			owned_allow_eagain();
			crowd_leave();
		}
	}
	step(side);
}

static int amid(const struct crowd *crowd)
{
	struct books books;

	owned_set_up("percpu=1M");
	for (size_t n = 0; n < sizeof(kept) / sizeof(*kept); n++)
		must(owned_make(&kept[n], &kept_books,
				(struct request){8 + n * 20, 4, GFP_KERNEL}));
	crowd_run(crowd);
	must_have_kept();
	for (size_t n = 0; n < sizeof(kept) / sizeof(*kept); n++)
		owned_drop(&kept[n], &kept_books);
	books = crowd_books();
	must_be_empty(&books);
	printf("%u children\n", children);
	must(children > 0);
	return 0;
}

static int forks(const void *unused)
{
	(void)unused;
	return amid(&(struct crowd){
		.step = step,
		.meanwhile = fork_once,
		.books = &kept_books,
		.quiet_points = 2,
		.ms = rounds(600),
	});
}

static int forks_unprepared(const void *unused)
{
	(void)unused;
	return amid(&(struct crowd){
		.step = step,
		.meanwhile = fork_unprepared,
		.books = &kept_books,
		.quiet_points = 2,
		.ms = rounds(600),
	});
}

static int forks_in_handlers(const void *unused)
{
	(void)unused;
	return amid(&(struct crowd){
		.step = fork_in_handler,
		.books = &kept_books,
		.quiet_points = 2,
		.ms = rounds(600),
	});
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	crowd_child("fork(): the child goes on with its copy", forks, NULL);
	crowd_child("_Fork() and clone(): nothing hangs or overlaps", forks_unprepared, NULL);
	crowd_child("fork() in handlers: the interrupted call comes to its end", forks_in_handlers,
		    NULL);
	return tap_done();
}
