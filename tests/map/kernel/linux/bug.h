/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A stand-in for the kernel's header of this name. BUG_ON() is a statement, as it is there. */
#ifndef TESTS_MAP_KERNEL_LINUX_BUG_H
#define TESTS_MAP_KERNEL_LINUX_BUG_H

/* In bug.c, or the test's own. */
__attribute__((noreturn)) void kernel_bug(const char *condition);

#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			kernel_bug(#condition);                                                    \
	} while (0)

#endif
