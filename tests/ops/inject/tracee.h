/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A child process under ptrace(): a copy of this one, so that all addresses are
 * the same in both.
 */
#ifndef INJECT_TRACEE_H
#define INJECT_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum event {
	EVENT_TRAP, /* at a breakpoint, or after one step */
	EVENT_DONE, /* the child stopped itself: it waits for the next task */
	EVENT_DEAD, /* it got a signal that nobody sent, and is no more */
};

struct tracee {
	pid_t pid;
	int memory;
	int fatal; /* the signal, if dead */
};

/*
 * Fork a child that runs @function, which stops itself by SIGSTOP when it is
 * ready. Returns false, and errno, if that cannot be traced here.
 */
bool tracee_start(struct tracee *tracee, void (*function)(void));
void tracee_end(struct tracee *tracee);

/* The rest holds while the child is stopped. Memory: any, code too. */
void tracee_read(const struct tracee *tracee, uintptr_t at, void *bytes, size_t size);
void tracee_write(const struct tracee *tracee, uintptr_t at, const void *bytes, size_t size);

/* The code at @at has to be as in this process: one breakpoint an address. */
void tracee_plant(const struct tracee *tracee, uintptr_t at);
void tracee_unplant(const struct tracee *tracee, uintptr_t at);

/* Where it is. At a breakpoint that it hit: the address of that. */
uintptr_t tracee_pc(const struct tracee *tracee);

/* At a function's first instruction: where it will return to. */
uintptr_t tracee_return_address(const struct tracee *tracee);

/* Go on, with @signal delivered, or 0, until something happens. */
enum event tracee_continue(struct tracee *tracee, int signal);

/* Go on to @at, which nothing else stops. */
enum event tracee_run_to(struct tracee *tracee, uintptr_t at);

/* One instruction, which is no breakpoint; where a loop cannot be stepped through, all of it. */
enum event tracee_step(struct tracee *tracee);

#endif
