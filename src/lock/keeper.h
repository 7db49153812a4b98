/* keeper.h - the thread inside `rlock run` that renews the lease
 *
 * The keeper owns its connection and shares nothing with the main thread but
 * two pipes, one that main closes to end it and one with its reports, and one
 * number, the end of the lease as confirmed last, which only grows.  So there is
 * nothing to lock and nothing to race.  It connects only when the
 * command has lived for 20 ms: one that ends before costs nothing.
 *
 * It also watches the key (watch.h), where the server lets it: that the lock was
 * deleted or stolen is known in milliseconds, not at the next renewal.  The
 * watch is armed behind each renewal, because a write of one's own disarms it;
 * what it tells is only a reason to look, and a look writes nothing.
 *
 * It renews to an absolute TTL, with the token compared, so a renewal that
 * arrives late or twice does no harm, and one that arrives after the release
 * does nothing: it cannot bring a lock back.
 *
 * Silence is not a loss: after an error it tries again, over a fresh
 * connection, until the lease really ends.  "Not ours" is one, at once.
 */
#ifndef RLOCK_KEEPER_H
#define RLOCK_KEEPER_H

#include "lock/lock.h"

struct keeper;

enum keeper_news {
	KEEPER_RENEWED, /* the end of the lease is a later one */
	KEEPER_TROUBLE, /* a renewal failed: text says why; it tries again */
	KEEPER_LOST,	/* the server says the lock is not ours; the keeper has
			 * ended */
};

struct keeper_report {
	enum keeper_news news;
	bool gone;	 /* LOST: nobody has it, else a holder */
	bool no_lock;	 /* LOST: the key is no lock any more: text says so */
	char text[3500]; /* TROUBLE: the cause; LOST: the holder's token, cut */
	size_t text_len;
};

/* Starts the thread; all signals must be blocked in the caller, so that they
 * are in the keeper too.  lock is copied, its servers' url must outlive the
 * keeper, and so must lease_end; every is the time between renewals.  NULL with
 * STATUS_SYSTEM. */
struct keeper *keeper_start(const struct lock *lock, msec every,
			    _Atomic(msec) *lease_end, struct error *err);

/* Readable when there is a report. */
int keeper_fd(const struct keeper *keeper);

/* Takes the next report; false if there is none.  Does not block. */
bool keeper_next(struct keeper *keeper, struct keeper_report *report);

/* Ends the thread and waits for it: some 100 ms at the most, even when it is in
 * the middle of a request (but the resolver, asked for a host's name, hears
 * nobody).  Frees the keeper; NULL is allowed. */
void keeper_stop(struct keeper *keeper);

#endif
