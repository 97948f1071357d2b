/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which tests run, and how they are told, see ktap.h. */
#include "ktap.h"

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

static char *run = "tests";
module_param(run, charp, 0444);
MODULE_PARM_DESC(run, "tests, packing, misuse, storm, leak, flood, failures, or benchmark");

static size_t count(const struct ktap_test *test)
{
	size_t n = 0;

	while (test[n].name)
		n++;
	return n;
}

/* A test is good if it says so, and has left nothing behind. Returns how many are not. */
static size_t run_tests(const struct ktap_test *test, size_t *number)
{
	size_t failed = 0;

	for (; test->name; test++) {
		const u64 objects = stats_now().objects;
		const bool good = test->run() && stats_now().objects == objects;

		pr_info("%sok %zu %s\n", good ? "" : "not ", ++*number, test->name);
		failed += !good;
	}
	return failed;
}

/* Tests of some files, up to a NULL. 0, or -EINVAL. */
static int run_files(const struct ktap_test *const *files)
{
	size_t number = 0, tests = 0, failed = 0;

	for (size_t i = 0; files[i]; i++)
		tests += count(files[i]);
	pr_info("KTAP version 1\n1..%zu\n", tests);
	for (size_t i = 0; files[i]; i++)
		failed += run_tests(files[i], &number);
	return failed ? -EINVAL : 0;
}

/* What run= may be: files of tests, or something else to do. */
static const struct {
	const char *name;
	const struct ktap_test *files[5]; /* and a NULL */
	int (*start)(void);
} runs[] = {
	{"tests", {basic_tests, context_tests, storm_tests, exhaustion_tests}},
	{"packing", {packing_tests}},
	{"misuse", {misuse_tests}},
	{"storm", .start = storm_start},
	{"leak", .start = leak},
	{"flood", .start = flood},
	{"failures", .start = fail_often},
	{"benchmark", .start = benchmark},
};

static int __init test_init(void)
{
	for (size_t n = 0; n < ARRAY_SIZE(runs); n++)
		if (!strcmp(run, runs[n].name))
			return runs[n].start ? runs[n].start() : run_files(runs[n].files);
	pr_err("cpu_alloc_test: run=%s: no such run\n", run);
	return -EINVAL;
}

static void __exit test_exit(void)
{
	if (!strcmp(run, "storm"))
		pr_info("KTAP version 1\n1..1\n%sok 1 a storm until unloaded\n",
			storm_stop() ? "" : "not ");
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Tests and benchmark of cpu_alloc");
MODULE_LICENSE("Dual MIT/GPL");
