/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Options, from the environment and by cpu_alloc_setup(): good, bad, in which order. */
#include <sched.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "helpers.h"

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#define CID_END 28 /* bytes of struct rseq up to the end of mm_cid */

#define DEFAULT_AREA (16UL << 20)
#define AREA_MAX (CPU_ALLOC_STRIDE - (1UL << 20))

static const struct good {
	const char *options;
	size_t area_bytes;
} goods[] = {
	{"", DEFAULT_AREA},
	{"percpu=4096", 4096},
	{"percpu=4K", 4096},
	{"percpu=4097", 8192},
	{"percpu=8191", 8192},
	{"percpu=64k", 65536},
	{"percpu=64K", 65536},
	{"percpu=65536", 65536},
	{"percpu=1m", 1 << 20},
	{"percpu=3M", 3 << 20},
	{"percpu=255M", 255 << 20},
	{"percpu=64K,percpu=128K", 128 << 10},
	{"rseq=off,percpu=64K,on_error=warn,thp=off,index=cpu", 65536},
	{"rseq=auto,percpu=64K,on_error=abort,thp=on,cpus=8", 65536},
};

/* Each is refused, alone and as the last of a list. */
static const char *const bads[] = {
	"percpu=0",
	"percpu=3",
	"percpu=-1",
	"percpu=4095",
	"percpu=3K",
	"percpu=abc",
	"percpu=64q",
	"percpu=64kB",
	"percpu=64K64",
	"percpu=K",
	"percpu=",
	"percpu",
	"percpu=18446744073709551615",
	"percpu=18446744073709551616",
	"percpu=18446744073709617152",
	"percpu=18014398509482048K",
	"percpu=17179869184G",
	"percpu=99999999999999999999999999",
	"percpu=256M",
	"percpu=1G",
	"percpu= 64K",
	"percpu=64K ",
	"percpu=+65536",
	"percpu=4e6",
	"index=x",
	"index=",
	"index=CPU",
	"rseq=maybe",
	"rseq=on",
	"on_error=",
	"on_error=warning",
	"thp=2",
	"thp=",
	"cpus=0",
	"cpus=-1",
	"cpus=5000",
	"cpus=4097",
	"cpus=4K",
	"cpus=x",
	"cpus=",
	"cpus=4294967360",
	"percpus=64K",
	"PERCPU=64K",
	"nonsense",
	"=64K",
	" thp=on",
};

static int show(void)
{
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	must(ptr);
	fill_instances(ptr, 5, 24);
	must(instances_hold(ptr, 5, 24));
	printf("area %" PRIu64 " nr %d\n", stats_now().area_bytes, cpu_alloc_nr());
	return 0;
}

/* A leak checker may not look into such a process: leave without one. */
static int show_secure(void)
{
	int status = getauxval(AT_SECURE) ? show() : CANNOT;

	fflush(stdout);
	_exit(status);
}

/* The child's text: its area, and the CPUs unless told otherwise. */
static bool showed(const struct outcome *o, size_t area_bytes, int nr)
{
	char expected[64];

	snprintf(expected, sizeof(expected), "area %zu nr %d\n", area_bytes, nr);
	return exited(o, 0) && strcmp(o->out, expected) == 0;
}

static int possible; /* CPUs */

static void environment_good(void)
{
	for (size_t n = 0; n < sizeof(goods) / sizeof(*goods); n++) {
		struct outcome o = run_self(goods[n].options, "show");
		int nr = strstr(goods[n].options, "cpus=8") && possible < 8 ? 8 : possible;

		if (!ok(showed(&o, goods[n].area_bytes, nr) && !o.err[0],
			"environment: '%s' is taken", goods[n].options))
			diag_outcome(&o);
	}
}

/* One message, which names the item; the default holds. */
static void environment_bad(void)
{
	for (size_t n = 0; n < sizeof(bads) / sizeof(*bads); n++) {
		struct outcome o = run_self(bads[n], "show");

		if (!ok(showed(&o, DEFAULT_AREA, possible) && line_count(o.err) == 1 &&
				strncmp(o.err, "cpu_alloc: ", 11) == 0 && strstr(o.err, bads[n]),
			"environment: '%s' is reported once, the default holds", bads[n]))
			diag_outcome(&o);
	}
}

/* @items: how many of them are bad. The others are taken. */
static void environment_mixed(const char *options, size_t area_bytes, unsigned int items)
{
	struct outcome o = run_self(options, "show");

	if (!ok(showed(&o, area_bytes, possible) && line_count(o.err) == items,
		"environment: '%s': %u reported, the others taken", options, items))
		diag_outcome(&o);
}

static int setup_good(const void *argument)
{
	const struct good *good = argument;

	must(cpu_alloc_setup(good->options) == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8) && stats_now().area_bytes == good->area_bytes);
	return 0;
}

static int setup_bad(const void *bad)
{
	char options[128];

	snprintf(options, sizeof(options), "percpu=64K,cpus=64,%s", (const char *)bad);
	errno = 0;
	must(cpu_alloc_setup(bad) == -1 && errno == EINVAL);
	errno = 0;
	must(cpu_alloc_setup(options) == -1 && errno == EINVAL);
	return show();
}

static void setup_bads(void)
{
	for (size_t n = 0; n < sizeof(bads) / sizeof(*bads); n++) {
		struct outcome o = run_child(setup_bad, bads[n]);

		if (!ok(showed(&o, DEFAULT_AREA, possible) && line_count(o.err) == 2 &&
				strstr(o.err, bads[n]),
			"setup: '%s' is EINVAL by name, nothing taken", bads[n]))
			diag_outcome(&o);
	}
}

static int limits(const void *unused)
{
	char options[64];

	(void)unused;
	snprintf(options, sizeof(options), "percpu=%zu", AREA_MAX + 1);
	must(cpu_alloc_setup(options) == -1 && errno == EINVAL);
	snprintf(options, sizeof(options), "percpu=%zu", AREA_MAX);
	must(cpu_alloc_setup(options) == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8) && stats_now().area_bytes == AREA_MAX);
	return 0;
}

static int fewer_cpus(const void *unused)
{
	char options[64];

	(void)unused;
	snprintf(options, sizeof(options), "cpus=%d", possible);
	must(cpu_alloc_setup(options) == 0);
	snprintf(options, sizeof(options), "cpus=%d", possible - 1);
	must(cpu_alloc_setup(options) == -1 && errno == EINVAL);
	must(cpu_alloc_nr() == possible);
	return 0;
}

static int call_by_call(const void *unused)
{
	(void)unused;
	must(cpu_alloc_setup("percpu=64K,cpus=8") == 0);
	must(cpu_alloc_setup("percpu=128K") == 0);
	must(cpu_alloc_setup("percpu=256K,thp=5") == -1);
	must(cpu_alloc_setup("") == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8) && stats_now().area_bytes == 128 << 10);
	must(cpu_alloc_nr() >= 8);
	return 0;
}

static int too_late(const void *unused)
{
	(void)unused;
	must(cpu_alloc_setup("percpu=64K") == 0);
	must(cpu_alloc(24, GFP_KERNEL, 8));
	errno = 0;
	must(cpu_alloc_setup("percpu=128K") == -1 && errno == EBUSY);
	must(stats_now().area_bytes == 65536);
	return 0;
}

/* The environment says percpu=64K,cpus=16, the call cpus=8: the call wins. */
static int call_wins(void)
{
	must(cpu_alloc_setup("cpus=8") == 0);
	return show();
}

/* A set-user-id program does not listen to the environment. */
static void set_user_id(void)
{
	const char *name = "a set-user-id program ignores CPU_ALLOC";
	char copy[] = P_tmpdir "/cpu_alloc-XXXXXX", command[4200];
	struct start start = {"CPU_ALLOC", "percpu=64K,nonsense", copy, "show-secure"};
	struct outcome o = {.status = CANNOT << 8};
	int fd = mkstemp(copy);

	if (fd < 0 || close(fd) != 0)
		return skip(name, "no file can be made");
	snprintf(command, sizeof(command), "cp '%s' %s", self(), copy);
	if (system(command) == 0 && chown(copy, 65534, 0) == 0 && chmod(copy, 04755) == 0)
		o = run_child(exec_start, &start);
	unlink(copy);
	if (exited(&o, CANNOT))
		skip(name, "no set-user-id program can be made here");
	else if (!ok(showed(&o, DEFAULT_AREA, possible) && !o.err[0], "%s", name))
		diag_outcome(&o);
}

static int show_index(void)
{
	cpu_set_t set;
	char *ptr = cpu_alloc(24, GFP_KERNEL, 8);

	CPU_ZERO(&set);
	CPU_SET((size_t)possible - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		return CANNOT;
	must(THIS_CPU(ptr) == CPU_PTR(ptr, cpu_alloc_index()));
	printf("index %d on CPU %d\n", cpu_alloc_index(), sched_getcpu());
	return 0;
}

/* The highest CPU: its number, or id 0 since there is one thread only. */
static void indexed(const char *options, bool by_id, unsigned int messages)
{
	struct outcome o = run_self(options, "index");
	char expected[64];

	snprintf(expected, sizeof(expected), "index %d on CPU %d\n", by_id ? 0 : possible - 1,
		 possible - 1);
	if (possible == 1 || exited(&o, CANNOT))
		skip(options, "there is no second CPU to go to");
	else if (!ok(strcmp(o.out, expected) == 0 && line_count(o.err) == messages, "'%s': %s",
		     options, by_id ? "by concurrency id" : "by CPU number"))
		diag_outcome(&o);
}

static int ids_without_rseq(const void *unused)
{
	(void)unused;
	must(cpu_alloc_setup("index=cid,rseq=off") == 0);
	return show_index();
}

static void index_by_id(void)
{
	struct outcome o = run_self(NULL, "ids");
	bool ids = exited(&o, 0);

	indexed("index=cpu", false, 0);
	indexed("index=cpu,rseq=off", false, 0);
	indexed("index=cid,rseq=off", false, 1);
	indexed("index=cid", ids, !ids);
	o = run_self("index=cid,rseq=off", "cid-then-rseq");
	ok(exited(&o, 0) == ids, "index=cid of the environment, rseq=auto of the call: both hold");
	o = run_child(ids_without_rseq, NULL);
	ok(strstr(o.err, "index=cpu holds") && line_count(o.err) == 1 &&
		   (exited(&o, CANNOT) || exited(&o, 0)),
	   "setup: 'index=cid,rseq=off' is taken, and reported once");
}

/* The environment asks for ids without rseq, the call allows rseq: both are kept. */
static int cid_then_rseq(void)
{
	must(cpu_alloc_setup("rseq=auto") == 0);
	must(cpu_alloc_index_offset != cpu_alloc_known_offset);
	return 0;
}

/* What this program does in a process of its own. */
static int run_command(const char *command)
{
	if (strcmp(command, "show") == 0)
		return show();
	if (strcmp(command, "show-secure") == 0)
		return show_secure();
	if (strcmp(command, "index") == 0)
		return show_index();
	if (strcmp(command, "ids") == 0)
		return getauxval(AT_RSEQ_FEATURE_SIZE) < CID_END;
	if (strcmp(command, "call-wins") == 0)
		return call_wins();
	if (strcmp(command, "cid-then-rseq") == 0)
		return cid_then_rseq();
	return 2;
}

int main(int argc, char **argv)
{
	struct outcome o;

	possible = sysconf(_SC_NPROCESSORS_CONF) > 0 ? (int)sysconf(_SC_NPROCESSORS_CONF) : 1;
	if (argc > 1)
		return run_command(argv[1]);

	environment_good();
	environment_bad();
	environment_mixed("percpu=64K,", 65536, 1);
	environment_mixed(",percpu=64K", 65536, 1);
	environment_mixed("thp=2,percpu=64K,rseq=maybe", 65536, 2);
	environment_mixed("percpu=64K,percpu=3", 65536, 1);
	for (size_t n = 0; n < sizeof(goods) / sizeof(*goods); n++) {
		o = run_child(setup_good, &goods[n]);
		ok(exited(&o, 0) && !o.err[0], "setup: '%s' is taken", goods[n].options);
	}
	setup_bads();
	ok_child("percpu= up to CPU_ALLOC_STRIDE - 1M, not a byte more", limits, NULL);
	ok_child("cpus= below the possible number is refused", fewer_cpus, NULL);
	ok_child("a later call wins over an earlier, item by item", call_by_call, NULL);
	ok_child("EBUSY after the first use", too_late, NULL);
	o = run_self("percpu=64K,cpus=16", "call-wins");
	ok(showed(&o, 65536, possible > 8 ? possible : 8),
	   "the call wins over the environment, item by item");
	set_user_id();
	index_by_id();
	return tap_done();
}
