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

struct lock {
	struct servers *servers; /* not owned */
	const char *name;	 /* not owned; 1 to LOCK_NAME_MAX bytes */
	char fence_key[LOCK_NAME_MAX + 16];
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

/* Reads a holder's token; a longer one than the room is cut. */
void holder_set(struct holder *holder, const char *token, size_t len);

/* False, and why in err (STATUS_USAGE), if it cannot name a lock. */
bool lock_name_check(const char *name, struct error *err);

/* Prepares; speaks to nobody.  The token is set by the caller. */
void lock_init(struct lock *lock, struct servers *servers, const char *name,
	       msec ttl);

/* One attempt to take the lock, not beyond limit.  LOCK_OK: the lease runs.
 * LOCK_ALREADY: as LOCK_OK.  LOCK_HELD.  LOCK_NO_LOCK.  LOCK_FAILED: not
 * taken, unless lock->doubt says otherwise: then ask again or lock_abandon it.  An answer
 * that comes after the lease it grants is LOCK_FAILED, and given back. */
enum lock_outcome lock_acquire(struct lock *lock, msec limit,
			       struct holder *holder, struct error *err);

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

/* Who holds it, not beyond limit: LOCK_HELD (whoever it is), LOCK_GONE,
 * LOCK_NO_LOCK or LOCK_FAILED. */
enum lock_outcome lock_look(struct lock *lock, msec limit,
			    struct holder *holder, struct error *err);

/* The names of all locks that have a fence key, sorted, each once, in a
 * NULL-ended array; not all of them are held.  Free it with lock_names_free.
 * NULL with err filled. */
char **lock_names(struct servers *servers, struct error *err);
void lock_names_free(char **names);

#endif
