/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One object's allocation and its free, each with the pattern of every instance. */
#include "work.h"
#include "message.h"
#include "pattern.h"

#include <cpu_alloc.h>
#include <inttypes.h>

#define CORRUPTIONS_TOLD 10 /* per file; the others are only counted */

static void fill(const struct object *object)
{
	cpu_alloc_for_each (i)
		pattern_write(CPU_PTR(object->ptr, i), object->size, object->number, i);
}

static void check(struct replay *replay, const struct object *object)
{
	uint64_t *corruptions = &replay->result.corruptions;

	cpu_alloc_for_each (i) {
		size_t at = pattern_check(CPU_PTR(object->ptr, i), object->size, object->number, i);

		if (at == object->size ||
		    __atomic_fetch_add(corruptions, 1, __ATOMIC_RELAXED) >= CORRUPTIONS_TOLD)
			continue;
		complain("%s: allocation %" PRIu64 ", %" PRIu64 " bytes at %#zx of the area: "
			 "changed at byte %zu of index %d",
			 replay->path, object->number, object->size, cpu_alloc_offset(object->ptr),
			 at, i);
	}
}

void work_alloc(struct worker *worker, struct object *object)
{
	uint64_t start = now_ns();

	object->ptr = cpu_alloc(object->size, GFP_KERNEL, object->align);
	stop_watch(&worker->alloc, start, worker->clock_ns);
	object->thread = worker->number;
	if (object->ptr && worker->replay->options.touch)
		fill(object);
}

void work_free(struct worker *worker, struct object *object)
{
	uint64_t start;

	if (!object->ptr)
		return;
	if (worker->replay->options.touch)
		check(worker->replay, object);
	worker->remote_frees += object->thread != worker->number;
	start = now_ns();
	cpu_free(object->ptr, object->size);
	stop_watch(&worker->free, start, worker->clock_ns);
}
