/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What is known of each page of the areas (the same for all areas): how many of
 * its units are used, and how far up it may hold something other than zeros.
 *
 *	page   |  used  |  free, was used  |  fresh: no object was ever here   |
 *	       0                            dirty
 *
 * Memory is fresh until an object that lies there is handed out, and again
 * after the page was given back to the system. Fresh memory is known to be zero
 * and is not looked at: looking would cost a page fault on every CPU.
 */
#ifndef CPU_ALLOC_PAGES_H
#define CPU_ALLOC_PAGES_H

#include "area.h"

#include <stdint.h>

struct page {
	uint16_t used;	/* units in use */
	uint16_t dirty; /* units from the page's start on that are not known to be zero */
};

struct pages {
	struct page *page;
	uint32_t units_per_page;
	uint32_t idle; /* pages without a used unit that are dirty: worth giving back */
	uint32_t top;  /* no page from here on is dirty */
};

/* An object that was just taken, and what its outer pages were like before. */
struct pages_taken {
	uint32_t start, end; /* units */
	uint16_t first_dirty, last_dirty;
};

/* Units are taken, or free again. Under the lock. O(pages). */
struct pages_taken pages_take(struct pages *pages, uint32_t start, uint32_t end);
void pages_release(struct pages *pages, uint32_t start, uint32_t end);

/* Was all of it known to be zero? Of an object that lies in two pages at most. */
bool pages_was_fresh(const struct pages *pages, const struct pages_taken *taken);

/* Of such an object whose memory was used before: what pages_prepare() wants. */
struct pages_taken pages_used_before(const struct pages *pages, uint32_t start, uint32_t end);

/*
 * Finish taking: zero what is dirty, if wanted, in all areas. Nothing becomes
 * resident: it looks before it writes. The object is the caller's: no lock.
 * O(pages), or O(units x areas) of what is dirty.
 */
void pages_prepare(const struct pages *pages, const struct areas *areas,
		   const struct pages_taken *taken, bool zero);

/*
 * The highest run of idle pages below *@below, at most @most long: its pages are
 * *@first to *@below - 1. Looks at @most_seen pages at most. False: none found,
 * and *@below tells how far it looked.
 */
bool pages_find_idle(const struct pages *pages, uint32_t *below, uint32_t most, uint32_t most_seen,
		     uint32_t *first);

/* Idle pages have been given back. Under the lock. */
void pages_mark_fresh(struct pages *pages, uint32_t first, uint32_t end);

#endif
