/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A program that knows the allocator only through plugin.c, which it is linked with. */
int plugin_count(void);

int main(void)
{
	return plugin_count() == 1 ? 0 : 1;
}
