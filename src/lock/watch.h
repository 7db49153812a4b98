/* watch.h - learning that a key changed, without asking again and again
 *
 * The server tells (CLIENT TRACKING, Redis 6 and later): the next request after
 * watch_arm makes it remember who has read the key, and the first change after
 * that is told to the ear, a second connection that has subscribed to
 * __redis__:invalidate (RESP2 with REDIRECT).  Told once: then the watch must be
 * armed again.  On the way:
 *
 *   - a message is only a reason to look: it may be late, or about nothing (the
 *     server forgets keys when its table is full, and FLUSHDB of any db tells
 *     everybody);
 *   - what our own connection writes is not told, and disarms all the same;
 *   - an expiry is told when the server gets round to deleting the key: keep a
 *     timer;
 *   - the end of either connection is an end of the watch, and nobody says so to
 *     the other one: both are made anew.
 *
 * Nothing here is promised to arrive.  Who watches looks now and then anyway.
 */
#ifndef RLOCK_WATCH_H
#define RLOCK_WATCH_H

#include "base/clock.h"
#include "server/servers.h"

#include <stdbool.h>

enum watch_event {
	WATCH_NOTHING, /* until the deadline */
	WATCH_STOP,    /* the servers' stop_fd */
	WATCH_CHANGED, /* the key, probably */
	WATCH_FLUSHED, /* all keys of some db */
	WATCH_CALLED,  /* a message on our channel */
	WATCH_CUT,     /* a connection is over, and so is the watch */
};

struct watch {
	struct servers *servers; /* not owned */
	const char *key;	 /* not owned */
	const char *channel;	 /* not owned; NULL: none */
	bool armed;		 /* the next change will be told */
	msec reopen;	       /* not before; CLOCK_NEVER: the server refuses */
	msec opened;	       /* last; 0: never */
	int openings;	       /* in a row, one soon after the other */
	msec looked;	       /* last, because of a change; 0: never */
	int vain;	       /* looks in a row that found none */
	msec calm;	       /* no change is told before */
	enum watch_event held; /* what is told then */
};

void watch_init(struct watch *watch, struct servers *servers, const char *key,
		const char *channel);

/* Opens the ear and subscribes, if that has not been done or was undone.  Blocks
 * for a few exchanges, at most until limit.  False: it cannot be had now, or, if
 * the server refuses, never; it is not tried more often than makes sense. */
bool watch_open(struct watch *watch, msec limit);

bool watch_is_open(const struct watch *watch);

/* Closes the ear; the other connection stays. */
void watch_close(struct watch *watch);

/* The server has failed altogether: the watch may be tried as soon as that is. */
void watch_retry(struct watch *watch);

/* The next request over the servers, which must read the key, arms the watch;
 * without an open watch, nothing happens. */
void watch_arm(struct watch *watch);

/* What the look found to which WATCH_CHANGED or WATCH_FLUSHED led: the same
 * value or not, and when the key expires by what was known before and by what is
 * now (CLOCK_NEVER: it does not).  If nothing had changed many times in a row, the
 * next such event is held back for a moment, so that a server that forgets keys
 * all the time is not asked all the time. */
void watch_looked(struct watch *watch, bool same, msec before, msec after);

/* Waits for something to happen, at most until the deadline.  Where the ear is
 * not open, that is only the deadline or a stop. */
enum watch_event watch_wait(struct watch *watch, msec deadline);

#endif
