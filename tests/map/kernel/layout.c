/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The table LAYOUT_NAME, as this compilation sees the core's structures. */
#include "layout.h"
#include "core/tree.h"

#define ROW(structure, member)                                                                     \
	{#structure, #member, __builtin_offsetof(struct structure, member),                        \
	 sizeof(((struct structure *)0)->member), sizeof(struct structure)},

const struct layout LAYOUT_NAME[] = {LAYOUT(ROW){0}};
