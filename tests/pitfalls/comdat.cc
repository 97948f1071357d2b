/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The functions of comdat.h, here and in comdat_other.cc, under signals that add. */
#include "comdat.h"

static void step(struct adds *to)
{
	count_template(&to->count);
	count_inline(&to->pair);
}

int main()
{
	adds = adds_new();
	return adds_report(rounds_of(step) + rounds_of(other_step));
}
