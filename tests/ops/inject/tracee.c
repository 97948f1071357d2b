/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A child process under ptrace(), see tracee.h. */
#include "tracee.h"
#include "machine.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXITS 8 /* of a loop that cannot be stepped through, at most */

static void give_up(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The child is gone. */
static void forget(struct tracee *tracee)
{
	close(tracee->memory);
	tracee->pid = 0;
}

void tracee_end(struct tracee *tracee)
{
	if (!tracee->pid)
		return;
	kill(tracee->pid, SIGKILL);
	waitpid(tracee->pid, NULL, __WALL);
	forget(tracee);
}

static struct user_regs_struct registers(const struct tracee *tracee)
{
	struct user_regs_struct regs;
	struct iovec all = {&regs, sizeof(regs)};

	if (ptrace(PTRACE_GETREGSET, tracee->pid, NT_PRSTATUS, &all) != 0)
		give_up("PTRACE_GETREGSET");
	return regs;
}

static void set_pc(const struct tracee *tracee, uintptr_t pc)
{
	struct user_regs_struct regs = registers(tracee);
	struct iovec all = {&regs, sizeof(regs)};

	machine_set_pc(&regs, pc);
	if (ptrace(PTRACE_SETREGSET, tracee->pid, NT_PRSTATUS, &all) != 0)
		give_up("PTRACE_SETREGSET");
}

void tracee_read(const struct tracee *tracee, uintptr_t at, void *bytes, size_t size)
{
	if (pread(tracee->memory, bytes, size, (off_t)at) != (ssize_t)size)
		give_up("reading the child's memory");
}

void tracee_write(const struct tracee *tracee, uintptr_t at, const void *bytes, size_t size)
{
	if (pwrite(tracee->memory, bytes, size, (off_t)at) != (ssize_t)size)
		give_up("writing the child's memory");
}

void tracee_plant(const struct tracee *tracee, uintptr_t at)
{
	tracee_write(tracee, at, BREAKPOINT, BREAKPOINT_BYTES);
}

void tracee_unplant(const struct tracee *tracee, uintptr_t at)
{
	tracee_write(tracee, at, (const void *)at, BREAKPOINT_BYTES);
}

uintptr_t tracee_pc(const struct tracee *tracee)
{
	const struct user_regs_struct regs = registers(tracee);

	return machine_pc(&regs);
}

uintptr_t tracee_return_address(const struct tracee *tracee)
{
	const struct user_regs_struct regs = registers(tracee);
	uintptr_t top;

	tracee_read(tracee, machine_stack(&regs), &top, sizeof(top));
	return machine_return_address(&regs, top);
}

/* What came of it. */
static enum event wait_for(struct tracee *tracee)
{
	int status;

	if (waitpid(tracee->pid, &status, __WALL) != tracee->pid)
		give_up("waitpid");
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
		return EVENT_DONE;
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return EVENT_TRAP;
	if (WIFSTOPPED(status)) {
		tracee->fatal = WSTOPSIG(status);
		tracee_end(tracee);
	} else {
		tracee->fatal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		forget(tracee);
	}
	return EVENT_DEAD;
}

enum event tracee_continue(struct tracee *tracee, int signal)
{
	enum event event;

	if (ptrace(PTRACE_CONT, tracee->pid, NULL, (void *)(intptr_t)signal) != 0)
		give_up("PTRACE_CONT");
	event = wait_for(tracee);
	if (event == EVENT_TRAP && BREAKPOINT_ADVANCE > 0)
		set_pc(tracee, tracee_pc(tracee) - BREAKPOINT_ADVANCE);
	return event;
}

enum event tracee_run_to(struct tracee *tracee, uintptr_t at)
{
	enum event event;

	tracee_plant(tracee, at);
	event = tracee_continue(tracee, 0);
	if (event != EVENT_DEAD)
		tracee_unplant(tracee, at);
	return event;
}

enum event tracee_step(struct tracee *tracee)
{
	uintptr_t exits[EXITS];
	const size_t n = machine_exclusive_exits(tracee_pc(tracee), exits, EXITS);
	enum event event;

	if (n == 0) {
		if (ptrace(PTRACE_SINGLESTEP, tracee->pid, NULL, NULL) != 0)
			give_up("PTRACE_SINGLESTEP");
		return wait_for(tracee);
	}
	for (size_t k = 0; k < n; k++)
		tracee_plant(tracee, exits[k]);
	event = tracee_continue(tracee, 0);
	for (size_t k = 0; event != EVENT_DEAD && k < n; k++)
		tracee_unplant(tracee, exits[k]);
	return event;
}

bool tracee_start(struct tracee *tracee, void (*function)(void))
{
	char path[64];

	fflush(stdout);
	*tracee = (struct tracee){.pid = fork(), .memory = -1};
	if (tracee->pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(errno);
		function();
		_exit(0);
	}
	if (tracee->pid < 0 || wait_for(tracee) != EVENT_DONE) {
		errno = EPERM;
		return false;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)tracee->pid);
	tracee->memory = open(path, O_RDWR | O_CLOEXEC);
	return tracee->memory >= 0 && ptrace(PTRACE_SETOPTIONS, tracee->pid, NULL,
					     (void *)(intptr_t)PTRACE_O_EXITKILL) == 0;
}
