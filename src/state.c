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
#include <pthread.h>
#include <string.h>

#define FIRST_COMMIT ((size_t)64 << 10)

struct state cpu_alloc_state;

static struct state *const state = &cpu_alloc_state;

/* The first trouble is the one that tells why. */
static bool failed(const char *what, size_t bytes, const char *of)
{
	if (!state->trouble.what)
		state->trouble = (struct trouble){what, of, bytes, errno};
	return false;
}

struct trouble state_take_trouble(void)
{
	const struct trouble trouble = state->trouble;

	state->trouble.what = NULL;
	return trouble;
}

void state_report(const struct trouble *trouble)
{
	struct report report;

	if (!trouble->what)
		return;
	report_begin(&report);
	report_string(&report, trouble->what);
	if (trouble->of) {
		report_size(&report, trouble->bytes);
		report_string(&report, trouble->of);
	}
	report_string(&report, ": ");
	report_string(&report, strerror(trouble->error));
	report_failure(&report);
}

/* Options. */

/* Returns whether concurrency ids are asked for in vain. */
static bool apply_options(void)
{
	const struct options *options = &state->options;
	const bool decided = index_decide(!options->rseq_off, options->cid);

	report_misuse_aborts(options->abort_on_error);
	state->cid = options->cid && decided;
	return !decided;
}

static void report_no_cid(void)
{
	struct report report;

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
	if (apply_options())
		report_no_cid();
}

int cpu_alloc_setup(const char *options)
{
	bool no_cid = false;
	int error = 0;

	if (!options || !options_are_good(options)) /* reports, hence without the lock */
		error = EINVAL;
	if (!lock_take(&state->lock)) {
		error = EAGAIN;
	} else {
		state_know_options();
		if (state->in_use) {
			error = EBUSY;
		} else if (!error) {
			options_from_call(&state->options, options);
			no_cid = apply_options();
		}
		lock_drop(&state->lock);
	}
	if (no_cid)
		report_no_cid();
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

/*
 * fork(): nobody else is in the middle of something; the child goes on with its copy.
 * Memory is not copied in one moment, so magazines, that work without the lock, are
 * emptied before, and closed meanwhile; in copies their memory is clear. In a handler
 * that interrupted this thread with a lock in its hands there is nothing to wait for:
 * in the child too it goes on where it was.
 */

static _Thread_local struct {
	bool trim_lock, lock, closed;
} for_fork __attribute__((tls_model("initial-exec")));

static bool take_for_fork(struct lock *lock)
{
	return !lock_is_mine(lock) && lock_take(lock);
}

static void before_fork(void)
{
	for_fork.trim_lock = !lock_is_mine(&state->lock) && take_for_fork(&state->trim_lock);
	for_fork.lock = take_for_fork(&state->lock);
	for_fork.closed = for_fork.lock && caches_close();
	if (for_fork.closed)
		caches_drain();
}

static void drop_after_fork(void)
{
	if (for_fork.lock)
		lock_drop(&state->lock);
	if (for_fork.trim_lock)
		lock_drop(&state->trim_lock);
}

static void after_fork_in_parent(void)
{
	if (for_fork.closed)
		caches_open();
	drop_after_fork();
}

static void after_fork_in_child(void)
{
	if (for_fork.lock)
		lock_renew(&state->lock);
	if (for_fork.trim_lock)
		lock_renew(&state->trim_lock);
	drop_after_fork();
}

static bool handle_fork(void)
{
	static bool handled;

	if (handled)
		return true;
	errno = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	handled = errno == 0;
	return handled || failed("cannot handle fork()", 0, NULL);
}

/* Copies that no handler of fork() puts in order shall know that they are. */
static void watch_copies(void)
{
	const size_t page = os_page_size();
	uint32_t *whole = os_reserve(NULL, page);

	if (!whole)
		return;
	if (os_commit(whole, page, false) && os_clear_in_copies(whole, page)) {
		lock_watch(&state->lock, &whole[0], caches_forget);
		lock_watch(&state->trim_lock, &whole[1], NULL);
	} else {
		os_unreserve(whole, page);
	}
}

/* From index.c, before all constructors of the program. Nobody else is here yet. */
void index_at_load(void)
{
	watch_copies();
	handle_fork(); /* once more at the first allocation, if it failed */
	state_know_options();
}

/* Memory. */

static bool reserve_areas(void)
{
	static short node[CPUS_MAX]; /* under the lock; too much for a small stack */
	const size_t span = (size_t)(state->nr + 2) * CPU_ALLOC_STRIDE;

	if (state->nr > CPUS_MAX) {
		errno = E2BIG;
		return failed("cannot have areas for so many CPUs", 0, NULL);
	}
	/* One node needs no advice; concurrency ids have none; simulated CPUs neither. */
	if (state->cid || cpus_nodes(state->nr, node) < 2)
		memset(node, -1, sizeof(node));
	return areas_reserve(&state->areas, state->nr, state->options.percpu, node,
			     state->options.thp) ||
	       failed("cannot reserve ", span, " of address space");
}

/*
 * Our own memory, in one mapping. All of it comes as it is touched.
 *
 *	| map | pages | pending bits | use of indices | states |	| depot | magazines |
 *
 * Magazines are apart: where there is no room for them it goes without. States are writable
 * as far as the areas are, and readable everywhere: whoever frees looks at what a pointer
 * leads to before anything else is known of it.
 */
static bool map_own_memory(void)
{
	const size_t page = os_page_size();
	const uint32_t units = (uint32_t)(state->areas.limit / CPU_ALLOC_UNIT);
	const size_t map_bytes = map_memory_bytes(units); /* a multiple of a node's 4 bytes */
	const size_t pages_at = map_bytes;
	const size_t pending_at =
		(pages_at + state->areas.limit / page * sizeof(struct page) + 7) & ~(size_t)7;
	const size_t use_at = pending_at + objects_pending_bytes(units);
	const size_t states_at = os_round_to_page(use_at + caches_bytes(state->nr));
	char *own;

	if (page / CPU_ALLOC_UNIT > UINT16_MAX) { /* struct page counts units in 16 bits */
		errno = ENOTSUP;
		return failed("cannot work with pages of ", page, "");
	}
	state->own_bytes = states_at + os_round_to_page(objects_state_bytes(units));
	state->own = own = os_reserve(NULL, state->own_bytes);
	if (!own || !os_commit(own, states_at, os_locks_memory()) ||
	    !os_show(own + states_at, state->own_bytes - states_at))
		return failed("cannot map ", state->own_bytes, " of metadata");
	os_huge_pages(own, state->own_bytes, false);
	map_init(&state->map, own, units);
	state->pages = (struct pages){
		.page = (void *)(own + pages_at),
		.units_per_page = (uint32_t)(page / CPU_ALLOC_UNIT),
	};
	objects_init(&state->objects, own + states_at, own + pending_at, units);
	caches_init((void *)(own + use_at));
	return true;
}

/* The states of so much of an area can be written. */
static bool commit_states(size_t bytes)
{
	char *states = (char *)state->objects.state;
	const size_t have = os_round_to_page(
		objects_state_bytes((uint32_t)(state->areas.committed / CPU_ALLOC_UNIT)));
	const size_t want =
		os_round_to_page(objects_state_bytes((uint32_t)(bytes / CPU_ALLOC_UNIT)));

	return want == have || os_commit(states + have, want - have, os_locks_memory());
}

static bool commit_both(size_t bytes)
{
	return commit_states(bytes) && areas_commit(&state->areas, bytes);
}

/* Smaller steps would cost more system calls; larger ones commit what nobody needs. */
static bool commit(size_t wanted)
{
	const size_t limit = state->areas.limit;
	size_t step = 2 * state->areas.committed;

	wanted = os_round_to_page(wanted);
	if (step < FIRST_COMMIT)
		step = FIRST_COMMIT;
	if (step < wanted)
		step = wanted;
	if (step > limit)
		step = limit;
	if (!commit_both(step) && (step == wanted || !commit_both(wanted)))
		return failed("cannot make ", wanted, " of each area writable");
	map_grow(&state->map, (uint32_t)(state->areas.committed / CPU_ALLOC_UNIT));
	return true;
}

static void map_magazines(void)
{
	const size_t bytes = (size_t)(state->nr - DEPOT) * MAGAZINES_STRIDE;
	char *memory = caches_are_possible() ? os_reserve(NULL, bytes) : NULL;

	if (!memory)
		return;
	if (os_commit(memory, bytes, os_locks_memory()) &&
	    os_clear_in_copies(memory + MAGAZINES_STRIDE, bytes - MAGAZINES_STRIDE)) {
		os_huge_pages(memory, bytes, false);
		state->own_bytes += bytes;
		caches_start(memory);
	} else {
		os_unreserve(memory, bytes);
	}
}

static void tear_down(void)
{
	if (state->own)
		os_unreserve(state->own, state->own_bytes);
	if (state->areas.base)
		areas_unreserve(&state->areas);
	state->areas = (struct areas){0};
	state->map = (struct map){0};
	state->objects = (struct objects){0};
	state->caches = (struct caches){0};
	state->own = NULL;
	state->own_bytes = 0;
}

bool state_set_up(void)
{
	const bool in_use = state->in_use;

	if (state->ready)
		return true;
	state_use();
	if (handle_fork() && reserve_areas() && map_own_memory() && commit(os_page_size())) {
		__atomic_store_n(&state->ready, true, __ATOMIC_RELEASE);
		map_magazines();
		return true;
	}
	tear_down();
	if (!in_use) { /* nobody relies on the number of areas: other options may help */
		state->in_use = false;
		__atomic_store_n(&state->nr, 0, __ATOMIC_RELAXED);
	}
	return false;
}

/* Bytes of each area that @units above the frontier would need. */
static size_t bytes_wanted(uint32_t units, uint32_t order)
{
	const uint32_t mask = (1U << order) - 1;
	const size_t first = ((size_t)state->map.frontier + mask) & ~(size_t)mask;

	return units_to_bytes(first + units);
}

bool state_may_grow(uint32_t units, uint32_t order)
{
	return bytes_wanted(units, order) <= state->areas.limit;
}

bool state_grow(uint32_t units, uint32_t order)
{
	return state_may_grow(units, order) && commit(bytes_wanted(units, order));
}
