/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Setting up: the options at load time, address space and metadata at the first
 * allocation, more memory as the areas fill. And fork().
 */
#include "state.h"
#include "cpu_alloc.h"
#include "cpus.h"
#include "index.h"
#include "os.h"
#include "report.h"

#include <errno.h>
#include <string.h>

#define FIRST_COMMIT ((size_t)64 << 10)

struct state cpu_alloc_state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.trim_lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct state *const state = &cpu_alloc_state;

static size_t round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

/* "cannot ... N bytes of ...: reason". Keeps errno. */
static bool failed(const char *what, size_t bytes, const char *of)
{
	const int error = errno;
	struct report report;

	report_begin(&report);
	report_string(&report, what);
	report_size(&report, bytes);
	report_string(&report, of);
	report_string(&report, strerror(error));
	report_failure(&report);
	errno = error;
	return false;
}

/* Options. */

static void apply_options(void)
{
	struct report report;

	report_misuse_aborts(state->options.abort_on_error);
	if (index_decide(!state->options.rseq_off, state->options.cid))
		return;
	state->options.cid = false;
	report_begin(&report);
	report_string(&report, "index=cid: ");
	report_string(&report, state->options.rseq_off ? "not with rseq=off"
						       : "this system has no concurrency ids");
	report_string(&report, "; index=cpu holds");
	report_failure(&report);
}

void state_know_options(void)
{
	if (state->options_known)
		return;
	state->options_known = true;
	options_from_environment(&state->options);
	apply_options();
}

static void at_load(void)
{
	pthread_mutex_lock(&state->lock);
	state_know_options();
	pthread_mutex_unlock(&state->lock);
}

/*
 * Before all constructors of the program, those of priority 101 in a statically
 * linked one too: the inline functions need the offsets.
 */
__attribute__((section(".init_array.00001"),
	       used)) static void (*const at_load_first)(void) = at_load;

int cpu_alloc_setup(const char *options)
{
	int error = 0;

	pthread_mutex_lock(&state->lock);
	state_know_options();
	if (state->in_use)
		error = EBUSY;
	else if (!options || !options_from_call(&state->options, options))
		error = EINVAL;
	else
		apply_options();
	pthread_mutex_unlock(&state->lock);
	if (error)
		errno = error;
	return error ? -1 : 0;
}

void state_use(void)
{
	if (state->in_use)
		return;
	state_know_options();
	__atomic_store_n(&state->nr, state->options.cpus ? state->options.cpus : cpus_possible(),
			 __ATOMIC_RELAXED);
	state->in_use = true;
}

/* fork(): nobody else is in the middle of something; the child goes on with its copy. */

static void before_fork(void)
{
	pthread_mutex_lock(&state->trim_lock);
	pthread_mutex_lock(&state->lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&state->lock);
	pthread_mutex_unlock(&state->trim_lock);
}

static bool handle_fork(void)
{
	static bool handled;

	if (handled)
		return true;
	errno = pthread_atfork(before_fork, after_fork, after_fork);
	handled = errno == 0;
	return handled || failed("cannot register ", 3, " fork handlers: ");
}

/* Memory. */

static bool reserve_areas(void)
{
	short node[CPUS_MAX];
	const size_t count = (size_t)state->nr;
	const size_t span = (count + 2) * CPU_ALLOC_STRIDE;

	if (count > CPUS_MAX) {
		errno = E2BIG;
		return failed("cannot have areas for ", count, " CPUs: ");
	}
	/* One node needs no advice; concurrency ids have none; simulated CPUs neither. */
	if (state->options.cid || cpus_nodes(state->nr, node) < 2)
		memset(node, -1, sizeof(node));
	return areas_reserve(&state->areas, state->nr, state->options.percpu, node,
			     state->options.thp) ||
	       failed("cannot reserve ", span, " of address space: ");
}

/* The map's memory and the pages' states: one mapping, which comes as it is touched. */
static bool map_own_memory(void)
{
	const size_t page = os_page_size();
	const uint32_t units = (uint32_t)(state->areas.limit / CPU_ALLOC_UNIT);
	const size_t map_bytes = round_up(map_memory_bytes(units), sizeof(void *));
	const size_t pages_bytes = state->areas.limit / page * sizeof(struct page);

	state->own_bytes = round_up(map_bytes + pages_bytes, page);
	state->own = os_reserve(NULL, state->own_bytes);
	if (!state->own || !os_commit(state->own, state->own_bytes))
		return failed("cannot map ", state->own_bytes, " of metadata: ");
	os_huge_pages(state->own, state->own_bytes, false);
	map_init(&state->map, state->own, units);
	state->pages = (struct pages){
		.page = (void *)((char *)state->own + map_bytes),
		.units_per_page = (uint32_t)(page / CPU_ALLOC_UNIT),
	};
	return true;
}

/* Smaller steps would cost more system calls; larger ones commit what nobody needs. */
static bool commit(size_t wanted)
{
	const size_t limit = state->areas.limit;
	size_t step = 2 * state->areas.committed;

	wanted = round_up(wanted, os_page_size());
	if (step < FIRST_COMMIT)
		step = FIRST_COMMIT;
	if (step < wanted)
		step = wanted;
	if (step > limit)
		step = limit;
	if (!areas_commit(&state->areas, step) &&
	    (step == wanted || !areas_commit(&state->areas, wanted)))
		return failed("cannot make ", wanted, " of each area writable: ");
	map_grow(&state->map, (uint32_t)(state->areas.committed / CPU_ALLOC_UNIT));
	return true;
}

static void tear_down(void)
{
	if (state->own)
		os_unreserve(state->own, state->own_bytes);
	areas_unreserve(&state->areas);
	state->areas = (struct areas){0};
	state->map = (struct map){0};
	state->own = NULL;
	state->own_bytes = 0;
}

bool state_set_up(void)
{
	if (state->ready)
		return true;
	state_use();
	if (!handle_fork() || !reserve_areas())
		return false;
	if (!map_own_memory() || !commit(os_page_size())) {
		tear_down();
		return false;
	}
	__atomic_store_n(&state->ready, true, __ATOMIC_RELEASE);
	return true;
}

bool state_grow(uint32_t units, uint32_t order)
{
	const uint32_t mask = (1U << order) - 1;
	const size_t first = ((size_t)state->map.frontier + mask) & ~(size_t)mask;
	const size_t wanted = units_to_bytes(first + units);

	return wanted <= state->areas.limit && commit(wanted);
}
