/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Waiting for what runs on other CPUs, by membarrier(). */
#include "fence.h"
#include "cpu_alloc.h"
#include "index.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/membarrier.h of older systems does not have all of them. */
enum {
	PRIVATE_EXPEDITED = 1 << 3,
	PRIVATE_EXPEDITED_RSEQ = 1 << 7, /* the command that registers for either is twice it */
	FLAG_CPU = 1,
};

static int membarrier(int command, unsigned int flags, int cpu)
{
	return (int)syscall(SYS_membarrier, command, flags, cpu);
}

/* A process has to be registered first. */
static int fence(int cpu)
{
	const bool sections = index_by_sections();
	const int command = sections ? PRIVATE_EXPEDITED_RSEQ : PRIVATE_EXPEDITED;
	const unsigned int flags = sections && !index_by_cid() && cpu >= 0 ? FLAG_CPU : 0;
	const int saved = errno;

	if (membarrier(command, flags, cpu) != 0 &&
	    (errno != EPERM || membarrier(command << 1, 0, 0) != 0 ||
	     membarrier(command, flags, cpu) != 0))
		return -1;
	errno = saved;
	return 0;
}

bool fence_index(int i)
{
	const int saved = errno;
	const bool done = fence(i) == 0;

	errno = saved;
	return done;
}

int cpu_fence(int i)
{
	if (i < -1 || i >= cpu_alloc_nr()) {
		errno = EINVAL;
		return -1;
	}
	return fence(i);
}

int cpu_fence_all(void)
{
	return fence(-1);
}
