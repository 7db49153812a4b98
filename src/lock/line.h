/* line.h - waiting in line for a lock that somebody else holds
 *
 * First come, first served, kept on the server (acquire.lua): each waiter has
 * a ticket, and only the first in line watches the lock (watch.h).  When the
 * lock is released, expires or is deleted, the server tells the first, which
 * takes it; and the script by which it does so calls the next.  So a hand-over
 * costs the same few requests, however many wait, and nobody polls.
 *
 * A waiter shows every 2.4 s that it is still there.  That also makes up for
 * any message that was lost, and finds out whether the first in line was
 * killed.  It keeps its ticket for as long as it waits, and so its place:
 * over a new connection, a restart of the server, FLUSHALL, a failover.
 *
 * Where the server does not tell of changes (a right is missing, a proxy, an
 * old server), a waiter asks about every 100 ms, in its place.
 *
 * Python's waiters are in no line.  They may come first; the order in it stays.
 */
#ifndef RLOCK_LINE_H
#define RLOCK_LINE_H

#include "lock/lock.h"

#define LINE_FOREVER CLOCK_NEVER

/* What can be told of a wait. */
struct line_news {
	const struct holder *holder; /* who has it; NULL: nobody, or err */
	const struct place *place;   /* where we stand; NULL: not in line yet */
	const struct error *err;     /* the server cannot serve now, and we go
				      * on trying; NULL: it can */
};

struct line_wish {
	msec wait; /* how long; 0: one attempt; LINE_FOREVER */
	/* Who waits, for those who look at the line.  Not needed without a
	 * wait. */
	const char *owner;
	long pid;
	/* Told once the wait has lasted a second, and after each further one
	 * for which the last call returned true. */
	bool (*notice)(void *arg, const struct line_news *news);
	/* Asked once, before the wait begins: can this holder never go because
	 * we wait?  Then the wait is over.  NULL: no. */
	bool (*hopeless)(void *arg, const struct holder *holder);
	void *arg;
};

/* Takes the lock, waiting for its holder as long as wished; the last attempt is
 * at the very end.  A server that cannot serve now is asked again within the
 * wait; one that cannot be reached at the start is not waited for.
 *
 * LOCK_OK, LOCK_ALREADY; LOCK_HELD: the wait is over; LOCK_PROMISED: it is, and
 * the lock is free, but place->other comes first; LOCK_FAILED, with
 * err->stopped if the servers' stop_fd ended the wait; LOCK_NO_LOCK.  On these
 * nothing of ours is left on the server, unless lock->doubt says so: then the
 * lock may be ours, and the user must be told the token. */
enum lock_outcome line_acquire(struct lock *lock, const struct line_wish *wish,
			       struct holder *holder, struct place *place,
			       struct error *err);

#endif
