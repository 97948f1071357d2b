/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Writes and reads.
 *
 * Whole: whoever reads finds a value that somebody wrote. Values have a form, by
 * which halves of two of them do not go together.
 *
 * In one step: a thread writes what nobody else but its own handler does. What the
 * handler finds tells whether the write had happened. If so, what the handler
 * writes stays; if not, the thread's value comes later, on top of it. Nothing else
 * may be found afterwards. (On one CPU: threads stay where they are.)
 */
#include "storm.h"

static struct counters *c;

/* The upper half is the lower one, inverted. */
#define FORMED(width, half)                                                                        \
	static uint##width##_t formed_##width(uint64_t any)                                        \
	{                                                                                          \
		const uint64_t low = any & (((uint64_t)1 << half) - 1);                            \
		const uint64_t high = ~any & (((uint64_t)1 << half) - 1);                          \
                                                                                                   \
		return (uint##width##_t)(high << half | low);                                      \
	}
FORMED(8, 4)
FORMED(16, 8)
FORMED(32, 16)
FORMED(64, 32)

#define READ_WRITE(width)                                                                          \
	{                                                                                          \
		const uint##width##_t found = this_cpu_read(c->v##width);                          \
                                                                                                   \
		side->bad += found != formed_##width(found);                                       \
		this_cpu_write(c->v##width, formed_##width(next_random(side)));                    \
	}

static void step_whole(struct side *side)
{
	EACH_WIDTH(READ_WRITE)
}

#define FORM_ALL(width)                                                                            \
	cpu_alloc_for_each (i)                                                                     \
		CPU_PTR(c, i)->v##width = formed_##width(0);
#define OK_FORMED(width)                                                                           \
	cpu_alloc_for_each (i)                                                                     \
		wrong += CPU_PTR(c, i)->v##width != formed_##width(CPU_PTR(c, i)->v##width);

static void whole(void)
{
	uint64_t wrong = 0;
	struct side all;

	c = CPU_ALLOC(struct counters, GFP_KERNEL | __GFP_ZERO);
	EACH_WIDTH(FORM_ALL)
	all = storm_run(&(struct storm){.name = "read, write", .step = step_whole});
	EACH_WIDTH(OK_FORMED)
	ok(all.bad == 0, "read: never a value that nobody wrote");
	ok(wrong == 0, "write: nor is there one in the end");
	ok(cpu_sum(c->after8) == 0 && cpu_sum(c->after64) == 0, "write: neighbours untouched");
	CPU_FREE(c);
}

#define MOST_WORKERS 64

/* What a thread and its handler have to tell each other. */
static struct letter {
	volatile uint64_t writing, found, wrote;
} letters[MOST_WORKERS][WIDTHS];
static struct counters *fields; /* one for each worker */

/*
 * The thread's values are even, its handler's odd. It is interrupted once at most
 * before it looks: so if it was interrupted, what is there now will not change.
 */
#define WRITE_ALONE(width)                                                                         \
	{                                                                                          \
		struct letter *letter = &letters[side->number][W##width];                          \
		uint##width##_t *field = &fields[side->number].v##width;                           \
                                                                                                   \
		if (side->handler) {                                                               \
			letter->found = this_cpu_read(*field);                                     \
			letter->wrote = (uint##width##_t)(next_random(side) | 1);                  \
			this_cpu_write(*field, (uint##width##_t)letter->wrote);                    \
		} else {                                                                           \
			const uint##width##_t value = (uint##width##_t)(letter->writing + 2);      \
			const bool before = storm_was_interrupted();                               \
			uint##width##_t seen;                                                      \
			bool amid;                                                                 \
                                                                                                   \
			letter->writing = value;                                                   \
			this_cpu_write(*field, value);                                             \
			seen = this_cpu_read(*field);                                              \
			amid = storm_was_interrupted() && !before;                                 \
			if (amid)                                                                  \
				seen = this_cpu_read(*field);                                      \
			side->bad +=                                                               \
				seen != (amid && letter->found == value ? letter->wrote : value);  \
		}                                                                                  \
	}

static void step_alone(struct side *side)
{
	EACH_WIDTH(WRITE_ALONE)
}

static void one_step(const struct mode *mode)
{
	struct side all;

	if (mode->cid) {
		skip("write: in one step", "a concurrency id may change while the thread stays");
		return;
	}
	memset(letters, 0, sizeof(letters));
	fields = CPU_ALLOC_ARRAY(struct counters, MOST_WORKERS, GFP_KERNEL | __GFP_ZERO);
	all = storm_run(&(struct storm){.name = "write alone", .step = step_alone, .pinned = true});
	ok(all.bad == 0, "write: once, before the handler or after it");
	CPU_FREE_ARRAY(fields, MOST_WORKERS);
}

int main(int argc, char **argv)
{
	const struct mode mode = storm_mode(argc, argv);

	ok_path(&mode);
	whole();
	one_step(&mode);
	return tap_done();
}
