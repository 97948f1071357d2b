/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPUs go offline and come back, over and over, while a crowd allocates, writes, checks
 * and frees, and counts by this_cpu_inc(): no object and no count is lost, whatever the
 * areas and magazines of CPUs that are gone hold is found again.
 *
 * Only in a machine that is the test's own: TEST_OWN_MACHINE says so.
 */
#include "crowd.h"

#define HELD 48 /* objects, by each side */
#define MOST_CPUS 64
#define CACHED 200 /* objects of one size that are left to a CPU */

static int pluggable[MOST_CPUS]; /* the CPUs that can be taken offline */
static int pluggables;

static uint64_t *counter;		/* an object of the library */
static uint64_t counted[CROWD_MOST][2]; /* by each side, what it should hold */
static uint64_t unplugged;

/* "1" and "0" as in /sys. False if it cannot be had. */
static bool set_online(int cpu, const char *online)
{
	char path[64];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, online, 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

/* Those that the process may use, but one, which stays: a system may know of none. */
static void find_pluggable(void)
{
	for (int n = 1; allowed_cpu(n) >= 0 && pluggables < MOST_CPUS; n++) {
		const int cpu = allowed_cpu(n);

		if (set_online(cpu, "1"))
			pluggable[pluggables++] = cpu;
	}
}

static void plug_all(void)
{
	for (int n = 0; n < pluggables; n++)
		set_online(pluggable[n], "1");
}

static struct request random_request(struct side *side)
{
	const uint64_t random = next_random(&side->random);
	const gfp_t zero = random & 1 ? __GFP_ZERO : 0;

	return (struct request){
		.size = 4 + random / 2 % (random / 1024 % 8 ? 252 : 2000),
		.align = 4,
		.flags = zero | (side->handler ? GFP_ATOMIC : GFP_KERNEL),
	};
}

static void step(struct side *side)
{
	struct owned *owned = side->slot[next_random(&side->random) % HELD];

	this_cpu_inc(*counter);
	counted[side->number][side->handler]++;
	if (owned->ptr)
		owned_drop(owned, &side->books);
	else
		owned_make(owned, &side->books, random_request(side));
}

/* A CPU goes, and when all had some time without it, it comes back. */
static void plug(void)
{
	static unsigned int n;
	const int cpu = pluggable[n / 8 % (unsigned int)pluggables];

	if (n % 8 == 0) {
		must(set_online(cpu, "0"));
		unplugged++;
	} else if (n % 8 == 7) {
		must(set_online(cpu, "1"));
	}
	n++;
}

static void must_have_counted(void)
{
	uint64_t sum = 0;

	for (int n = 0; n < CROWD_MOST; n++)
		sum += counted[n][0] + counted[n][1];
	if (cpu_sum(*counter) != sum)
		printf("%" PRIu64 " counted, %" PRIu64 " found\n", sum, cpu_sum(*counter));
	must(cpu_sum(*counter) == sum);
}

static int crowded(const void *options)
{
	const struct request request = {.size = 8, .align = 8, .flags = GFP_KERNEL | __GFP_ZERO};
	struct books own = {0};
	const struct crowd crowd = {
		.step = step,
		.meanwhile = plug,
		.quiet = must_have_counted,
		.books = &own,
		.quiet_points = 10,
		.ms = 4000,
	};
	struct books books;

	owned_set_up(options);
	counter = cpu_alloc(request.size, request.flags, request.align);
	must(counter);
	own.allocs++;
	own.bytes += request.size;
	crowd_run(&crowd);
	must_have_counted();
	printf("%" PRIu64 " times a CPU was taken offline\n", unplugged);
	must(unplugged > 0);
	books = crowd_books();
	cpu_free(counter, request.size);
	books.frees++;
	books.bytes -= request.size;
	must_be_empty(&books);
	return 0;
}

/* Leaves what the CPU's magazines take of so many objects. */
static void *fill_magazines(void *cpu)
{
	void *ptr[CACHED];

	must(pin(0, *(int *)cpu));
	for (int n = 0; n < CACHED; n++)
		must((ptr[n] = cpu_alloc(24, GFP_KERNEL, 8)));
	for (int n = 0; n < CACHED; n++)
		cpu_free(ptr[n], 24);
	return NULL;
}

static int stranded(const void *unused)
{
	uint64_t cached;

	(void)unused;
	owned_set_up(NULL);
	if (!magazines())
		return CANNOT;
	in_thread(fill_magazines, &pluggable[0]);
	cached = stats_now().cached_bytes;
	must(cached > 0);
	must(set_online(pluggable[0], "0"));
	must(stats_now().cached_bytes == cached);
	must_be_empty(&(struct books){.allocs = CACHED, .frees = CACHED});
	must(set_online(pluggable[0], "1"));
	return 0;
}

/* A process that begins without a CPU counts on it when it has come. */
static int begin_without(void)
{
	char text[64];
	uint64_t *ptr;
	int cpu = -1;

	read_back(open("/sys/devices/system/cpu/offline", O_RDONLY | O_CLOEXEC), text,
		  sizeof(text));
	must(sscanf(text, "%d", &cpu) == 1);
	ptr = cpu_alloc(sizeof(*ptr), GFP_KERNEL | __GFP_ZERO, sizeof(*ptr));
	must(ptr && !pin(0, cpu));
	this_cpu_inc(*ptr);
	must(set_online(cpu, "1") && pin(0, cpu));
	this_cpu_inc(*ptr);
	must(*CPU_PTR(ptr, cpu) == 1 && cpu_sum(*ptr) == 2);
	return 0;
}

static int later(const void *unused)
{
	struct outcome o;

	(void)unused;
	must(set_online(pluggable[pluggables - 1], "0"));
	o = run_self_alike("percpu=64K", "begin");
	if (!exited(&o, 0))
		printf("%s", o.out);
	must(exited(&o, 0));
	return 0;
}

static void check(const char *name, int (*function)(const void *), const void *options)
{
	struct outcome o;

	if (!getenv("TEST_OWN_MACHINE") || pluggables == 0) {
		skip(name, getenv("TEST_OWN_MACHINE") ? "no CPU can be taken offline"
						      : "the machine is not the test's own");
		return;
	}
	o = run_child(function, options);
	plug_all();
	if (exited(&o, CANNOT))
		skip(name, "there are no magazines");
	else
		ok_outcome(&o, name);
	if (exited(&o, 0))
		diag_lines("", o.out);
}

int main(int argc, char **argv)
{
	struct mode mode;

	if (argc > 1 && strcmp(argv[1], "begin") == 0)
		return begin_without();
	mode = mode_of(argc, argv);
	if (getenv("TEST_OWN_MACHINE"))
		find_pluggable();
	ok_path(&mode);
	check("nothing is lost while CPUs go and come", crowded, NULL);
	check("nor where there is hardly room", crowded, "percpu=64K");
	check("what a CPU had cached is there when it has gone", stranded, NULL);
	check("a CPU that comes later has its area", later, NULL);
	return tap_done();
}
