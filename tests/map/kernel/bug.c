/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What BUG_ON() does, where the test has nothing of its own for it. */
#include <linux/bug.h>

void kernel_bug(const char *condition)
{
	(void)condition;
	__builtin_trap();
}
