/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A program that asks only which area it is on: the offsets must have been set. */
#include <cpu_alloc.h>

int main(void)
{
	const int index = cpu_alloc_index(), same = __cpu_alloc_index();

	return index < -1 || index >= 4096 || same < -1 || same >= 4096;
}
