/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One pair, added to by sections of the program and of two libraries, made of plugin.c. */
#include "adds.h"

void one_add(struct pair *pair);
void two_add(struct pair *pair);

static void step(struct adds *to)
{
	static unsigned int turn;

	this_cpu_inc(to->count);
	switch (turn++ % 3) {
	case 0:
		one_add(&to->pair);
		break;
	case 1:
		two_add(&to->pair);
		break;
	default:
		this_cpu_add2(to->pair, 1, 1);
	}
}

int main(void)
{
	adds = adds_new();
	return adds_report(rounds_of(step));
}
