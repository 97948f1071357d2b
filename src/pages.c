/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The state of the areas' pages, see pages.h. */
#include "pages.h"
#include "cpu_alloc.h"

#include <string.h>

#define LINE_BYTES 64 /* of a cache line: up to here word by word, each in all areas */

/* The part of an object, in units, that lies in page @p, counted from the page's start. */
struct part {
	uint32_t start, end;
};

static struct part part_of(const struct pages *pages, uint32_t p, uint32_t start, uint32_t end)
{
	const uint32_t base = p * pages->units_per_page;
	const uint32_t limit = base + pages->units_per_page;

	return (struct part){
		.start = start > base ? start - base : 0,
		.end = (end < limit ? end : limit) - base,
	};
}

static bool is_idle(const struct page *page)
{
	return page->used == 0 && page->dirty > 0;
}

static void make_dirty(struct page *page, uint32_t units)
{
	if (page->dirty < units)
		page->dirty = (uint16_t)units;
}

struct pages_taken pages_take(struct pages *pages, uint32_t start, uint32_t end)
{
	const uint32_t first = start / pages->units_per_page;
	const uint32_t last = (end - 1) / pages->units_per_page;
	const struct pages_taken taken = {start, end, pages->page[first].dirty,
					  pages->page[last].dirty};

	for (uint32_t p = first; p <= last; p++) {
		const struct part part = part_of(pages, p, start, end);
		struct page *page = &pages->page[p];

		pages->idle -= is_idle(page);
		page->used = (uint16_t)(page->used + part.end - part.start);
		if (p == first || p == last)
			make_dirty(page, part.end); /* those between wait for pages_prepare() */
	}
	if (pages->top <= last)
		pages->top = last + 1;
	return taken;
}

bool pages_was_fresh(const struct pages *pages, const struct pages_taken *taken)
{
	const uint32_t first = taken->start / pages->units_per_page;
	const bool one_page = (taken->end - 1) / pages->units_per_page == first;

	return taken->start - first * pages->units_per_page >= taken->first_dirty &&
	       (one_page || taken->last_dirty == 0);
}

struct pages_taken pages_used_before(const struct pages *pages, uint32_t start, uint32_t end)
{
	const uint16_t all = (uint16_t)pages->units_per_page;

	return (struct pages_taken){start, end, all, all};
}

void pages_release(struct pages *pages, uint32_t start, uint32_t end)
{
	const uint32_t last = (end - 1) / pages->units_per_page;

	for (uint32_t p = start / pages->units_per_page; p <= last; p++) {
		const struct part part = part_of(pages, p, start, end);
		struct page *page = &pages->page[p];

		page->used = (uint16_t)(page->used - (part.end - part.start));
		pages->idle += is_idle(page);
	}
}

/*
 * Zeroing @bytes at @at, an address in the first area, in all areas. They are zero in most
 * and not resident in many: look before writing.
 */

static bool is_zero(const uint32_t *unit, size_t n)
{
	uint32_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= unit[i];
	return any == 0;
}

static void zero_areas(const struct areas *areas, char *at, size_t bytes)
{
	for (int i = -1; i < areas->count; i++, at += CPU_ALLOC_STRIDE)
		if (!is_zero((const uint32_t *)at, bytes / CPU_ALLOC_UNIT))
			memset(at, 0, bytes);
}

/* The same for 4 or 8 bytes: inlined, the loop is as quick as one that only looks. */
static inline void zero_words(const struct areas *areas, char *at, const size_t bytes)
{
	for (int i = -1; i < areas->count; i++, at += CPU_ALLOC_STRIDE) {
		uint64_t word = 0;

		memcpy(&word, at, bytes);
		if (word)
			memset(at, 0, bytes);
	}
}

/* Zero what is dirty of a part of page @p, in all areas. */
static void zero_part(const struct pages *pages, const struct areas *areas, uint32_t p,
		      struct part part, uint32_t dirty)
{
	const uint32_t end = part.end < dirty ? part.end : dirty;
	const size_t offset = ((size_t)p * pages->units_per_page + part.start) * CPU_ALLOC_UNIT;
	char *at = areas_at(areas, -1, offset);
	size_t bytes;

	if (part.start >= end)
		return;
	bytes = (end - part.start) * CPU_ALLOC_UNIT;
	if (bytes > LINE_BYTES) {
		zero_areas(areas, at, bytes);
		return;
	}
	for (; bytes >= sizeof(uint64_t); at += sizeof(uint64_t), bytes -= sizeof(uint64_t))
		zero_words(areas, at, sizeof(uint64_t));
	if (bytes)
		zero_words(areas, at, CPU_ALLOC_UNIT);
}

void pages_prepare(const struct pages *pages, const struct areas *areas,
		   const struct pages_taken *taken, bool zero)
{
	const uint32_t first = taken->start / pages->units_per_page;
	const uint32_t last = (taken->end - 1) / pages->units_per_page;

	for (uint32_t p = first; p <= last; p++) {
		const bool between = p != first && p != last; /* nobody else's */
		const uint32_t dirty = between	    ? pages->page[p].dirty
				       : p == first ? taken->first_dirty
						    : taken->last_dirty;

		if (zero)
			zero_part(pages, areas, p, part_of(pages, p, taken->start, taken->end),
				  dirty);
		if (between)
			make_dirty(&pages->page[p], pages->units_per_page);
	}
}

bool pages_find_idle(const struct pages *pages, uint32_t *below, uint32_t most, uint32_t most_seen,
		     uint32_t *first)
{
	uint32_t end = *below < pages->top ? *below : pages->top;
	const uint32_t stop = end > most_seen ? end - most_seen : 0;

	while (end > stop && !is_idle(&pages->page[end - 1]))
		end--;
	*first = *below = end;
	if (end == stop)
		return false;
	while (*first > 0 && end - *first < most && is_idle(&pages->page[*first - 1]))
		--*first;
	return true;
}

void pages_mark_fresh(struct pages *pages, uint32_t first, uint32_t end)
{
	for (uint32_t p = first; p < end; p++)
		pages->page[p].dirty = 0;
	pages->idle -= end - first;
	if (end == pages->top)
		pages->top = first; /* an upper bound is enough */
}
