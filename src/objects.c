/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* States and pending bits, see objects.h. */
#include "objects.h"

#define BITS 64U
#define LARGE_ENTRIES 5 /* of 6 bits: below any live state */

static uint32_t words_for(uint32_t bits)
{
	return (bits + BITS - 1) / BITS;
}

size_t objects_state_bytes(uint32_t units)
{
	return units * sizeof(uint16_t);
}

size_t objects_pending_bytes(uint32_t units)
{
	size_t words = 0;

	for (int level = 0; level < PENDING_LEVELS; level++) {
		units = words_for(units);
		words += units;
	}
	return words * sizeof(uint64_t);
}

void objects_init(struct objects *objects, void *state, void *pending, uint32_t units)
{
	uint64_t *words = pending;
	uint32_t bits = units;

	*objects = (struct objects){.state = state, .units = units};
	for (int level = 0; level < PENDING_LEVELS; level++) {
		bits = words_for(bits);
		objects->pending[level] = words;
		words += bits;
	}
	objects->pending_words = bits;
}

void object_set_shared(struct objects *objects, uint32_t unit, uint32_t units)
{
	if (units <= SMALL_UNITS) {
		object_set(objects, unit, object_state(OWNER_SHARED, units));
		return;
	}
	for (uint32_t n = 0; n < LARGE_ENTRIES; n++)
		object_set(objects, unit + 1 + n, units >> 6 * n & 63);
	object_set(objects, unit, object_state(OWNER_LARGE, 1));
}

uint32_t object_large_units(const struct objects *objects, uint32_t unit)
{
	uint32_t units = 0;

	for (uint32_t n = 0; n < LARGE_ENTRIES && unit + 1 + n < objects->units; n++)
		units |= (object_read(objects, unit + 1 + n) & 63U) << 6 * n;
	return units;
}

void objects_idle(const struct objects *objects, uint32_t start, uint32_t end, size_t page_bytes,
		  void (*drop)(void *context, void *address, size_t bytes))
{
	const uintptr_t mask = ~(uintptr_t)(page_bytes - 1);
	const uintptr_t first = ((uintptr_t)&objects->state[start] + page_bytes - 1) & mask;
	const uintptr_t beyond = (uintptr_t)&objects->state[end] & mask;

	if (first < beyond)
		drop(NULL, (void *)first, beyond - first);
}

static void add_bit(uint64_t *words, uint32_t bit)
{
	__atomic_fetch_or(&words[bit / BITS], 1ULL << bit % BITS, __ATOMIC_SEQ_CST);
}

void pending_add(struct objects *objects, uint32_t unit, uint32_t units)
{
	__atomic_fetch_add(&objects->pending_units, units, __ATOMIC_RELAXED);
	__atomic_fetch_add(&objects->pending_objects, 1, __ATOMIC_RELAXED);
	for (int level = 0; level < PENDING_LEVELS; level++, unit /= BITS)
		add_bit(objects->pending[level], unit);
}

/* Take one bit out of a word; false if there is none. */
static bool take_bit(uint64_t *word, uint32_t *bit)
{
	const uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

	if (now == 0)
		return false;
	*bit = (uint32_t)__builtin_ctzll(now);
	__atomic_fetch_and(word, ~(1ULL << *bit), __ATOMIC_SEQ_CST);
	return true;
}

/*
 * A summary's bit is cleared before what is below it is looked at: who adds a bit
 * there later sets the summary's again. And put back if something stays below.
 */
static uint32_t take_below(struct objects *objects, int level, uint32_t w, uint32_t *units,
			   uint32_t most)
{
	uint64_t *word = &objects->pending[level][w];
	uint32_t n = 0, bit;

	while (n < most && take_bit(word, &bit)) {
		const uint32_t below = w * BITS + bit;

		if (level == 0)
			units[n++] = below;
		else
			n += take_below(objects, level - 1, below, units + n, most - n);
		if (level > 0 && n == most)
			add_bit(objects->pending[level], below);
	}
	return n;
}

uint32_t pending_take(struct objects *objects, uint32_t *units, uint32_t most)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < objects->pending_words && n < most; w++)
		n += take_below(objects, PENDING_LEVELS - 1, w, units + n, most - n);
	return n;
}

void pending_forget(struct objects *objects, uint32_t objects_gone, uint64_t units_gone)
{
	__atomic_fetch_sub(&objects->pending_objects, objects_gone, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&objects->pending_units, units_gone, __ATOMIC_RELAXED);
}
