/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The table of live objects: libc's balanced tree. */
#include "objects.h"
#include "message.h"

#include <search.h>

static int compare(const void *left, const void *right)
{
	const struct trace_name *a = left, *b = right;

	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

struct object *objects_find(const struct objects *objects, struct trace_name name)
{
	struct object **node = tfind(&name, &objects->root, compare);

	return node ? *node : NULL;
}

struct object *objects_any(const struct objects *objects)
{
	/* What tfind() returns, and so the root, points to the member. */
	return objects->root ? *(struct object **)objects->root : NULL;
}

struct object *objects_add(struct objects *objects, struct trace_name name)
{
	struct object *object = reallocate(NULL, 1, sizeof(*object));

	*object = (struct object){.name = name};
	if (!tsearch(object, &objects->root, compare))
		out_of_memory();
	objects->count++;
	return object;
}

void objects_remove(struct objects *objects, struct object *object)
{
	tdelete(object, &objects->root, compare);
	objects->count--;
}
