/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Everything that cpu_alloc.h offers, once, in the common part of C and C++: for compile.py. */
#ifdef SCHED_BEFORE
#include <sched.h>
#endif
#include <cpu_alloc.h>
#ifdef SCHED_AFTER
#include <sched.h>
#endif

struct hits {
	uint64_t requests;
	unsigned char kind;
	int line[3];
};

struct hits __percpu *hits_new(unsigned short n);
uint64_t hits_sum(struct hits __percpu *hits, const int __percpu *limit,
		  int __percpu *const weight);
void hits_free(struct hits __percpu *hits, const int __percpu *limit, unsigned short n);
bool many(void *object[2]);
size_t hits_bytes(void);
cpu_set_t *mask(unsigned short n);
void mask_free(cpu_set_t *set);

struct hits __percpu *hits_new(unsigned short n)
{
	struct hits __percpu *one = CPU_ALLOC(struct hits, GFP_KERNEL | __GFP_ZERO);
	const int __percpu *pointee = CPU_ALLOC(const int, GFP_NOWAIT);
	void *raw = cpu_alloc(sizeof(struct hits), GFP_ATOMIC, CPU_ALLOC_MAX_ALIGN);

	if (!one || raw == ZERO_SIZE_PTR)
		return CPU_ALLOC_ARRAY(struct hits, n, GFP_KERNEL);
	hits_free(one, pointee, n);
	return one;
}

uint64_t hits_sum(struct hits __percpu *hits, const int __percpu *limit, int __percpu *const weight)
{
	uint64_t sum = 0;

	THIS_CPU(hits)->requests++;
	__THIS_CPU(hits)->line[2] += *CPU_PTR(limit, 0);
	*THIS_CPU(weight) = cpu_alloc_nr() + cpu_alloc_index() + __cpu_alloc_index();
	cpu_alloc_for_each (i)
		sum += CPU_PTR(hits, i)->requests;
	cpu_alloc_for_each (cpu) {
		cpu_alloc_for_each (other)
			sum += CPU_PTR(hits + cpu, other)->requests;
	}
	return sum;
}

void hits_free(struct hits __percpu *hits, const int __percpu *limit, unsigned short n)
{
	CPU_FREE(hits);
	CPU_FREE(limit);
	CPU_FREE_ARRAY(hits, n);
	cpu_free(NULL, CPU_ALLOC_UNIT);
}

bool many(void *object[2])
{
	return cpu_alloc_bulk(sizeof(struct hits), GFP_KERNEL, 8, 2, object) == 0 &&
	       cpu_free_bulk(sizeof(struct hits), 2, object) == 0;
}

size_t hits_bytes(void)
{
	struct cpu_alloc_stats stats;

	if (cpu_alloc_setup("percpu=1M") || cpu_alloc_stats(&stats, sizeof(stats)))
		return cpu_alloc_trim();
	return (size_t)stats.cpu_bytes + cpu_alloc_offset(ZERO_SIZE_PTR) + CPU_ALLOC_STRIDE;
}

/* Those of <sched.h>. */
cpu_set_t *mask(unsigned short n)
{
	return CPU_ALLOC(n);
}

void mask_free(cpu_set_t *set)
{
	CPU_FREE(set);
}
