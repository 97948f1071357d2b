/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The bits of pending objects and their two levels of summary, of objects.c, for spin:
 * `make check-model`. Two threads add objects, for ever, as soon as they have been taken; one
 * takes them, all or only some. Asserted is that none is taken twice, and that none is
 * forgotten: when nobody is at work here each bit is found from the top, and the count is
 * not less than the bits.
 *
 *	level 2   bit 0
 *	level 1   bit 0    bit 1
 *	level 0   bit 0 1  bit 0	objects 0, 1, 2
 *
 * Each step is one atomic instruction. -DMUTANT_... breaks one place.
 */

#define BIT(i) (1 << (i))

byte level_2, level_1, level_0[2];
byte count; /* pending_objects */

/* What the code need not know. */
bool added[3]; /* from before the call until it is taken */
byte adding;   /* calls */

#define WORD(object) ((object) / 2)
#define LOWEST(word) (1 - ((word) & 1)) /* of two bits */

/* pending_add(), of an object that its adder has */
inline pending_add(object)
{
	atomic {
		!added[object] ->
		added[object] = true;
		adding++
#ifndef MUTANT_COUNTED_LAST
		; count++
#endif
	}
#ifdef MUTANT_SUMMARY_FIRST
	level_2 = level_2 | BIT(0);
	level_1 = level_1 | BIT(WORD(object));
	atomic {
		level_0[WORD(object)] = level_0[WORD(object)] | BIT(object % 2);
#else
	level_0[WORD(object)] = level_0[WORD(object)] | BIT(object % 2);
	level_1 = level_1 | BIT(WORD(object));
	atomic {
		level_2 = level_2 | BIT(0);
#endif
#ifndef MUTANT_COUNTED_LAST
		adding--
	}
#else
		skip
	}
	atomic {
		adding--;
		count++
	}
#endif
}

proctype first()
{
	do
	:: pending_add(0)
	:: pending_add(2)
	od
}

proctype second()
{
	do
	:: pending_add(1)
	od
}

#ifdef MUTANT_BITS_BY_STORE
#define KEPT(word) now
#else
#define KEPT(word) word
#endif

/* take_bit(): the load and the instruction that clears; now = 0: there was none */
inline take_bit(word, b)
{
	atomic {
		now = word;
		b = LOWEST(now)
	}
	if
	:: now != 0 -> word = KEPT(word) & ~BIT(b)
	:: else
	fi
}

/* take_below(), level 0 of it */
inline take_objects()
{
	do
	:: n < most ->
		take_bit(level_0[w], b);
		if
		:: now != 0 ->
			atomic {
				n++;
				assert(added[2 * w + b]);
				added[2 * w + b] = false;
				b = 0
			}
		:: else -> break
		fi
	:: else -> break
	od
}

/* Level 1. */
inline take_words()
{
	do
	:: n < most ->
#ifdef MUTANT_SUMMARY_CLEARED_LAST
		atomic {
			now = level_1;
			w = LOWEST(now)
		}
#else
		take_bit(level_1, w);
#endif
		if
		:: now != 0 ->
			take_objects();
#ifdef MUTANT_SUMMARY_CLEARED_LAST
			level_1 = level_1 & ~BIT(w);
#endif
#ifndef MUTANT_NOT_PUT_BACK
			if
			:: n == most -> level_1 = level_1 | BIT(w)
			:: else
			fi
#endif
		:: else -> break
		fi
	:: else -> break
	od
}

/* pending_take(), pending_forget() */
proctype taker()
{
	byte now, w, b, n, most;

	do
	:: atomic {
		if
		:: most = 1
		:: most = 2
		:: most = 255
		fi;
		n = 0;
		w = 0
	   }
	   do
	   :: n < most ->
		take_bit(level_2, b);
		if
		:: now != 0 ->
			take_words();
			if
			:: n == most -> level_2 = level_2 | BIT(0)
			:: else
			fi
		:: else -> break
		fi
	   :: else -> break
	   od;
	   atomic {
		count = count - n;
		assert(count < 128);
		if
		:: adding == 0 ->
			assert(!level_1 || level_2);
			assert(!level_0[0] || level_1 & BIT(0));
			assert(!level_0[1] || level_1 & BIT(1));
			assert(added[0] == (level_0[0] & 1));
			assert(added[1] == (level_0[0] >> 1 & 1));
			assert(added[2] == (level_0[1] & 1));
			assert(count >= added[0] + added[1] + added[2])
		:: else
		fi;
		now = 0;
		b = 0;
		n = 0;
		w = 0
	   }
	od
}

init
{
	atomic {
		run first();
		run second();
		run taker()
	}
}
