/* session.h - what every command begins and ends with
 *
 * A session is one lock on one way to a server, with the token the command
 * works with.  Nothing is connected until the lock is asked for.
 */
#ifndef RLOCK_SESSION_H
#define RLOCK_SESSION_H

#include "base/tokenfile.h"
#include "commands/options.h"
#include "lock/lock.h"
#include "process/signals.h"

#include <stdbool.h>

struct session {
	const struct options *options;
	struct servers servers;
	struct lock lock;
	struct holder holder;		 /* the last answer's */
	struct place place;		 /* where we stood in the line */
	char owner[TOKEN_OWNER_MAX + 1]; /* who takes the lock, or waits */
	long pid;
	struct tokenfile file; /* where the token came from */
	bool from_file;
	bool already;  /* held with this token before we took it */
	bool enclosed; /* not obtained: our own caller holds it */
};

/* stop_fd: readable when waiting must end; -1: signals do as they always do. */
void session_open(struct session *session, const struct options *options,
		  const char *name, int stop_fd);
void session_close(struct session *session);

/* From now on the session is about another lock; the token stays. */
void session_turn_to(struct session *session, const char *name);

/* Reads the token from --token or --token-file.  True if there is one; false
 * with err->status STATUS_OK if none was given, or STATUS_DATA. */
bool session_load_token(struct session *session, struct error *err);

/* The same, but a token must be given (STATUS_USAGE). */
bool session_need_token(struct session *session, struct error *err);

/* Makes the token that an acquisition by pid shall have, or takes the one
 * given. */
bool session_make_token(struct session *session, long pid, struct error *err);

/* Takes the lock as acquire and run do, waiting as the options say, and reports
 * whatever comes between.  True: it is held, the lease runs.  False: that has
 * been reported, nothing is left on the server or its fate was told, *status is
 * the exit status (which may be 0: -E 0), and *death the signal that ended the
 * wait, or 0. */
bool session_take(struct session *session, struct signals *signals, int *status,
		  int *death);

/* Reports a failure on the way to the lock, and what may be left of it; a signal
 * that ended it goes to *death.  Returns the exit status. */
int session_not_taken(struct session *session, struct signals *signals,
		      int *death, const struct error *err);

/* Reports that the token does not own the lock: gone, or somebody else's.
 * Returns STATUS_NOT_OURS. */
int session_not_ours(const struct session *session, enum lock_outcome outcome);

/* Changes how long the lock lives, reports, and returns the exit status. */
int session_extend(struct session *session, enum lock_extend_mode mode,
		   msec span);

/* With --json, prints what is now known of the lease: left in ms, -1 for ever.
 * Returns the exit status. */
int session_print_lease(const struct session *session, msec left);

/* Frees the lock after something else went wrong; if that fails too, tells its
 * fate.  One that was held with this token before stays. */
void session_give_back(struct session *session);

#endif
