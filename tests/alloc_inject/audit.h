/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Where each object is that the map has given away: exactly one of
 *
 *	live	  its state says so
 *	cached	  in a slot of a magazine
 *	pending	  its bit says so
 *	nowhere	  in the hands of a call that takes it from one of these to another
 *
 * By plain scans of all of them, which share nothing with the library but the layout.
 */
#ifndef ALLOC_AUDIT_H
#define ALLOC_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

struct audit {
	uint32_t live, cached, pending, nowhere;
	uint64_t units, held_units; /* of all; of what is cached or pending */
	int64_t balance;	    /* allocations less frees, as the library counts them */
	const char *wrong; /* one of them is in two places, or where none can be; or NULL */
};

/*
 * While all threads stand still. False: one of them has the lock, and nothing can be
 * said. Not for more than one thread at a time.
 */
bool audit_now(struct audit *audit);

#endif
