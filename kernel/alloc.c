/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * cpu_alloc() and cpu_free(): what may be asked for and from where, clearing, messages.
 * One call, from the top:
 *
 *	cpu_alloc()	check, area_take(), clear, trace
 *	cpu_free()	area_put(), or say what is wrong
 */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include "area.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

/* A size in units, without overflow. */
static u32 units_of(size_t size)
{
	return min_t(size_t, size / CPU_ALLOC_UNIT + !!(size % CPU_ALLOC_UNIT), U32_MAX);
}

/* May this context sleep? Without CONFIG_PREEMPT_COUNT some of it cannot be seen. */
static bool can_sleep(void)
{
	return !in_atomic() && !irqs_disabled() && rcu_preempt_depth() == 0;
}

/* May it sleep, who calls with @gfp? To say so where that cannot be is worth a warning. */
static bool may_sleep(gfp_t gfp)
{
	return (gfp & GFP_KERNEL) == GFP_KERNEL &&
	       !WARN_ONCE(!can_sleep(), "cpu_alloc: GFP_KERNEL where nothing may sleep\n");
}

static bool is_sound(size_t size, size_t align)
{
	return size <= CPU_ALLOC_MAX_SIZE && align <= CPU_ALLOC_MAX_ALIGN &&
	       (align == 0 || is_power_of_2(align));
}

static void clear(const struct area_place *place)
{
	int cpu;

	for_each_possible_cpu (cpu)
		memset(per_cpu_ptr(place->ptr, cpu), 0, place->units * CPU_ALLOC_UNIT);
}

/* @error: that of a call of user space. */
static void __percpu *fail(size_t size, gfp_t gfp, size_t align, bool sleeps, int error)
{
	area_count_failure(error);
	trace_fail(!sleeps, size, align);
	if (!(gfp & __GFP_NOWARN))
		pr_warn_ratelimited("%zu bytes, align %zu: %s\n", size, align,
				    error == -EINVAL   ? "no such size or alignment"
				    : error == -ENOMEM ? "no room"
						       : "no room without sleeping");
	return NULL;
}

void __percpu *cpu_alloc(size_t size, gfp_t gfp, size_t align)
{
	struct area_place place = {.units = units_of(size)};
	/* Who must not wait for a file system must not wait for who does, in grow(), either. */
	const gfp_t allowed = current_gfp_context(gfp);
	bool sleeps;

	if (WARN_ON_ONCE(in_nmi()))
		return NULL;
	if (size == 0)
		return (void __percpu *)(unsigned long)ZERO_SIZE_PTR;
	sleeps = may_sleep(allowed);
	if (!is_sound(size, align))
		return fail(size, gfp, align, sleeps, -EINVAL);
	place.order = align > CPU_ALLOC_UNIT ? ilog2(align / CPU_ALLOC_UNIT) : 0;
	if (sleeps)
		might_alloc(allowed);
	if (!area_take(&place, sleeps))
		return fail(size, gfp, align, sleeps, sleeps ? -ENOMEM : -EAGAIN);
	if (want_init_on_alloc(gfp) && !place.is_fresh)
		clear(&place);
	trace_alloc(_RET_IP_, !sleeps, size, align, (__force void *)place.block, place.offset,
		    place.ptr, place.units * CPU_ALLOC_UNIT, gfp);
	return place.ptr;
}
EXPORT_SYMBOL_GPL(cpu_alloc);

static void report_misuse(const void __percpu *ptr, size_t size, enum area_verdict verdict)
{
	static const char *const reasons[] = {
		[AREA_SIZE] = "wrong size",
		[AREA_INTERIOR] = "interior pointer",
		[AREA_FREED] = "double free",
		[AREA_NO_OBJECT] = "not an object",
		[AREA_MISALIGNED] = "misaligned pointer",
		[AREA_INSTANCE] = "pointer to an instance",
		[AREA_FOREIGN] = "not a CPU pointer",
	};
	static unsigned long reported; /* a bit each */

	WARN(!test_and_set_bit(verdict, &reported), "cpu_alloc: cpu_free(%p, %zu): %s\n",
	     (__force const void *)ptr, size, reasons[verdict]);
}

void cpu_free(void __percpu *ptr, size_t size)
{
	enum area_verdict verdict;

	if (ZERO_OR_NULL_PTR((__force void *)(unsigned long)ptr) || WARN_ON_ONCE(in_nmi()))
		return;
	verdict = area_put(ptr, units_of(size));
	if (verdict != AREA_OK)
		report_misuse(ptr, size, verdict);
}
EXPORT_SYMBOL_GPL(cpu_free);

void cpu_alloc_stats(struct cpu_alloc_stats *stats)
{
	area_stats(stats);
}
EXPORT_SYMBOL_GPL(cpu_alloc_stats);
