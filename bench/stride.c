/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which distance between the areas of two CPUs? The time that it takes to look
 * at one word on every CPU, as a sum over all of them does, for each candidate.
 *
 * With a power of two, the instances of one object fall into one set of each
 * cache and of the TLB. The colour, the pages beyond the power of two, spreads
 * them. One page a CPU is touched; the rest is address space only.
 *
 *	stride [CPUS]
 */
#include "bench.h"

#include <sys/mman.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define PASSES 200
#define STEP 72 /* bytes from one object to the next, in the second pattern */

/* Powers of two; an odd number of 4 KiB pages more; an odd number of 64 KiB pages more. */
static const struct {
	size_t base, colour;
} candidates[] = {
	{16 * MIB, 0},		{256 * MIB, 0},		{256 * MIB, 4 * KIB},
	{256 * MIB, 12 * KIB},	{256 * MIB, 20 * KIB},	{256 * MIB, 28 * KIB},
	{256 * MIB, 36 * KIB},	{256 * MIB, 44 * KIB},	{256 * MIB, 68 * KIB},
	{256 * MIB, 132 * KIB}, {256 * MIB, 260 * KIB}, {256 * MIB, 64 * KIB},
	{256 * MIB, 192 * KIB}, {256 * MIB, 320 * KIB}, {256 * MIB, 576 * KIB},
	{256 * MIB, 704 * KIB},
};

#define CANDIDATES (sizeof(candidates) / sizeof(candidates[0]))

/* Address space for all CPUs, and the first page of each touched. */
static char *map_areas(size_t stride, int cpus)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *areas = mmap(NULL, stride * (size_t)cpus, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (areas == MAP_FAILED) {
		perror("stride: mmap");
		exit(1);
	}
	madvise(areas, stride * (size_t)cpus, MADV_NOHUGEPAGE);
	for (int cpu = 0; cpu < cpus; cpu++)
		*(volatile uint64_t *)(areas + stride * (size_t)cpu) = 1;
	return areas;
}

/* The ns of one look at a word on all CPUs; each pass looks @step bytes further. */
static double look(const char *areas, size_t stride, int cpus, size_t step)
{
	uint64_t sum = 0;
	double start = now_ns();

	for (size_t pass = 0; pass < PASSES; pass++) {
		const char *word = areas + pass * step % 4088;

		for (int cpu = 0; cpu < cpus; cpu++, word += stride)
			sum += *(const volatile uint32_t *)word;
	}
	use_value(sum);
	return (now_ns() - start) / PASSES;
}

static void report_all(const struct rounds *rounds, int cpus, const char *pattern)
{
	for (size_t i = 0; i < CANDIDATES; i++)
		report(rounds[i], "ns", 0, 0, "look", "cpus=%d stride=%zuM+%zuK %s", cpus,
		       candidates[i].base / MIB, candidates[i].colour / KIB, pattern);
}

static void measure(int cpus)
{
	static struct rounds same[CANDIDATES], next[CANDIDATES];
	char *areas[CANDIDATES];

	for (size_t i = 0; i < CANDIDATES; i++)
		areas[i] = map_areas(candidates[i].base + candidates[i].colour, cpus);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < CANDIDATES; i++) {
			const size_t stride = candidates[i].base + candidates[i].colour;

			look(areas[i], stride, cpus, 0); /* into the caches again */
			same[i].value[round] = look(areas[i], stride, cpus, 0);
			next[i].value[round] = look(areas[i], stride, cpus, STEP);
		}
	report_all(same, cpus, "one object");
	report_all(next, cpus, "one after another");
}

int main(int argc, char **argv)
{
	measure(argc > 1 ? atoi(argv[1]) : 512);
	return 0;
}
