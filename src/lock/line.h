/* line.h - waiting for a lock that somebody else holds
 *
 * Today a waiter asks again when the holder's lease is due to end, and at the
 * most every 100 ms; nobody keeps an order.  A first-come line kept on the
 * server, with wake-ups, is to take this place without a command noticing.
 */
#ifndef RLOCK_LINE_H
#define RLOCK_LINE_H

#include "lock/lock.h"

#define LINE_FOREVER CLOCK_NEVER

struct line_wish {
	msec wait; /* how long; 0: one attempt; LINE_FOREVER */
	/* Told after each vain attempt once the wait has lasted a second.
	 * holder: who holds it; NULL: the server cannot serve now, err says
	 * why, and we go on trying. */
	void (*notice)(void *arg, const struct holder *holder,
		       const struct error *err);
	/* Asked once, before the wait begins: can this holder never go because
	 * we wait?  Then the wait is over.  NULL: no. */
	bool (*hopeless)(void *arg, const struct holder *holder);
	void *arg;
};

/* Takes the lock, waiting for its holder as long as wished; the last attempt is
 * at the very end.  A server that cannot serve now is asked again within the
 * wait; one that cannot be reached at the start is not waited for.
 *
 * LOCK_OK, LOCK_ALREADY; LOCK_HELD: the wait is over; LOCK_FAILED, with
 * err->stopped if the servers' stop_fd ended the wait; LOCK_NO_LOCK.  On these
 * nothing of ours is left on the server, unless lock->doubt says
 * so: then the lock may be ours, and the user must be told the token. */
enum lock_outcome line_acquire(struct lock *lock, const struct line_wish *wish,
			       struct holder *holder, struct error *err);

#endif
