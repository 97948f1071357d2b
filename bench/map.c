/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The map alone beside the scan of 2008, in turns in one run: steady churn of
 * one size and of many, requests that do not fit, a nearly empty map, filling,
 * batches, and the memory that the map itself takes.
 */
#include "bench.h"
#include "heap.h"
#include "random.h"

#define BATCH 16U

/* Sizes in units as the kernel's per-CPU objects have them: small ones mostly. */
static const struct {
	uint16_t n, order;
} mix[] = {
	{1, 0},	 {1, 0},  {1, 0},  {2, 1},  {2, 1},  {2, 1},  {2, 1},  {4, 1},
	{4, 1},	 {4, 2},  {6, 1},  {6, 1},  {8, 1},  {8, 3},  {10, 1}, {12, 1},
	{16, 1}, {16, 4}, {22, 1}, {32, 3}, {64, 4}, {64, 6}, {96, 3}, {256, 6},
};

#define MIX_COUNT ((uint32_t)(sizeof(mix) / sizeof(mix[0])))
#define MIX_UNITS 26U /* their average size, and a little */

struct pair_of_heaps {
	struct heap map, scan;
};

struct kind {
	uint32_t n, order;
};

static struct kind draw_kind(struct heap *heap, bool mixed)
{
	const uint32_t i = random_below(&heap->random, MIX_COUNT);

	return mixed ? (struct kind){mix[i].n, mix[i].order} : (struct kind){4, 0};
}

static void add_random(struct heap *heap, bool mixed)
{
	const struct kind kind = draw_kind(heap, mixed);

	heap_add(heap, kind.n, kind.order);
}

static void remove_random(struct heap *heap)
{
	heap_remove(heap, random_below(&heap->random, heap->live_count));
}

#define PAIRS 256U /* timed at once */

/*
 * Free a random object and allocate another, PAIRS times; returns the ns of all.
 * Which ones, and what for, is drawn before: only the engine is timed.
 */
static double time_pairs(struct heap *heap, bool mixed)
{
	const bool few = heap->live_count < PAIRS; /* then some go more than once */
	const uint32_t picked = few ? heap->live_count : PAIRS;
	struct object object[PAIRS];
	struct kind kind[PAIRS];
	uint32_t order[PAIRS];
	double start, end;

	for (uint32_t i = 0; i < picked; i++)
		object[i] = heap_pick(heap, random_below(&heap->random, heap->live_count));
	for (uint32_t i = 0; i < PAIRS; i++) {
		order[i] = few ? random_below(&heap->random, picked) : i;
		kind[i] = draw_kind(heap, mixed);
	}
	start = now_ns();
	for (uint32_t i = 0; i < PAIRS; i++) {
		struct object *victim = &object[order[i]];

		heap->free(heap, victim->unit, victim->n);
		victim->unit = heap->alloc(heap, kind[i].n, kind[i].order);
		victim->n = kind[i].n;
	}
	end = now_ns();
	for (uint32_t i = 0; i < picked; i++)
		heap_put(heap, object[i]);
	return end - start;
}

/* A round of @count times PAIRS; returns the ns of a pair. */
static double time_churn(struct heap *heap, uint32_t count, bool mixed)
{
	double ns = 0;

	for (uint32_t i = 0; i < count; i++)
		ns += time_pairs(heap, mixed);
	return ns / (count * PAIRS);
}

/* Live objects, aged by the map alone: the scan would take minutes. */
static void make_heaps(struct pair_of_heaps *heaps, uint32_t live, uint32_t holes, bool mixed)
{
	const uint32_t total = live + holes;
	const uint32_t units = total * (mixed ? 2 * MIX_UNITS : 4) + 100000;

	heap_init(&heaps->map, MAP, units, total + 1);
	heap_init(&heaps->scan, SCAN, units, total + 1);
	for (uint32_t i = 0; i < total; i++)
		add_random(&heaps->map, mixed);
	for (uint32_t i = 0; i < holes; i++)
		remove_random(&heaps->map);
	for (uint32_t i = 0; mixed && i < 5 * live; i++) {
		remove_random(&heaps->map);
		add_random(&heaps->map, true);
	}
	heap_mirror(&heaps->scan, &heaps->map);
}

static void free_heaps(struct pair_of_heaps *heaps)
{
	heap_fini(&heaps->map);
	heap_fini(&heaps->scan);
}

/* Three lines: the map, the scan, and how many times faster the map is. */
static void report_both(const struct rounds *map, const struct rounds *scan, double target,
			double times_faster, const char *name, const char *parameters)
{
	report(*map, "ns", target > 0 ? '<' : 0, target, name, "%s map", parameters);
	report(*scan, "ns", 0, 0, name, "%s scan2008", parameters);
	report(ratio(scan, map), "times", times_faster > 0 ? '>' : 0, times_faster, name,
	       "%s scan2008/map", parameters);
}

struct steady {
	const char *name, *parameters;
	uint32_t live, holes;
	bool mixed;
	uint32_t map_count, scan_count; /* PAIRS in a round: enough to warm the caches up again */
	double target, times_faster;
};

static void steady(const struct steady *test)
{
	struct pair_of_heaps heaps;
	struct rounds map, scan;

	make_heaps(&heaps, test->live, test->holes, test->mixed);
	time_churn(&heaps.map, 1, test->mixed);
	time_churn(&heaps.scan, 1, test->mixed);
	heap_compare(&heaps.map, &heaps.scan);
	for (int i = 0; i < ROUNDS; i++) {
		time_churn(&heaps.map, test->map_count, test->mixed);
		map.value[i] = time_churn(&heaps.map, test->map_count, test->mixed);
		scan.value[i] = time_churn(&heaps.scan, test->scan_count, test->mixed);
	}
	free_heaps(&heaps);
	report_both(&map, &scan, test->target, test->times_faster, test->name, test->parameters);
}

static double time_no_fit(struct heap *heap, uint32_t n, uint32_t count)
{
	const double start = now_ns();

	for (uint32_t i = 0; i < count; i++)
		if (heap->alloc(heap, n, 0) != MAP_NONE)
			abort();
	return (now_ns() - start) / count;
}

/* One unit more than the largest hole. */
static void no_fit(struct pair_of_heaps *heaps, uint32_t scan_count, const char *parameters)
{
	const uint32_t n = map_largest_free(&heaps->map.map) + 1;
	struct rounds map, scan;

	for (int i = 0; i < ROUNDS; i++) {
		map.value[i] = time_no_fit(&heaps->map, n, 100000);
		scan.value[i] = time_no_fit(&heaps->scan, n, scan_count);
	}
	report_both(&map, &scan, 15, 0, "does not fit", parameters);
}

/* All above the live objects is filled: only the holes between them are left. */
static void no_fit_mixed(uint32_t live, uint32_t scan_count, const char *parameters)
{
	struct pair_of_heaps heaps;
	uint32_t top;

	make_heaps(&heaps, live, 0, true);
	top = heaps.map.map.units - heaps.map.map.frontier;
	heap_add(&heaps.map, top, 0);
	heap_add(&heaps.scan, top, 0);
	no_fit(&heaps, scan_count, parameters);
	free_heaps(&heaps);
}

/* One unit used, one free, in all of the area. */
static void no_fit_checkered(uint32_t units, uint32_t scan_count, const char *parameters)
{
	struct pair_of_heaps heaps;

	heap_init(&heaps.map, MAP, units, units);
	heap_init(&heaps.scan, SCAN, units, units);
	for (uint32_t unit = 0; unit < units; unit++)
		heap_add(&heaps.map, 1, 0);
	for (uint32_t i = units - 2; i < units; i -= 2) /* from the last but one downwards */
		heap_remove(&heaps.map, i);
	heap_mirror(&heaps.scan, &heaps.map);
	no_fit(&heaps, scan_count, parameters);
	free_heaps(&heaps);
}

#define FILL 200000U

static double time_fill(enum engine engine)
{
	struct heap heap;
	double start;

	heap_init(&heap, engine, 4 * FILL, FILL);
	heap_add(&heap, 4 * FILL, 0); /* touch it all, so that no page fault is timed */
	heap_remove(&heap, 0);
	start = now_ns();
	for (uint32_t i = 0; i < FILL; i++)
		heap_add(&heap, 4, 0);
	start = now_ns() - start;
	heap_fini(&heap);
	return start / FILL;
}

static void fill(void)
{
	struct rounds map, scan;

	for (int i = 0; i < ROUNDS; i++) {
		map.value[i] = time_fill(MAP);
		scan.value[i] = time_fill(SCAN);
	}
	report_both(&map, &scan, 0, 0, "fill", "size=16");
}

#define BATCHES 500U

/* Holes for one batch each, and 20 objects of 8 bytes between two of them. */
static void make_batch_holes(struct heap *heap)
{
	uint32_t holes[BATCHES];

	heap_init(heap, MAP, BATCHES * (6 * BATCH + 40), BATCHES * 20);
	for (uint32_t i = 0; i < BATCHES; i++) {
		holes[i] = map_alloc(&heap->map, 6 * BATCH, 0);
		for (uint32_t j = 0; j < 20; j++)
			heap_add(heap, 2, 1);
	}
	for (uint32_t i = 0; i < BATCHES; i++)
		map_free(&heap->map, holes[i], 6 * BATCH);
}

static void batches(void)
{
	static uint32_t units[BATCHES][BATCH];
	struct rounds take, give;
	struct heap heap;
	double start;

	make_batch_holes(&heap);
	for (int i = 0; i < ROUNDS; i++) {
		start = now_ns();
		for (uint32_t j = 0; j < BATCHES; j++)
			if (map_alloc_batch(&heap.map, 6, 1, units[j], BATCH) != BATCH)
				abort();
		take.value[i] = (now_ns() - start) / BATCHES;
		start = now_ns();
		for (uint32_t j = 0; j < BATCHES; j++)
			if (map_free_batch(&heap.map, 6, units[j], BATCH))
				abort();
		give.value[i] = (now_ns() - start) / BATCHES;
	}
	heap_fini(&heap);
	report(take, "ns", '<', 250, "batch", "alloc of 16 x 24 bytes from one hole");
	report(give, "ns", 0, 0, "batch", "free of 16 x 24 bytes that are neighbours");
}

static void metadata(void)
{
	for (uint32_t mib = 1; mib <= 256; mib *= 4) {
		const uint32_t units = mib << 18;

		report(exactly((double)map_memory_bytes(units) / (4.0 * units)), "bytes/byte", '<',
		       0.10, "metadata", "area=%u MiB", mib);
	}
}

/* Never slower than 1.5 times the scan on a nearly empty map: 1/1.5 = 0.667 times faster. */
static const struct steady steadies[] = {
	{"free+alloc", "size=16 live=100", 100, 0, false, 100, 100, 40, 0},
	{"free+alloc", "size=16 live=10000", 10000, 0, false, 100, 30, 40, 0},
	{"free+alloc", "size=16 live=1000000", 1000000, 0, false, 500, 4, 70, 0},
	{"free+alloc", "size=16 live=1000000 holes=250000", 1000000, 250000, false, 300, 300, 0, 0},
	{"free+alloc", "mixed live=10000", 10000, 0, true, 20, 8, 0, 3},
	{"free+alloc", "mixed live=100000", 100000, 0, true, 20, 2, 0, 15},
	{"free+alloc", "size=16 live=1", 1, 0, false, 100, 100, 0, 0.667},
	{"free+alloc", "size=16 live=8", 8, 0, false, 100, 100, 0, 0.667},
	{"free+alloc", "mixed live=2", 2, 0, true, 100, 100, 0, 0.667},
	{"free+alloc", "mixed live=8", 8, 0, true, 100, 100, 0, 0.667},
	{"free+alloc", "mixed live=30", 30, 0, true, 100, 100, 0, 0.667},
	{"free+alloc", "mixed live=30 of 10000", 30, 9970, true, 100, 100, 0, 0.667},
};

int main(void)
{
	for (size_t i = 0; i < sizeof(steadies) / sizeof(steadies[0]); i++)
		steady(&steadies[i]);
	no_fit_mixed(100, 1000, "mixed live=100");
	no_fit_mixed(10000, 10, "mixed live=10000");
	no_fit_checkered(4096, 100, "checkered area=16 KiB");
	no_fit_checkered(131072, 10, "checkered area=512 KiB");
	no_fit_checkered(1 << 22, 1, "checkered area=16 MiB");
	fill();
	batches();
	metadata();
	return 0;
}
