/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Address space and memory of the areas, see area.h. */
#include "area.h"
#include "cpu_alloc.h"
#include "os.h"

#include <errno.h>
#include <stdint.h>

#define BASE_TRIES 16 /* places to look for when address space is short */

char *areas_at(const struct areas *areas, int i, size_t offset)
{
	return areas->base + (size_t)(i + 2) * CPU_ALLOC_STRIDE + offset;
}

size_t areas_span(const struct areas *areas)
{
	return (size_t)(areas->count + 2) * CPU_ALLOC_STRIDE;
}

/* With a page behind it that nobody can touch. */
static size_t piece_bytes(const struct areas *areas)
{
	return areas->limit + os_page_size();
}

/* Piece -2 is the region of the handles. */
static bool reserve_pieces_at(const struct areas *areas)
{
	for (int i = -2; i < areas->count; i++) {
		if (os_reserve(areas_at(areas, i, 0), piece_bytes(areas)))
			continue;
		while (--i >= -2)
			os_unreserve(areas_at(areas, i, 0), piece_bytes(areas));
		return false;
	}
	return true;
}

/*
 * Under a limit on address space: reserve only what may be used. The places
 * looked at go down from where the system itself puts a mapping.
 */
static bool reserve_pieces(struct areas *areas)
{
	const size_t page = os_page_size();
	char *place = os_reserve(NULL, piece_bytes(areas));

	if (!place)
		return false;
	os_unreserve(place, piece_bytes(areas));
	for (int try = 0; try < BASE_TRIES; try++) {
		if ((uintptr_t)place < areas_span(areas) + page) {
			errno = ENOMEM;
			break;
		}
		place -= areas_span(areas);
		areas->base = place;
		areas->in_pieces = true;
		if (reserve_pieces_at(areas))
			return true;
		if (errno != EEXIST)
			break;
	}
	return false;
}

static void advise(const struct areas *areas, const short *node, bool huge)
{
	for (int i = -1; i < areas->count; i++) {
		os_huge_pages(areas_at(areas, i, 0), areas->limit, huge);
		if (i >= 0 && node[i] >= 0)
			os_prefer_node(areas_at(areas, i, 0), areas->limit, node[i]);
	}
}

bool areas_reserve(struct areas *areas, int count, size_t limit, const short *node, bool huge)
{
	*areas = (struct areas){.count = count, .limit = limit};
	areas->base = os_reserve(NULL, areas_span(areas));
	if (!areas->base && !reserve_pieces(areas)) {
		*areas = (struct areas){0};
		return false;
	}
	advise(areas, node, huge);
	return true;
}

void areas_unreserve(struct areas *areas)
{
	if (areas->in_pieces)
		for (int i = -2; i < areas->count; i++)
			os_unreserve(areas_at(areas, i, 0), piece_bytes(areas));
	else
		os_unreserve(areas->base, areas_span(areas));
}

bool areas_commit(struct areas *areas, size_t bytes)
{
	const size_t from = areas->committed, more = bytes - from;
	const bool lock = os_locks_memory();

	for (int i = -1; i < areas->count; i++) {
		if (os_commit(areas_at(areas, i, from), more, lock))
			continue;
		while (--i >= -1)
			os_uncommit(areas_at(areas, i, from), more);
		return false;
	}
	areas->committed = bytes;
	return true;
}

bool areas_discard(const struct areas *areas, size_t offset, size_t bytes)
{
	bool all = true;

	for (int i = -1; i < areas->count; i++)
		all &= os_discard(areas_at(areas, i, offset), bytes);
	return all;
}
