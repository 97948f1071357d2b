/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The map in the terminal: a character for each equal part of the area. */
#include "message.h"
#include "picture.h"
#include "report.h"

#include <core/map.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_CELLS 64 /* of a row: with the offset before it below 80 columns */
#define MAP_ROWS 32

/* Make a map that looks like the layout. */
static void build_map(struct map *map, const struct layout *layout)
{
	uint32_t unit, next;

	for (unit = 0; unit < layout->end; unit = next) {
		unit = layout_next(layout, unit);
		next = unit + layout->units[unit];
		map_take(map, unit, next);
	}
}

static bool is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* The glyph for one character of map_draw(). */
static const char *glyph(const char *cell)
{
	static const char *const tenths[] = {"▁", "▁", "▂", "▃", "▄", "▅", "▅", "▆", "▇"};
	static char text[2];

	if (is_utf8())
		return *cell == '.' ? "·" : *cell == '#' ? "█" : tenths[*cell - '1'];
	text[0] = *cell;
	return text;
}

static void print_cells(const char *cells, uint32_t rows, uint32_t row_units)
{
	for (uint32_t row = 0; row < rows; row++) {
		char offset[16];

		snprintf(offset, sizeof(offset), "0x%" PRIx64, picture_bytes(row * row_units));
		printf("  %9s  ", offset);
		for (int i = 0; i < MAP_CELLS; i++)
			fputs(glyph(cells++), stdout);
		printf("\n");
	}
}

static void print_map_head(const struct replay *replay, uint32_t objects, uint32_t cell_units)
{
	char bytes[32], count[32], cell[32];

	printf("\n  the area at its peak: %s objects, %s bytes asked for\n",
	       grouped(objects, count), grouped(replay->result.peak_bytes_requested, bytes));
	printf("  a row has %d cells of %s bytes: ", MAP_CELLS,
	       grouped(picture_bytes(cell_units), cell));
	printf("%s\n\n", is_utf8() ? "· free, ▁▂▃▄▅▆▇ partly used, █ used"
				   : ". free, 1 to 9 tenths used, # used");
}

void picture_map(const struct replay *replay)
{
	struct layout layout = history_layout_at_peak(&replay->history);
	uint32_t row_units = picture_row_units(layout.end, MAP_CELLS, MAP_ROWS);
	uint32_t rows = picture_rows(layout.end, row_units);
	uint32_t end = rows * row_units;
	char *cells = reallocate(NULL, rows * MAP_CELLS + 1, 1);
	void *memory = calloc(1, map_memory_bytes(end));
	struct map map;

	if (!memory)
		out_of_memory();
	map_init(&map, memory, end);
	map_grow(&map, end);
	build_map(&map, &layout);
	map_draw(&map, (struct map_range){0, end}, cells, rows * MAP_CELLS);
	print_map_head(replay, layout.objects, row_units / MAP_CELLS);
	print_cells(cells, rows, row_units);
	free(memory);
	free(cells);
	layout_free(&layout);
}
