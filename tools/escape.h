/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * File names inside other text. They may hold any byte: what is not UTF-8, and
 * control characters in XML, come out as U+FFFD.
 */
#ifndef TOOLS_ESCAPE_H
#define TOOLS_ESCAPE_H

#include <stdio.h>

/* As a JSON string, with its quotes. */
void print_json_string(FILE *out, const char *text);

/* As the text of an XML element or attribute. */
void print_xml_text(FILE *out, const char *text);

#endif
