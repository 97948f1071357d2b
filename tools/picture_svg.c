/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The picture: rows of the area, a rectangle for each object and for each gap. */
#include "escape.h"
#include "message.h"
#include "picture.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	SVG_LEFT = 90,	    /* of the rows, in pixels; the offsets stand there */
	SVG_TOP = 118,	    /* of the first row */
	SVG_WIDTH = 1024,   /* of a row */
	SVG_PITCH = 17,	    /* from row to row */
	SVG_HEIGHT = 13,    /* of a row */
	SVG_KEY_WIDTH = 81, /* of an entry of the legend: 13 of them fit */
	SVG_ROWS = 64,
	SVG_LEAST_UNITS = 64, /* of a row */
};

/* Objects of up to 4 bytes, 8, 16, ..., and of all larger sizes; then what is free. */
enum { COLORS = 12, FREE = COLORS };

static const char *const colors[] = {
	"#f7df3e", "#c3d838", "#86c440", "#3faa4e", "#1f9e89", "#2cb5c9",	   "#3f8fd2",
	"#3a63b8", "#4b3f9e", "#754fae", "#a05cb4", "#4a2545", [FREE] = "#f28b82",
};

static size_t color_of(uint32_t units)
{
	size_t color = power_of_two_above(units);

	return color < COLORS ? color : COLORS - 1;
}

struct svg {
	FILE *out;
	struct layout layout;
	uint32_t row_units;
	uint32_t count[COLORS]; /* objects of each */
};

static double x_of(const struct svg *svg, uint32_t unit)
{
	return SVG_LEFT + (double)SVG_WIDTH * (unit % svg->row_units) / svg->row_units;
}

static uint32_t y_of(const struct svg *svg, uint32_t unit)
{
	return SVG_TOP + unit / svg->row_units * SVG_PITCH;
}

/* One rectangle. Its seam tells neighbours apart. */
static void svg_piece(const struct svg *svg, uint32_t unit, uint32_t units, const char *class,
		      size_t color)
{
	double width = (double)SVG_WIDTH * units / svg->row_units;
	double seam = width > 3 ? 0.7 : width * 0.2;

	fprintf(svg->out,
		"<rect class=\"%s c%zu\" x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\"", class,
		color, x_of(svg, unit), y_of(svg, unit), width - seam, SVG_HEIGHT);
}

/* What lies from @unit to @end - 1. Its first rectangle has a tooltip; it may need more rows. */
static void svg_extent(const struct svg *svg, uint32_t unit, uint32_t end, const char *class,
		       size_t color)
{
	uint32_t row_end = (unit / svg->row_units + 1) * svg->row_units;

	svg_piece(svg, unit, (end < row_end ? end : row_end) - unit, class, color);
	fprintf(svg->out, "><title>%s, %" PRIu64 " bytes at 0x%" PRIx64 "</title></rect>\n", class,
		picture_bytes(end - unit), picture_bytes(unit));
	for (; row_end < end; row_end += svg->row_units) {
		uint32_t left = end - row_end;

		svg_piece(svg, row_end, left < svg->row_units ? left : svg->row_units, "rest",
			  color);
		fprintf(svg->out, "/>\n");
	}
}

static void svg_offsets(const struct svg *svg)
{
	for (uint32_t unit = 0; unit < svg->layout.end; unit += svg->row_units)
		fprintf(svg->out, "<text class=\"offset\" x=\"%d\" y=\"%u\">0x%" PRIx64 "</text>\n",
			SVG_LEFT - 8, y_of(svg, unit) + SVG_HEIGHT - 2, picture_bytes(unit));
}

static void svg_area(const struct svg *svg)
{
	const struct layout *layout = &svg->layout;
	uint32_t unit = 0, next, units;

	for (; unit < layout->end; unit = next + units) {
		next = layout_next(layout, unit);
		units = layout->units[next];
		if (next > unit)
			svg_extent(svg, unit, next, "free", FREE);
		svg_extent(svg, next, next + units, "object", color_of(units));
	}
}

static void svg_legend_entry(const struct svg *svg, int *x, size_t color, const char *text)
{
	fprintf(svg->out,
		"<rect class=\"key c%zu\" x=\"%d\" y=\"86\" width=\"14\" height=\"13\"/>\n"
		"<text x=\"%d\" y=\"97\">",
		color, *x, *x + 18);
	print_xml_text(svg->out, text);
	fprintf(svg->out, "</text>\n");
	*x += SVG_KEY_WIDTH;
}

static void svg_legend(const struct svg *svg)
{
	int x = SVG_LEFT;

	for (unsigned int i = 0; i < COLORS; i++) {
		const bool open = i == COLORS - 1;
		char size[40], text[64];

		if (!svg->count[i])
			continue;
		snprintf(text, sizeof(text), "%s %s", open ? ">" : "≤",
			 size_class_name(open ? i + 1 : i + 2, size));
		svg_legend_entry(svg, &x, i, text);
	}
	svg_legend_entry(svg, &x, FREE, "free");
}

static void svg_head(const struct svg *svg, const struct replay *replay)
{
	uint32_t rows = picture_rows(svg->layout.end, svg->row_units);

	fprintf(svg->out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\">\n<title>",
		SVG_LEFT + SVG_WIDTH + 30, SVG_TOP + rows * SVG_PITCH + 24);
	print_xml_text(svg->out, replay->path);
	fprintf(svg->out, "</title>\n<style>\n"
			  "text { font-family: sans-serif; font-size: 13px; fill: #222 }\n"
			  ".head { font-size: 20px; font-weight: bold }\n"
			  ".offset { font-family: monospace; font-size: 11px; text-anchor: end }\n"
			  ".page { fill: #fff }\n");
	for (size_t i = 0; i <= FREE; i++)
		fprintf(svg->out, ".c%zu { fill: %s }\n", i, colors[i]);
	fprintf(svg->out, "</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n");
}

static void svg_heading(const struct svg *svg, const struct replay *replay)
{
	const struct replay_result *result = &replay->result;
	char objects[32], asked[32], end[32], row[32];

	fprintf(svg->out, "<text class=\"head\" x=\"%d\" y=\"36\">", SVG_LEFT);
	print_xml_text(svg->out, replay->path);
	fprintf(svg->out,
		": one CPU's area at its peak</text>\n<text x=\"%d\" y=\"62\">"
		"%s objects that asked for %s bytes lie in the first %s bytes. "
		"A row is %s bytes.</text>\n",
		SVG_LEFT, grouped(svg->layout.objects, objects),
		grouped(result->peak_bytes_requested, asked),
		grouped(picture_bytes(svg->layout.end), end),
		grouped(picture_bytes(svg->row_units), row));
}

static void svg_print(const struct svg *svg, const struct replay *replay)
{
	svg_head(svg, replay);
	svg_heading(svg, replay);
	svg_legend(svg);
	svg_offsets(svg);
	svg_area(svg);
	fprintf(svg->out, "</svg>\n");
}

static void svg_set_up(struct svg *svg, const struct replay *replay)
{
	uint32_t end;

	svg->layout = history_layout_at_peak(&replay->history);
	end = svg->layout.end;
	svg->row_units = picture_row_units(end, SVG_LEAST_UNITS, SVG_ROWS);
	for (uint32_t unit = 0; (unit = layout_next(&svg->layout, unit)) < end;
	     unit += svg->layout.units[unit])
		svg->count[color_of(svg->layout.units[unit])]++;
}

bool picture_svg(const struct replay *replay, const char *path)
{
	struct svg svg = {.out = fopen(path, "we")};
	bool written;

	if (!svg.out) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	svg_set_up(&svg, replay);
	svg_print(&svg, replay);
	layout_free(&svg.layout);
	written = !ferror(svg.out);
	if (fclose(svg.out) != 0 || !written) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	return true;
}
