/* lock.h - the lock itself: take it, free it, renew it, look at it
 *
 * The protocol, which redis-py's and valkey-py's Lock share:
 *
 *   - the lock NAME is a string key of that name, verbatim, that exists while
 *     somebody holds it; its value is the holder's token, verbatim; its expiry
 *     is the TTL;
 *   - taking it is one atomic step, absent -> set with expiry.  All others
 *     compare the token and act in one atomic step.  Each step is one Lua
 *     script (scripts/), sent whole with EVAL: the server caches it by content,
 *     and nothing breaks after SCRIPT FLUSH or a failover;
 *   - none of them makes a lock that is gone, but for lock_acquire;
 *   - beside the lock stands its fence key, "FENCE TOKEN".  It speaks for the
 *     lock only while TOKEN is the lock's value.  FENCE is max(previous + 1,
 *     server time in us) at each acquisition, so it grows even when the key
 *     was lost.  The key is in the lock's cluster slot and always expires:
 *     after max(24 h, 2 x TTL), or a year for a lock that never does.
 *
 *   - beside it, too, is the line of those who wait: two sorted sets, who has
 *     which ticket and who has been there lately, and a channel for each
 *     waiter, on which it is told that it is the first.  acquire.lua keeps
 *     them, line.h waits.
 *
 * Replies that do not come.  The token is chosen once, and acquiring again with
 * it succeeds again: so an acquisition whose answer is lost is asked again,
 * byte for byte, over a fresh connection.  A release that finds nothing after a
 * lost answer is a release.  A renewal is always to an absolute TTL.  Only
 * "extend by" cannot be asked twice.
 *
 * The lease is what the holder may count on: TTL less 1 % and 2 ms, on
 * CLOCK_BOOTTIME, from before the first request that may have taken the lock
 * was sent.  So we give up before the server does, whatever the network does.
 * It does not survive a server that loses its data, a failover to a replica
 * that had not heard of the lock, or a jump of the server's clock: against
 * these only a resource that checks the fence is safe.
 *
 * Every function here blocks for at most a few time-outs of the servers, and
 * none of them waits for a holder: line.h does.
 */
#ifndef RLOCK_LOCK_H
#define RLOCK_LOCK_H

#include "base/clock.h"
#include "base/error.h"
#include "lock/token.h"
#include "server/servers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCK_NAME_MAX 1024

enum lock_outcome {
	LOCK_OK,	 /* done */
	LOCK_ALREADY,	 /* acquire: this token held it before; TTL set anew */
	LOCK_HELD,	 /* somebody holds it: see the holder */
	LOCK_PROMISED,	 /* acquire: nobody holds it, but others wait before us:
			  * see the place */
	LOCK_GONE,	 /* nobody holds it: it expired, or was released */
	LOCK_PERSISTENT, /* extend: it never expires, nothing to extend */
	LOCK_NO_LOCK,	 /* the key is no string: nobody's lock; err says so */
	LOCK_FAILED,	 /* could not find out: err says why */
};

/* Who has the lock, as the server told. */
struct holder {
	char value[TOKEN_MAX + 2]; /* the token; longer than TOKEN_MAX: cut */
	size_t len;
	bool foreign; /* not a token of rlock's: no fields */
	struct token_fields fields;
	msec expires_in; /* -1: never */
	uint64_t fence;	 /* lock_look only; 0: it has none */
};

/* A place in the line of those who wait, as the server told. */
struct place {
	const struct token *id; /* not owned; NULL: we wait for nothing */
	bool called;		/* we hear when we are called */
	bool joined;		/* we may be in line, as far as is known */
	char ticket[24];	/* "0": none yet; ours for good */
	int before;		/* this many are before us; -1: not in line */
	int count;		/* this many are in line */
	msec due;   /* until then the one before us must have come again:
				 * so many ms from the answer; -1: nobody must */
	bool known; /* who the other is: */
	struct token_fields other; /* the one before us, or, if we are not in
				    * line, the first */
};

/* Those who wait. */
struct waiters {
	size_t count; /* in line; at most LOCK_WAITERS_MAX of them are told */
	size_t told;
	struct waiter {
		bool known; /* else it is not rlock that waits: no fields */
		struct token_fields fields;
	} * list; /* in order; owned: lock_waiters_release */
};

#define LOCK_WAITERS_MAX 1000

#define LOCK_HELPER_MAX (LOCK_NAME_MAX + 16)

struct lock {
	struct servers *servers; /* not owned */
	const char *name;	 /* not owned; 1 to LOCK_NAME_MAX bytes */
	char fence_key[LOCK_HELPER_MAX];
	char queue_key[LOCK_HELPER_MAX];
	char seen_key[LOCK_HELPER_MAX];
	struct token token;
	msec ttl; /* 0: never expires */

	uint64_t fence; /* of our acquisition; 0: none */
	msec since;	/* wall clock at the attempt that took it */
	msec taken;	/* CLOCK_BOOTTIME before the request that took it */
	msec lease_end; /* CLOCK_BOOTTIME; CLOCK_NEVER without a TTL */
	msec doubt;	/* an acquisition was sent then and is unanswered: the
			 * lock may be ours, unknown to us; -1: no doubt */
};

/* Is it exactly this token?  A holder's value may hold any byte, NUL too. */
bool holder_is(const struct holder *holder, const char *token, size_t len);

/* When the lock will expire by what the holder's TTL was a moment ago
 * (CLOCK_BOOTTIME; CLOCK_NEVER: it will not). */
msec holder_end(const struct holder *holder);

/* Reads a holder's token; a longer one than the room is cut. */
void holder_set(struct holder *holder, const char *token, size_t len);

/* False, and why in err (STATUS_USAGE), if it cannot name a lock. */
bool lock_name_check(const char *name, struct error *err);

/* Prepares; speaks to nobody.  The token is set by the caller. */
void lock_init(struct lock *lock, struct servers *servers, const char *name,
	       msec ttl);

void place_init(struct place *place, const struct token *id);

/* The channel on which a waiter is called. */
#define LOCK_CHANNEL_MAX (LOCK_HELPER_MAX + TOKEN_MAX)
void lock_channel(const struct lock *lock, const struct token *id,
		  char channel[static LOCK_CHANNEL_MAX]);

/* One attempt to take the lock, not beyond limit; stay: if that fails, wait in
 * line (place->id must be set), else be in none.  A waiter is in line for six
 * seconds after each attempt; one that cannot be called for 2.4 s, because
 * nobody can find out in another way that it is gone.  LOCK_OK: the lease runs, and
 * we are in no line.  LOCK_ALREADY: as LOCK_OK.  LOCK_HELD and LOCK_PROMISED:
 * place is set, and the holder for the former.  LOCK_NO_LOCK.  LOCK_FAILED: not
 * taken, unless lock->doubt says otherwise: then ask again or lock_abandon it.
 * An answer that comes after the lease it grants is LOCK_FAILED, and given
 * back. */
enum lock_outcome lock_acquire(struct lock *lock, struct place *place,
			       bool stay, msec limit, struct holder *holder,
			       struct error *err);

/* Leaves the line, if we may be in one; blocks for a twentieth of a second at
 * the most and heeds no stop.  A server that does not hear of it forgets us in
 * six seconds. */
void lock_leave(struct lock *lock, struct place *place);

#define LOCK_UNDO (-1) /* leave no trace: the fence goes too */

/* Frees the lock if the token owns it; with hold, lets it expire after that
 * many ms instead, or LOCK_UNDO.  LOCK_OK, LOCK_GONE, LOCK_HELD, LOCK_NO_LOCK,
 * LOCK_FAILED. */
enum lock_outcome lock_release(struct lock *lock, msec hold, msec limit,
			       struct holder *holder, struct error *err);

/* Settles an acquisition in doubt by releasing over a fresh connection; blocks
 * for a tenth of a second at the most (a host name may take the resolver
 * longer) and heeds no stop.  True: nothing of ours is left on the server.
 * False: still in doubt, tell the user the token.  Only a lock that was found
 * and removed ends the doubt: the request may be slower than the release. */
bool lock_abandon(struct lock *lock);

enum lock_extend_mode {
	LOCK_EXTEND_BY,	  /* add to the remaining TTL; asked only once */
	LOCK_EXTEND_TO,	  /* set the remaining TTL */
	LOCK_EXTEND_ANEW, /* the same, also if it never expired; 0: it never
			   * will.  A renewal */
};

/* Changes how long the lock will live, if the token owns it.  LOCK_OK: fence,
 * lease_end and *left (remaining TTL; -1: never expires) are set.  LOCK_GONE,
 * LOCK_HELD, LOCK_PERSISTENT, LOCK_NO_LOCK, LOCK_FAILED. */
enum lock_outcome lock_extend(struct lock *lock, enum lock_extend_mode mode,
			      msec span, msec limit, msec *left,
			      struct holder *holder, struct error *err);

/* Who holds it, not beyond limit, and who waits (waiters NULL: nobody asks):
 * LOCK_HELD (whoever it is), LOCK_GONE, LOCK_NO_LOCK or LOCK_FAILED. */
enum lock_outcome lock_look(struct lock *lock, msec limit,
			    struct holder *holder, struct waiters *waiters,
			    struct error *err);
void lock_waiters_release(struct waiters *waiters);

/* The names of all locks that have a fence key, sorted, each once, in a
 * NULL-ended array; not all of them are held.  Free it with lock_names_free.
 * NULL with err filled. */
char **lock_names(struct servers *servers, struct error *err);
void lock_names_free(char **names);

#endif
