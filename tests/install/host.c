/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * host LIBRARY [PLUGIN]: a program that is linked with neither opens them from
 * several threads at once, uses them and closes them, and that again. Its exit
 * status is 0 if all went well.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <cpu_alloc.h>

#define THREADS 4
#define ROUNDS 3

typedef void *alloc_function(size_t size, gfp_t flags, size_t align);
typedef void free_function(void *ptr, size_t size);
typedef int nr_function(void);

static const char *library_path, *plugin_path;

static void *open_or_exit(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return handle;
}

static void *find_or_exit(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	if (!symbol)
		exit(2);
	return symbol;
}

static void use_library(void *library)
{
	alloc_function *alloc = (alloc_function *)find_or_exit(library, "cpu_alloc");
	free_function *release = (free_function *)find_or_exit(library, "cpu_free");
	nr_function *nr = (nr_function *)find_or_exit(library, "cpu_alloc_nr");
	int *object = (int *)alloc(sizeof(int), GFP_KERNEL | __GFP_ZERO, sizeof(int));

	for (int i = -1; object && i < nr(); i++)
		if ((*CPU_PTR(object, i))++ != 0)
			exit(3);
	if (!object)
		exit(4);
	release(object, sizeof(int));
}

static void *round_trips(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		void *library = open_or_exit(library_path);
		void *plugin = plugin_path ? open_or_exit(plugin_path) : NULL;

		use_library(library);
		if (plugin && ((nr_function *)find_or_exit(plugin, "plugin_count"))() != 1)
			exit(5);
		if ((plugin && dlclose(plugin)) || dlclose(library))
			exit(6);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	library_path = argv[1];
	plugin_path = argc > 2 ? argv[2] : NULL;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, round_trips, NULL))
			return 7;
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* It stays: its memory may still be in use, and its address inside another thread. */
	return dlopen(library_path, RTLD_NOW | RTLD_NOLOAD) ? 0 : 8;
}
