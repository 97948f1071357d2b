/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Kernels on which critical sections are not atomic: which they are, and that a
 * process which finds itself on one of them uses none, from the start.
 *
 * The decision is made while the program is loaded. So it runs itself with the
 * variable that makes uname(), as the library sees it, name another machine.
 */
#include <sys/utsname.h>

#include "modes.h"
#include "rseq.h"

#define VARIABLE "TEST_UNAME" /* MACHINE RELEASE */

/* The linker sends all calls of uname() here. */
int __real_uname(struct utsname *system);
int __wrap_uname(struct utsname *system);

int __wrap_uname(struct utsname *system)
{
	const char *lie = getenv(VARIABLE);
	const int status = __real_uname(system);

	if (lie)
		sscanf(lie, "%64s %64s", system->machine, system->release);
	return status;
}

static const struct {
	const char *release;
	bool broken;
} releases[] = {
	{"6.18.0", false},
	{"6.18.9", false},
	{"6.18.44-arm64", false},
	{"6.19.0", true},
	{"6.19", true},
	{"6.19-rc3", true},
	{"6.19.0-rc1+", true},
	{"6.19.12-arm64", true},
	{"6.20.1", true},
	{"7.0", true},
	{"7.0.0-rc2", true},
	{"7.0.1", true},
	{"7.0.9", true},
	{"7.0.13", true},
	{"7.0.13-2-arm64", true},
	{"7.0.14", false},
	{"7.0.14-1", false},
	{"7.0.130", false},
	{"7.1", false},
	{"7.1.0", false},
	{"7.10.1", false},
	{"70.0.1", false},
	{"8.0.1", false},
	{"16.19.1", false},
	{"5.10.0-8-arm64", false},
	{"4.19.0", false},
	{"6.1.0-56-arm64", false},
	{"6.2.19", false},
	{"", false},
	{"garbage", false},
	{"x6.19.1", false},
};

static void judged(void)
{
	for (size_t n = 0; n < sizeof(releases) / sizeof(*releases); n++)
		ok(rseq_broken_kernel(releases[n].release) == releases[n].broken,
		   "aarch64 kernel \"%s\" is %s", releases[n].release,
		   releases[n].broken ? "broken" : "fine");
}

/* What a process does: every operation goes by atomic instructions, and is right. */
static int without_sections(void)
{
	uint64_t *p = CPU_ALLOC(uint64_t, GFP_KERNEL | __GFP_ZERO);

	must(strncmp(cpu_alloc_path(), "atomic", 6) == 0 && path_says("kernel"));
	must(cpu_alloc_thread_int(cpu_alloc_known_offset) < 0);
	must(pin(0, allowed_cpu(0)));
	this_cpu_add(*p, 5);
	must(*CPU_PTR(p, allowed_cpu(0)) == 5 && this_cpu_add_return(*p, 2) == 7);
	must(cpu_sum(*p) == 7 && cpu_alloc_index() == allowed_cpu(0));
	return 0;
}

static int with_sections(void)
{
	must(CPU_ALLOC(int, GFP_KERNEL));
	must(strncmp(cpu_alloc_path(), "rseq", 4) == 0);
	must(cpu_alloc_thread_int(cpu_alloc_known_offset) >= 0);
	return 0;
}

static void ok_start(const char *value, const char *command, const char *name)
{
	const struct start start = {VARIABLE, value, NULL, command};

	ok_child(name, exec_start, &start);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return strcmp(argv[1], "without") == 0 ? without_sections() : with_sections();
	judged();
	if (!CPU_ALLOC_SECTIONS || !kernel_has_rseq()) {
		skip("a process on a broken kernel", "no restartable sequences here");
		return tap_done();
	}
	ok_start("aarch64 6.19.3", "without", "aarch64, 6.19.3: no sections in the whole process");
	ok_start("aarch64 7.0.13-arm64", "without", "aarch64, 7.0.13: none either");
	ok_start("aarch64 7.0.14", "with", "aarch64, 7.0.14: sections");
	ok_start("aarch64 6.18.9", "with", "aarch64, 6.18.9: sections");
#ifdef __aarch64__
	ok_start("armv8l 6.19.3", "without", "6.19.3 under another name: none");
#else
	ok_start("x86_64 6.19.3", "with", "x86_64, 6.19.3: sections");
#endif
	return tap_done();
}
