/* token.h - the value of a lock: make one, read one
 *
 *   rlock1:OWNER:PID:TTL:SINCE:MESSAGE:NONCE
 *
 * One line of printable ASCII without blanks, quotes or shell metacharacters.
 * OWNER (user@host) and MESSAGE are percent-encoded, TTL is in ms (0: never
 * expires), SINCE the holder's wall clock in Unix ms at the attempt that took
 * the lock, NONCE 128 random bits in hex.  The one atomic value tells who,
 * where, since when and why, and no second key can disagree with it.
 *
 * Anything that is not exactly of this form is foreign: respected, shown
 * escaped, never parsed.
 */
#ifndef RLOCK_TOKEN_H
#define RLOCK_TOKEN_H

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define TOKEN_MAX	  4096 /* bytes of any token */
#define TOKEN_OWNER_MAX	  255  /* bytes, before encoding */
#define TOKEN_MESSAGE_MAX 1024
#define TOKEN_NONCE_LEN	  32 /* hex digits */

/* A token to be held. */
struct token {
	char text[TOKEN_MAX + 1];
	size_t len;
	bool made;     /* by token_make: has a SINCE to be stamped */
	size_t prefix; /* bytes up to and with the colon before SINCE */
	char suffix[3 * TOKEN_MESSAGE_MAX + TOKEN_NONCE_LEN + 3];
};

/* Makes a new token; SINCE is the present until it is stamped.  owner and
 * message are at most TOKEN_OWNER_MAX and TOKEN_MESSAGE_MAX bytes.  False with
 * STATUS_SYSTEM when the kernel gives no random bits: nothing else will do. */
bool token_make(struct token *token, const char *owner, long pid, msec ttl,
		const char *message, struct error *err);

/* Takes the text, 1 to TOKEN_MAX bytes, as it is. */
void token_use(struct token *token, const char *text);

/* Sets SINCE of a token that was made; another one is left alone. */
void token_stamp(struct token *token, msec since);

/* Makes the id of one who waits to have the token: token-shaped, without a
 * message; since is when the wait began.  The nonce is that of the token where
 * rlock made it, so that a holder is known again, else one of its own: two with
 * one token wait as two.  False with STATUS_SYSTEM, as token_make. */
bool token_make_id(struct token *id, const struct token *token,
		   const char *owner, long pid, msec ttl, msec since,
		   struct error *err);

/* What a token of rlock says.  The texts are decoded, may hold anything but
 * NUL, and must be escaped before they are shown. */
struct token_fields {
	char owner[TOKEN_OWNER_MAX + 1];
	char message[TOKEN_MESSAGE_MAX + 1];
	long pid;
	msec ttl; /* 0: never expires */
	msec since;
};

/* False if the text is foreign; fields are then undefined. */
bool token_parse(const char *text, size_t len, struct token_fields *fields);

#endif
