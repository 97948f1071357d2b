/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the tracer has to know of the architecture: breakpoints, registers,
 * the signature in front of an abort stub, and what cannot be stepped through.
 */
#ifndef INJECT_MACHINE_H
#define INJECT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#if defined(__x86_64__)

#define BREAKPOINT "\xcc"
#define BREAKPOINT_BYTES 1
#define BREAKPOINT_ADVANCE 1 /* where the instruction pointer is behind a breakpoint, once hit */
#define SIGNATURE "\x0f\xb9\x3d\x53\x30\x05\x53"
#define SIGNATURE_BYTES 7
#define INSTRUCTION_BYTES 0 /* they differ */

static inline uintptr_t machine_pc(const struct user_regs_struct *regs)
{
	return regs->rip;
}

static inline void machine_set_pc(struct user_regs_struct *regs, uintptr_t pc)
{
	regs->rip = pc;
}

/* At the first instruction of a function. @top: the word that the stack pointer points to. */
static inline uintptr_t machine_return_address(const struct user_regs_struct *regs, uintptr_t top)
{
	(void)regs;
	return top;
}

static inline uintptr_t machine_stack(const struct user_regs_struct *regs)
{
	return regs->rsp;
}

/*
 * Is there a jump at @pc, an unconditional one, to @target? To its abort stub a section
 * jumps only if the kernel does not know the thread.
 */
static inline bool machine_jumps_to(uintptr_t pc, uintptr_t target)
{
	(void)pc;
	(void)target;
	return false;
}

/* Any instruction can be stepped. */
static inline size_t machine_exclusive_exits(uintptr_t pc, uintptr_t *exits, size_t room)
{
	(void)pc;
	(void)exits;
	(void)room;
	return 0;
}

#elif defined(__aarch64__)

#define BREAKPOINT "\x00\x00\x20\xd4"
#define BREAKPOINT_BYTES 4
#define BREAKPOINT_ADVANCE 0
#define SIGNATURE "\x00\xbc\x28\xd4"
#define SIGNATURE_BYTES 4
#define INSTRUCTION_BYTES 4

static inline uintptr_t machine_pc(const struct user_regs_struct *regs)
{
	return regs->pc;
}

static inline void machine_set_pc(struct user_regs_struct *regs, uintptr_t pc)
{
	regs->pc = pc;
}

static inline uintptr_t machine_return_address(const struct user_regs_struct *regs, uintptr_t top)
{
	(void)top;
	return regs->regs[30];
}

static inline uintptr_t machine_stack(const struct user_regs_struct *regs)
{
	return regs->sp;
}

/* The displacement of @bits, in instructions, that a branch holds from bit @low on. */
static inline int64_t machine_displacement(uint32_t instruction, unsigned int low,
					   unsigned int bits)
{
	const int64_t sign = (int64_t)1 << (bits - 1);
	const int64_t value = instruction >> low & ((1U << bits) - 1);

	return ((value ^ sign) - sign) * INSTRUCTION_BYTES;
}

static inline bool machine_jumps_to(uintptr_t pc, uintptr_t target)
{
	const uint32_t code = *(const uint32_t *)pc;

	return (code & 0xfc000000) == 0x14000000 &&
	       pc + (uintptr_t)machine_displacement(code, 0, 26) == target;
}

/*
 * A trap between an exclusive load and its store makes the store fail, so
 * that a loop of both never ends under a debugger that steps into it. If a loop
 * begins at @pc: the addresses where it may be left, up to the store.
 */
static inline size_t machine_exclusive_exits(uintptr_t pc, uintptr_t *exits, size_t room)
{
	const uint32_t *code = (const uint32_t *)pc;
	size_t n = 0;

	if ((code[0] & 0x3fc00000) != 0x08400000) /* an exclusive load */
		return 0;
	for (size_t k = 1; k < 16 && n + 1 < room; k++) {
		if ((code[k] & 0x3fc00000) == 0x08000000) { /* the store */
			exits[n++] = pc + (k + 1) * INSTRUCTION_BYTES;
			return n;
		}
		if ((code[k] & 0xff000010) == 0x54000000 || /* b.cond */
		    (code[k] & 0x7e000000) == 0x34000000)   /* cbz, cbnz */
			exits[n++] = pc + k * INSTRUCTION_BYTES +
				     (uintptr_t)machine_displacement(code[k], 5, 19);
	}
	return 0;
}

#endif

#endif
