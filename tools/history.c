/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The log of places, and the layout at the peak that is made out of it. */
#include "history.h"
#include "message.h"

#include <stdlib.h>
#include <string.h>

void history_add(struct history *history, uint32_t unit, uint32_t units)
{
	if (history->count == history->room) {
		history->room = history->room ? 2 * history->room : 1024;
		history->steps = reallocate(history->steps, history->room, sizeof(*history->steps));
	}
	history->steps[history->count++] = (struct history_step){unit, units};
}

void history_free(struct history *history)
{
	free(history->steps);
}

/* The unit behind the highest object there ever was before the peak. */
static uint32_t highest_end(const struct history *history)
{
	uint32_t end = 0;

	for (size_t i = 0; i < history->peak_count; i++) {
		const struct history_step *step = &history->steps[i];

		if (end < step->unit + step->units)
			end = step->unit + step->units;
	}
	return end;
}

struct layout history_layout_at_peak(const struct history *history)
{
	uint32_t end = highest_end(history);
	struct layout layout = {.units = reallocate(NULL, (size_t)end + 1, sizeof(uint32_t))};

	memset(layout.units, 0, ((size_t)end + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < history->peak_count; i++)
		layout.units[history->steps[i].unit] = history->steps[i].units;
	for (uint32_t unit = 0; unit < end; unit++)
		if (layout.units[unit]) {
			layout.objects++;
			layout.end = unit + layout.units[unit];
		}
	return layout;
}

uint32_t layout_next(const struct layout *layout, uint32_t unit)
{
	while (unit < layout->end && !layout->units[unit])
		unit++;
	return unit;
}

void layout_free(struct layout *layout)
{
	free(layout->units);
}
