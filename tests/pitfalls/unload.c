/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * unload PLUGIN leave|stay: the plugin adds, is told to leave or not, and is
 * closed; then comes a signal. The kernel looks at the descriptor of the last section
 * as it returns from unmapping the plugin, or before, when the thread is preempted, or
 * at the signal at the latest. Only the second does no harm in any case: so that all
 * of it is done often.
 */
#include <dlfcn.h>

#include "adds.h"

#define LIVES 100

static void *find(void *plugin, const char *name)
{
	void *symbol = plugin ? dlsym(plugin, name) : NULL;

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(4);
	}
	return symbol;
}

static int is_mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096];
	int found = 0;

	while (maps && fgets(line, sizeof(line), maps))
		found |= strstr(line, name) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/* One life of the plugin. */
static void live(const char *path, int leave)
{
	void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void (*add)(struct pair *) = (void (*)(struct pair *))find(plugin, "plugin_add");
	void (*left)(void) = (void (*)(void))find(plugin, "plugin_leave");

	add(&adds->pair);
	if (leave)
		left();
	if (dlclose(plugin))
		exit(5);
	raise(SIGUSR2);
}

static void ignore(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	const int leave = argc > 2 && strcmp(argv[2], "leave") == 0;

	adds = adds_new();
	signal(SIGUSR2, ignore);
	for (int lives = 0; lives < LIVES; lives++)
		live(argv[1], leave);
	printf("plugin mapped: %s\npath: %s\n", is_mapped(argv[1]) ? "yes" : "no",
	       cpu_alloc_path());
	return cpu_sum(adds->pair.first) != LIVES;
}
