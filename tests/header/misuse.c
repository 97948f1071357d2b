/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A CPU pointer that is dereferenced: compile.py expects a warning. */
#include <cpu_alloc.h>

int misuse(int __percpu *counter);

int misuse(int __percpu *counter)
{
	return *counter;
}
