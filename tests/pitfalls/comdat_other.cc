/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The other translation unit of comdat.cc. */
#include "comdat.h"

void other_step(struct adds *to)
{
	count_template(&to->count);
	count_inline(&to->pair);
}
