/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What lay where, and when: a log of the replay, out of which the area at its
 * peak is made again. (Only afterwards is it known when the peak was.)
 */
#ifndef TOOLS_HISTORY_H
#define TOOLS_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct history_step {
	uint32_t unit;
	uint32_t units; /* of the object that came to lie there; 0: it went */
};

/* Opened by setting it to zero. */
struct history {
	struct history_step *steps;
	size_t count, room;
	size_t peak_count; /* steps up to the peak */
};

/* The live objects: units[u] is the length of the one at unit u, 0 if none starts there. */
struct layout {
	uint32_t *units;
	uint32_t end; /* unit behind the last object */
	uint32_t objects;
};

void history_add(struct history *history, uint32_t unit, uint32_t units);
struct layout history_layout_at_peak(const struct history *history);
void history_free(struct history *history);

/* The unit of the first object at or above @unit; layout->end if there is none. */
uint32_t layout_next(const struct layout *layout, uint32_t unit);
void layout_free(struct layout *layout);

#endif
