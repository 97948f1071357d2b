/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A profile: where a signal found the thread that adds all the time, one address a line. */
#include <ucontext.h>

#include "adds.h"

#define SAMPLES 1000

static uintptr_t samples[SAMPLES];
static volatile int taken;

static void sample(int number, siginfo_t *info, void *context)
{
	const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;

	(void)number;
	(void)info;
	if (taken < SAMPLES)
#ifdef __aarch64__
		samples[taken++] = (uintptr_t)machine->pc;
#else
		samples[taken++] = (uintptr_t)machine->gregs[REG_RIP];
#endif
}

int main(void)
{
	struct sigaction action;

	adds = adds_new();
	start_signals(adds_in_handler);
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = sample;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	if (sigaction(SIGUSR1, &action, NULL))
		return 4;
	while (taken < SAMPLES)
		this_cpu_inc(adds->count);
	for (int i = 0; i < SAMPLES; i++)
		printf("at 0x%" PRIxPTR "\n", samples[i]);
	printf("path: %s\n", cpu_alloc_path());
	return 0;
}
