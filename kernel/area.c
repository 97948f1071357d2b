/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The area: blocks, and the map over them, see area.h. */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include "area.h"
#include "trace.h"

#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#define RESERVE_UNITS (BLOCK_UNITS / 4) /* less, and the worker takes a block */

struct block {
	struct rb_node by_address;
	void __percpu *base;
	u32 number, bytes;
	bool leaks; /* when the module is unloaded */
};

static struct {
	raw_spinlock_t lock; /* of all up to grow */
	struct map map;
	struct block *block; /* by number */
	u32 blocks;	     /* that have been taken */
	u32 blocks_wanted;   /* that the worker shall see to */
	u32 fresh;	     /* units from here on were never in use */
	struct rb_root by_address;
	struct cpu_alloc_stats stats; /* counters, peak_bytes; the rest of it is made when read */

	struct mutex grow;	/* one at a time takes a block */
	unsigned long next_try; /* jiffies: not before, since there was no memory */
	struct work_struct work;
	u32 blocks_max;
	u64 bytes;
	void *map_memory;
	u64 own_bytes;
} area;

static unsigned long address_of(const void __percpu *ptr)
{
	return (__force unsigned long)ptr;
}

static u32 first_unit(const struct block *block)
{
	return block->number * BLOCK_PERIOD;
}

static bool is_in_border(u32 unit)
{
	return unit % BLOCK_PERIOD >= BLOCK_UNITS;
}

static struct block *block_of(u32 unit)
{
	return &area.block[unit / BLOCK_PERIOD];
}

static u32 offset_in_block(u32 unit)
{
	return unit % BLOCK_PERIOD * CPU_ALLOC_UNIT;
}

/* Bytes of the area below @unit, borders left out. */
static u64 bytes_below(u32 unit)
{
	return (u64)(unit / BLOCK_PERIOD) * BLOCK_BYTES + min(offset_in_block(unit), BLOCK_BYTES);
}

static u64 used_units(void)
{
	return area.map.used_units - (u64)(area.blocks - 1) * BORDER_UNITS;
}

static u64 committed_bytes(void)
{
	return min((u64)area.blocks * BLOCK_BYTES, area.bytes);
}

/* Blocks by their address. */

static int compare_address(const void *key, const struct rb_node *node)
{
	const unsigned long address = *(const unsigned long *)key;
	const struct block *block = rb_entry(node, struct block, by_address);
	const unsigned long base = address_of(block->base);

	if (address < base)
		return -1;
	return address - base >= block->bytes;
}

static struct block *block_at(unsigned long address)
{
	struct rb_node *node = rb_find(&address, &area.by_address, compare_address);

	return node ? rb_entry(node, struct block, by_address) : NULL;
}

static bool is_lower(struct rb_node *left, const struct rb_node *right)
{
	return address_of(rb_entry(left, struct block, by_address)->base) <
	       address_of(rb_entry(right, struct block, by_address)->base);
}

/* Growth. */

static u32 next_block_bytes(void)
{
	return min(area.bytes - committed_bytes(), (u64)BLOCK_BYTES);
}

/* @base becomes the next block, of @bytes. */
static void add_block(void __percpu *base, u32 bytes)
{
	struct block *block;
	unsigned long flags;
	u32 first;

	raw_spin_lock_irqsave(&area.lock, flags);
	block = &area.block[area.blocks];
	*block = (struct block){.base = base, .number = area.blocks, .bytes = bytes};
	first = first_unit(block);
	map_grow(&area.map, first + bytes / CPU_ALLOC_UNIT);
	if (first)
		map_take(&area.map, first - BORDER_UNITS, first);
	rb_add(&block->by_address, &area.by_address, is_lower);
	area.blocks++;
	raw_spin_unlock_irqrestore(&area.lock, flags);
}

/*
 * Take a block that has room for @units, if nobody has taken one since there were @blocks.
 * Are there more now?
 */
static bool grow(u32 blocks, u32 units)
{
	void __percpu *base;
	u32 bytes;
	bool grown;

	mutex_lock(&area.grow);
	bytes = next_block_bytes();
	if (area.blocks == blocks && bytes / CPU_ALLOC_UNIT >= units) {
		base = __alloc_percpu_gfp(bytes, CPU_ALLOC_MAX_ALIGN, GFP_KERNEL | __GFP_NOWARN);
		if (base)
			add_block(base, bytes);
		else
			WRITE_ONCE(area.next_try, jiffies + HZ);
	}
	grown = area.blocks > blocks;
	mutex_unlock(&area.grow);
	return grown;
}

static void grow_ahead(struct work_struct *work)
{
	grow(READ_ONCE(area.blocks_wanted) - 1, 1);
}

/* Under the lock. */
static bool is_short(void)
{
	return committed_bytes() / CPU_ALLOC_UNIT - used_units() < RESERVE_UNITS;
}

/* Under the lock. Is there one block more to be had? Then the worker shall know. */
static bool want_block(void)
{
	if (area.blocks == area.blocks_max || time_before(jiffies, READ_ONCE(area.next_try)))
		return false;
	WRITE_ONCE(area.blocks_wanted, area.blocks + 1);
	return true;
}

/* Taking and putting back. */

static void note_use(u32 unit, u32 units)
{
	area.stats.allocs++;
	area.stats.peak_bytes = max(area.stats.peak_bytes, used_units() * CPU_ALLOC_UNIT);
	area.fresh = max(area.fresh, unit + units);
}

/* Of the blocks that there are; their number goes to *@blocks. If short, the worker takes one. */
static bool take(struct area_place *place, bool may_sleep, u32 *blocks)
{
	const struct block *block = NULL;
	unsigned long flags;
	bool more;
	u32 unit;

	raw_spin_lock_irqsave(&area.lock, flags);
	unit = map_alloc(&area.map, place->units, place->order);
	if (unit != MAP_NONE) {
		place->is_fresh = unit >= area.fresh;
		note_use(unit, place->units);
		block = block_of(unit);
	}
	*blocks = area.blocks;
	more = (block ? is_short() : !may_sleep) && want_block();
	raw_spin_unlock_irqrestore(&area.lock, flags);

	if (more)
		queue_work(system_unbound_wq, &area.work);
	if (!block)
		return false;
	place->block = block->base;
	place->offset = offset_in_block(unit);
	place->ptr = block->base + place->offset;
	return true;
}

bool area_take(struct area_place *place, bool may_sleep)
{
	u32 blocks;

	while (!take(place, may_sleep, &blocks))
		if (!may_sleep || !grow(blocks, place->units))
			return false;
	return true;
}

/* Under the lock. */
static enum area_verdict put(const struct block *block, u32 offset, u32 units)
{
	if (offset % CPU_ALLOC_UNIT)
		return AREA_MISALIGNED;
	switch (map_free(&area.map, first_unit(block) + offset / CPU_ALLOC_UNIT, units)) {
	case MAP_OBJECT:
		area.stats.frees++;
		return AREA_OK;
	case MAP_SIZE:
		return AREA_SIZE;
	case MAP_INTERIOR:
		return AREA_INTERIOR;
	case MAP_FREED:
		return AREA_FREED;
	case MAP_FREE:
	case MAP_OUTSIDE:
		break;
	}
	return AREA_NO_OBJECT;
}

/* It points into no block. Does it point to an instance? */
static enum area_verdict judge_foreign(unsigned long address)
{
	bool found = false;
	int cpu;

	for_each_possible_cpu (cpu) {
		const unsigned long offset = (unsigned long)per_cpu_ptr((void __percpu *)NULL, cpu);
		unsigned long flags;

		raw_spin_lock_irqsave(&area.lock, flags);
		found = found || block_at(address - offset);
		raw_spin_unlock_irqrestore(&area.lock, flags);
	}
	return found ? AREA_INSTANCE : AREA_FOREIGN;
}

enum area_verdict area_put(void __percpu *ptr, u32 units)
{
	const unsigned long address = address_of(ptr);
	enum area_verdict verdict = AREA_FOREIGN;
	const struct block *block;
	unsigned long flags;

	raw_spin_lock_irqsave(&area.lock, flags);
	block = block_at(address);
	if (block) {
		const u32 offset = address - address_of(block->base);

		verdict = put(block, offset, units);
		if (verdict == AREA_OK) /* here: before it can be allocated again */
			trace_free((__force void *)block->base, offset, ptr);
	}
	if (verdict != AREA_OK)
		area.stats.misuses++;
	raw_spin_unlock_irqrestore(&area.lock, flags);
	return block ? verdict : judge_foreign(address);
}

/* Questions. */

void area_count_failure(int error)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&area.lock, flags);
	if (error == -EINVAL)
		area.stats.failed_einval++;
	else if (error == -ENOMEM)
		area.stats.failed_enomem++;
	else
		area.stats.failed_eagain++;
	raw_spin_unlock_irqrestore(&area.lock, flags);
}

void area_stats(struct cpu_alloc_stats *stats)
{
	unsigned long flags;
	u32 largest;

	raw_spin_lock_irqsave(&area.lock, flags);
	*stats = area.stats;
	stats->cpu_bytes = used_units() * CPU_ALLOC_UNIT;
	stats->objects = area.map.objects - (area.blocks - 1);
	stats->top_bytes = bytes_below(area.fresh);
	stats->committed_bytes = committed_bytes();
	largest = map_largest_free(&area.map) * CPU_ALLOC_UNIT;
	stats->largest_free_bytes = max(largest, next_block_bytes());
	raw_spin_unlock_irqrestore(&area.lock, flags);

	stats->area_bytes = area.bytes;
	stats->own_bytes = area.own_bytes;
}

bool area_draw(u64 row, char text[AREA_ROW_CELLS + 1])
{
	const u32 rows = BLOCK_BYTES / AREA_ROW_BYTES; /* of a block */
	const u32 units = AREA_ROW_BYTES / CPU_ALLOC_UNIT;
	const u32 start = row / rows * BLOCK_PERIOD + row % rows * units;
	unsigned long flags;
	bool is_used;

	if (row >= area.bytes / AREA_ROW_BYTES)
		return false;
	raw_spin_lock_irqsave(&area.lock, flags);
	is_used = start < area.map.frontier;
	if (is_used)
		map_draw(&area.map, (struct map_range){start, start + units}, text, AREA_ROW_CELLS);
	raw_spin_unlock_irqrestore(&area.lock, flags);
	return is_used;
}

/* Begin and end. */

static void area_free(void)
{
	kvfree(area.block);
	vfree(area.map_memory);
}

int area_init(u64 bytes)
{
	u32 units_max;

	BUILD_BUG_ON(BLOCK_BYTES > PCPU_MIN_UNIT_SIZE || CPU_ALLOC_MAX_ALIGN > PAGE_SIZE);
	BUILD_BUG_ON(ilog2(BORDER_UNITS) >= MAP_ORDERS);

	raw_spin_lock_init(&area.lock);
	mutex_init(&area.grow);
	INIT_WORK(&area.work, grow_ahead);
	area.by_address = RB_ROOT;
	area.bytes = bytes;
	area.blocks_max = DIV_ROUND_UP_ULL(bytes, BLOCK_BYTES);
	units_max = area.blocks_max * BLOCK_PERIOD;
	area.own_bytes = map_memory_bytes(units_max) + area.blocks_max * sizeof(*area.block);
	area.map_memory = vzalloc(map_memory_bytes(units_max));
	area.block = kvcalloc(area.blocks_max, sizeof(*area.block), GFP_KERNEL);
	if (area.map_memory && area.block) {
		map_init(&area.map, area.map_memory, units_max);
		area.next_try = jiffies;
		if (grow(0, 1))
			return 0;
	}
	pr_err("percpu=%llu: no memory for it\n", bytes);
	area_free();
	return -ENOMEM;
}

/* Their owners are gone, but may have left something that still writes: their blocks stay. */
static void report_leaks(void)
{
	u32 unit, units;

	for (unit = map_next_object(&area.map, 0, &units); unit != MAP_NONE;
	     unit = map_next_object(&area.map, unit + units, &units)) {
		struct block *block = block_of(unit);

		if (is_in_border(unit))
			continue;
		pr_warn("leaked: %u bytes at %p, offset %llu\n", units * CPU_ALLOC_UNIT,
			(__force void *)(block->base + offset_in_block(unit)), bytes_below(unit));
		block->leaks = true;
		cond_resched();
	}
}

void area_exit(void)
{
	u32 number;

	cancel_work_sync(&area.work);
	report_leaks();
	for (number = 0; number < area.blocks; number++)
		if (!area.block[number].leaks)
			free_percpu(area.block[number].base);
	area_free();
}
