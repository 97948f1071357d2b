/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Misuse of objects that are in a magazine, or came from one: each is reported with
 * its reason, counted, and changes nothing; by whomever.
 *
 *	offset	0	24	48	72	96	...	960
 *		live	live	freed	live	live	...		all were popped here
 *
 * The child prints the message that it expects; its standard error is compared
 * with that.
 */
#include "crowd.h"

#define OBJECTS 40    /* enough that not all lie where a refill has put them */
#define LARGE OBJECTS /* one more, of 400 bytes */

/* Who makes the mistake. */
enum culprit { SELF, ELSEWHERE, THREAD, STRAY, HANDLER, CULPRITS };

static const char *const culprit_names[] = {
	[SELF] = "at once",	[ELSEWHERE] = "on another CPU", [THREAD] = "by another thread",
	[STRAY] = "by a stray", [HANDLER] = "in a handler",
};

/* cpu_free(object @n + @offset, @size), once object 2 has been freed. */
static const struct misuse {
	const char *name;
	int n;
	ptrdiff_t offset;
	size_t size;
	const char *reason;
} misuses[] = {
	{"freed twice", 2, 0, 24, "double free"},
	{"freed twice, other size", 2, 0, 8, "double free"},
	{"freed twice, as a large one", 2, 0, 400, "double free"},
	{"interior pointer", 1, 4, 24, "interior pointer"},
	{"interior pointer, to the end of it", 1, 8, 16, "interior pointer"},
	{"interior pointer, large", 1, 4, 400, "interior pointer"},
	{"too short", 3, 0, 20, "wrong size: the object's bytes are 24"},
	{"too long", 3, 0, 25, "wrong size: the object's bytes are 24"},
	{"too long for a magazine", 3, 0, 400, "wrong size: the object's bytes are 24"},
	{"size 0", 3, 0, 0, "wrong size: the object's bytes are 24"},
	{"size 2^32 + 24", 3, 0, ((size_t)1 << 32) + 24, "wrong size: the object's bytes are 24"},
	{"size 2^64 - 1", 3, 0, SIZE_MAX, "wrong size: the object's bytes are 24"},
	{"misaligned pointer", 3, 2, 24, "misaligned pointer"},
	{"a large one as a small one", LARGE, 0, 24, "wrong size: the object's bytes are 400"},
	{"a large one, too long", LARGE, 0, 404, "wrong size: the object's bytes are 400"},
	{"interior pointer to a large one", LARGE, 4, 400, "interior pointer"},
	{"the same, as a small one", LARGE, 12, 24, "interior pointer"},
	{"an instance", 3, 2 * (ptrdiff_t)CPU_ALLOC_STRIDE, 24, "pointer to the instance of CPU 0"},
	{"an instance for strays", 3, (ptrdiff_t)CPU_ALLOC_STRIDE, 24,
	 "pointer to the instance for strays"},
	{"behind all that there was", 0, 32768, 24, "not an object"},
	{"behind the area", 0, 16 << 20, 24, "not a CPU pointer"},
};

static char *object[OBJECTS + 1], *fresh[OBJECTS];
static const struct misuse *current;
static enum culprit culprit;

static void err(void)
{
	cpu_free(object[current->n] + current->offset, current->size);
}

static void *err_in_thread(void *unused)
{
	if (culprit == STRAY && !make_stray())
		must(strncmp(cpu_alloc_path(), "rseq", 4) != 0);
	err();
	return unused;
}

static void err_in_handler(int number)
{
	(void)number;
	err();
}

static void let_err(void)
{
	switch (culprit) {
	case ELSEWHERE:
		must(pin(0, allowed_cpu(1)));
		err();
		must(pin(0, allowed_cpu(0)));
		break;
	case THREAD:
	case STRAY:
		in_thread(err_in_thread, NULL);
		break;
	case HANDLER:
		signal(SIGUSR1, err_in_handler);
		raise(SIGUSR1);
		break;
	default:
		err();
	}
}

/* From the map, by refills; then once more, from where they went when they were freed. */
static void make_objects(void)
{
	must((object[LARGE] = cpu_alloc(400, GFP_KERNEL, 4)));
	for (int again = 0; again < 2; again++) {
		for (int n = 0; n < OBJECTS; n++)
			must((object[n] = cpu_alloc(24, GFP_KERNEL, 8)));
		for (int n = 0; n < OBJECTS && !again; n++)
			cpu_free(object[n], 24);
	}
	for (int n = 0; n < OBJECTS; n++)
		fill_instances(object[n], n, 24);
	fill_instances(object[LARGE], LARGE, 400);
	cpu_free(object[2], 24);
}

/* What there was is as it was, and the freed one is handed out once. */
static void must_be_as_before(void)
{
	for (int n = 0; n < OBJECTS; n++)
		must(n == 2 || instances_hold(object[n], n, 24));
	object[2] = NULL;
	for (int n = 0; n < OBJECTS; n++) {
		must((fresh[n] = cpu_alloc(24, GFP_KERNEL, 8)));
		for (int k = 0; k < OBJECTS; k++)
			must(object[k] != fresh[n] && (k >= n || fresh[k] != fresh[n]));
		fill_instances(fresh[n], 99, 24);
	}
	for (int n = 0; n < OBJECTS; n++) {
		must(n == 2 || instances_hold(object[n], n, 24));
		cpu_free(object[n], 24);
	}
	must(instances_hold(object[LARGE], LARGE, 400));
	cpu_free(object[LARGE], 400);
	must(stats_now().misuses == 1 && stats_now().objects == OBJECTS);
}

static int misuse(const void *argument)
{
	struct cpu_alloc_stats before;

	current = argument;
	must(pin(0, allowed_cpu(0)));
	make_objects();
	before = stats_now();
	printf("cpu_alloc: cpu_free(0x%" PRIxPTR ", %zu): %s\n",
	       (uintptr_t)object[current->n] + (uintptr_t)current->offset, current->size,
	       current->reason);
	fflush(stdout);
	errno = ENOTTY;
	let_err();
	must(errno == ENOTTY || culprit == ELSEWHERE);
	must_change(&before, "misuses");
	must(stats_now().misuses == 1);
	must_be_as_before();
	return 0;
}

static void try_all(void)
{
	const size_t count = sizeof(misuses) / sizeof(*misuses);
	bool good = true;

	for (size_t n = 0; n < count; n++) {
		const struct outcome o = run_child(misuse, &misuses[n]);
		const bool right = exited(&o, 0) && strcmp(o.out, o.err) == 0;

		if (!right) {
			diag("%s, %s", misuses[n].name, culprit_names[culprit]);
			diag_outcome(&o);
		}
		good &= right;
	}
	ok(good, "%zu kinds of misuse, %s", count, culprit_names[culprit]);
}

int main(int argc, char **argv)
{
	const struct mode mode = mode_of(argc, argv);

	ok_path(&mode);
	for (culprit = SELF; culprit < CULPRITS; culprit++)
		if (culprit == ELSEWHERE && allowed_cpu(1) < 0)
			skip("on another CPU", "there is one only");
		else
			try_all();
	return tap_done();
}
