/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A crowd allocates, writes, checks and frees, each member what it has itself or what it
 * got from another, and so do its handlers: no two objects overlap, no byte changes
 * hands, and at each quiet point the statistics are what the crowd's books say.
 */
#include "crowd.h"

#define HELD 48	  /* objects, by each side */
#define SHARED 64 /* where objects change hands */

static struct owned *shared[SHARED];
static struct owned shared_owned[SHARED]; /* where they point in the beginning */

static size_t random_size(uint64_t random)
{
	static const size_t often[] = {4, 8, 24, 40, 64, 100, 200, 256};

	switch (random % 16) {
	case 0:
		return 257 + random / 16 % 2000;
	case 1:
	case 2:
	case 3:
		return 1 + random / 16 % 256;
	default:
		return often[random / 16 % (sizeof(often) / sizeof(*often))];
	}
}

static struct request random_request(struct side *side)
{
	const uint64_t random = next_random(&side->random);
	struct request request = {.size = random_size(random >> 16)};

	request.align = random % 8 ? 4 : (size_t)1 << random / 8 % 9;
	request.flags = random >> 8 & 1 ? __GFP_ZERO : 0;
	if (side->handler)
		request.flags |= GFP_ATOMIC;
	else
		request.flags |= random >> 9 & 7 ? GFP_KERNEL : GFP_NOWAIT;
	return request;
}

static void step(struct side *side)
{
	const uint64_t random = next_random(&side->random);
	struct owned **slot = &side->slot[random % HELD];

	if (random >> 8 & 3)
		*slot = __atomic_exchange_n(&shared[(random >> 16) % SHARED], *slot,
					    __ATOMIC_ACQ_REL);
	if ((*slot)->ptr)
		owned_drop(*slot, &side->books);
	else
		owned_make(*slot, &side->books, random_request(side));
}

/* Whatever goes on, no figure is beyond what there can be. */
static void ask(void)
{
	const struct cpu_alloc_stats now = stats_now();

	must(now.cpu_bytes <= now.area_bytes && now.cached_bytes <= now.area_bytes);
	must(now.objects <= now.area_bytes / CPU_ALLOC_UNIT);
	must(now.cpu_bytes <= now.top_bytes && now.peak_bytes <= now.top_bytes);
}

/* Who trims, or asks, disturbs, too. */
static void meanwhile(void)
{
	static unsigned int n;

	n++;
	if (n % 64 == 0)
		cpu_alloc_trim();
	else if (n % 8 == 0)
		ask();
}

static int churn(const void *options)
{
	const struct crowd crowd = {
		.step = step,
		.meanwhile = meanwhile,
		.quiet_points = 10,
		.ms = rounds(600),
	};
	struct books books;

	owned_set_up(options);
	for (int n = 0; n < SHARED; n++)
		shared[n] = &shared_owned[n];
	crowd_run(&crowd);
	books = crowd_books();
	for (int n = 0; n < SHARED; n++)
		owned_drop(shared[n], &books);
	must_be_empty(&books);
	return 0;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	crowd_child("nothing overlaps, no byte changes hands, the books agree", churn, NULL);
	crowd_child("nor where there is hardly room", churn, "percpu=64K");
	return tap_done();
}
