/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Each row of `cpu-alloc info`: a name, and what was found. */
#include "info.h"
#include "report.h"

#include <cpu_alloc.h>
#include <cpus.h>
#include <rseq.h>
#include <inttypes.h>
#include <os.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void row(const char *name, const char *format, ...)
{
	va_list arguments;

	printf("%-18s ", name);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

static void row_bytes(const char *name, uint64_t bytes)
{
	char number[32];

	row(name, "%s bytes", grouped(bytes, number));
}

static const char *online(char *text, size_t size)
{
	if (!os_read_file("/sys/devices/system/cpu/online", text, size))
		return "not known";
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void print_cpus(void)
{
	static short node[CPUS_MAX];
	char text[256];
	int possible = cpus_possible(), nodes = cpus_nodes(possible, node);

	row("CPUs possible", "%d", possible);
	row("CPUs online", "%s", online(text, sizeof(text)));
	if (nodes)
		row("NUMA nodes", "%d", nodes);
	else
		row("NUMA nodes", "not known");
	row_bytes("page", os_page_size());
}

static void print_areas(void)
{
	struct cpu_alloc_stats stats;
	char least[32], most[32];

	cpu_alloc_stats(&stats, sizeof(stats));
	row("areas", "%d, and one for strays", cpu_alloc_nr());
	row_bytes("stride", CPU_ALLOC_STRIDE);
	row_bytes("area, percpu=", stats.area_bytes);
	row("percpu= limits", "%s to %s bytes", grouped(4096, least),
	    grouped(CPU_ALLOC_STRIDE - (1 << 20), most));
	row_bytes("unit", CPU_ALLOC_UNIT);
	row_bytes("largest alignment", CPU_ALLOC_MAX_ALIGN);
}

static void print_path(void)
{
	row("operations", "%s", cpu_alloc_path());
	row("concurrency ids", "%s", rseq_has_cid() ? "available" : "not available");
}

void info_print(void)
{
	print_cpus();
	print_areas();
	print_path();
}
