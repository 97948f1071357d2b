/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Magazines are closed, emptied and opened again, over and over, while threads on the
 * other CPUs pop and push; and interrupts that abort no section come in the middle of
 * them, so that what a section has read may be older than what it reads next.
 *
 *	emptier, CPU 0:	ask for more than there is room for: ENOMEM, after all was emptied
 *	the others:	allocate some, mark them, unmark and free them
 */
#include "crowd.h"

#include <linux/perf_event.h>

#define SOME 12
#define NOISE_NS 20000 /* between two interrupts */
#define CLASS 24
#define AREA_BYTES ((size_t)64 << 10)

static unsigned char *taken; /* of each unit: 1 if an object begins there */
static bool stop;
static uint64_t pairs, emptied;

static unsigned char *mark_of(const void *ptr)
{
	const size_t offset = cpu_alloc_offset(ptr);

	must(offset < AREA_BYTES);
	return &taken[offset / CPU_ALLOC_UNIT];
}

/* The clock of a profiler, if the system allows that. Threads made later have it, too. */
static void make_noise(void)
{
	struct perf_event_attr clock = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(clock),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = NOISE_NS,
		.inherit = 1,
		.exclude_kernel = 1,
	};

	syscall(SYS_perf_event_open, &clock, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void *hammer(void *number)
{
	uint64_t done = 0;
	void *ptr[SOME];

	must(pin(0, allowed_cpu((int)(intptr_t)number)));
	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); done += SOME) {
		for (int n = 0; n < SOME; n++) {
			ptr[n] = cpu_alloc(CLASS, GFP_KERNEL, 4);
			must(ptr[n]);
			if (__atomic_exchange_n(mark_of(ptr[n]), 1, __ATOMIC_RELAXED) != 0)
				owned_note("handed out twice", ptr[n], CLASS);
		}
		for (int n = 0; n < SOME; n++) {
			__atomic_store_n(mark_of(ptr[n]), 0, __ATOMIC_RELAXED);
			cpu_free(ptr[n], CLASS);
		}
	}
	__atomic_fetch_add(&pairs, done, __ATOMIC_RELAXED);
	return NULL;
}

static int close_often(const void *unused)
{
	pthread_t thread[CROWD_MOST];
	const int64_t end = now_ms() + test_ms(rounds(1000));
	int threads = 0;
	void *kept;

	(void)unused;
	if (allowed_cpu(1) < 0)
		return CANNOT;
	owned_set_up("percpu=64K");
	must((kept = cpu_alloc(4, GFP_KERNEL, 4)));
	taken = calloc(AREA_BYTES / CPU_ALLOC_UNIT, 1);
	must(taken);
	make_noise();
	for (; threads + 1 < CROWD_MOST && allowed_cpu(threads + 1) >= 0; threads++)
		must(pthread_create(&thread[threads], NULL, hammer,
				    (void *)(intptr_t)(threads + 1)) == 0);
	must(pin(0, allowed_cpu(0)));
	for (; now_ms() < end; emptied++)
		must(!cpu_alloc(AREA_BYTES, GFP_KERNEL, 4) && errno == ENOMEM);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	while (threads > 0)
		pthread_join(thread[--threads], NULL);
	must_be_well();
	cpu_free(kept, 4);
	printf("%" PRIu64 " pairs, emptied %" PRIu64 " times\n", pairs, emptied);
	must_be_empty(&(struct books){.allocs = 1 + pairs, .frees = 1 + pairs, .enomem = emptied});
	return 0;
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);
	struct outcome o;

	ok_path(&mode);
	o = run_child(close_often, NULL);
	if (exited(&o, CANNOT)) {
		skip("emptied while others pop and push", "there is one CPU only");
	} else {
		ok_outcome(&o, "emptied while others pop and push");
		diag_lines("", o.out);
	}
	return tap_done();
}
