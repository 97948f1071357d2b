/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Threads that do one job after another, all at once.
 *
 * Up to one thread a CPU, each stays on a CPU of its own; more of them wander as
 * the scheduler likes. A crew of one is the caller: the process has one thread
 * until a larger crew gathers, and allocators can tell.
 *
 * A timed job goes on for a fixed time and counts what it did. On a busy machine that
 * includes what other programs did meanwhile, and threads meet less often: measure on
 * a quiet one.
 */
#ifndef CREW_H
#define CREW_H

#include <stdbool.h>
#include <stdint.h>

#define CREW_CPUS 16 /* more are not used */
#define CREW_MAX (4 * CREW_CPUS)

/* Returns how many operations thread @thread, from 0, did. */
typedef uint64_t crew_job(long thread, void *argument);

/* CPUs that a crew may use. */
int crew_cpus(void);

void crew_gather(long threads);
void crew_dismiss(void);
long crew_threads(void);

/* "threads=2", or "threads=8 on 2 CPUs", for the CSV. */
const char *crew_text(void);

/* Have every thread do @job, and wait. */
void crew_do(crew_job *job, void *argument);

/*
 * The same, for @ms or a little more. Returns the ns of one operation as its
 * thread sees them, or with more threads than CPUs, its CPU: the time of all of
 * them together by the operations of all.
 */
double crew_time(crew_job *job, void *argument, int ms);

/* To be asked in a timed job, every microsecond or less often. */
bool crew_goes_on(void);

_Noreturn void fail(const char *what);

#endif
