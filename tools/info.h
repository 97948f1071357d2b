/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the library finds on this machine, and what it makes of it. */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

void info_print(void);

#endif
