/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* UTF-8, and what JSON and XML make of it. */
#include "escape.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The bytes of the character at @text, 0 if that is not UTF-8. */
static int character_length(const unsigned char *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	int length = *text < 0x80 ? 1 : *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
	uint32_t code = *text & (0xffu >> (length + 1));

	if (length <= 1)
		return length;
	for (int i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) /* the end of the string, too */
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (*text > 0xf4 || code < least[length] || code > 0x10ffff || code >> 11 == 0x1b)
		return 0;
	return length;
}

void print_json_string(FILE *out, const char *text)
{
	int length;

	fputc('"', out);
	for (; *text; text += length ? length : 1) {
		length = character_length((const unsigned char *)text);
		if (!length)
			fputs(REPLACEMENT, out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else
			fwrite(text, 1, (size_t)length, out);
	}
	fputc('"', out);
}

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	default:
		return NULL;
	}
}

void print_xml_text(FILE *out, const char *text)
{
	int length;

	for (; *text; text += length ? length : 1) {
		length = character_length((const unsigned char *)text);
		if (!length || (unsigned char)*text < ' ')
			fputs(REPLACEMENT, out);
		else if (entity(*text))
			fputs(entity(*text), out);
		else
			fwrite(text, 1, (size_t)length, out);
	}
}
