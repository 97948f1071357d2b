/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Starts adds.c where that is a library, and has no section of its own. */
int adds_main(void);

int main(void)
{
	return adds_main();
}
