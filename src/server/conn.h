/* conn.h - one connection to one server, speaking RESP2
 *
 * hiredis writes the requests and reads the replies; the sockets are ours
 * (net.h), because a lock needs one deadline for an exchange as a whole, a
 * wait that a signal ends, and an honest answer to "was it done?".
 *
 * The login (AUTH, CLIENT SETNAME) leaves in the same write as the first
 * request.  An AUTH that fails does not keep the server from running what
 * stands behind it, so a refused login may come with a reply all the same.
 *
 * The db is selected inside each script, not here: an error to a SELECT sent
 * ahead would not stop the script behind it, and the lock would land in db 0.
 *
 * Everything from the server is untrusted: one reply has at most 4 MB, 65,536
 * elements in all its arrays together, and arrays four deep, and so takes some
 * 20 MB of memory at the most; a longer one, and what is not RESP, ends the
 * connection.
 */
#ifndef RLOCK_CONN_H
#define RLOCK_CONN_H

#include "base/error.h"
#include "server/net.h"

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct reply;
struct url;

/* What became of one request. */
enum fate {
	FATE_ANSWERED, /* the reply is there, and is no error */
	FATE_REFUSED,  /* the server answered with an error: not done.  But a
			* reply beside it means: the login was refused, and
			* yet the request was carried out */
	FATE_UNSENT,   /* no byte of it was taken: not done */
	FATE_UNKNOWN,  /* sent, and no answer: done or not, who knows */
};

#define CONN_ARGS_MAX 16

struct request {
	int argc;
	const char *argv[CONN_ARGS_MAX];
	size_t len[CONN_ARGS_MAX];
};

/* Adds one argument; the text is not copied. */
void request_add(struct request *req, const char *text, size_t len);

/* Connects; blocks until the patience ends.  url must outlive it.  NULL with
 * err filled. */
struct conn *conn_open(const struct url *url, const struct patience *p,
		       struct error *err);
void conn_close(struct conn *conn);

/* Sends one request and waits for its reply until the patience ends; a stop in
 * the middle gives the reply another moment to come, because a request that
 * was sent should not stay in doubt.  *reply is the caller's to free.  After
 * any fate but FATE_ANSWERED with a usable connection, conn_is_usable is
 * false, and the connection can only be closed.  err is filled unless
 * FATE_ANSWERED. */
enum fate conn_call(struct conn *conn, const struct request *req,
		    const struct patience *p, struct reply **reply,
		    struct error *err);

bool conn_is_usable(const struct conn *conn);

/* What the next request reads is to be tracked: CLIENT CACHING YES leaves in
 * the same write.  For a connection in the mode CLIENT TRACKING ON OPTIN. */
void conn_track_next(struct conn *conn);

/* False once the server has not done that: for now, or, if it refuses, never. */
bool conn_is_tracking(const struct conn *conn);
bool conn_refuses_tracking(const struct conn *conn);

/* The next message that the server sent unasked, on a connection that has
 * subscribed; *reply is the caller's to free, NULL if none is there.  Does not
 * block.  False if the connection is over. */
bool conn_next(struct conn *conn, struct reply **reply);

/* Sleeps until the server has said something on either connection (b may be
 * NULL), or has closed it, or the patience ends; a stop comes first. */
enum net_outcome conn_wait_either(const struct conn *a, const struct conn *b,
				  const struct patience *p);

/* For a connection that may be silent for long: a peer that is gone without a
 * word is found out in half a minute (TCP). */
void conn_keep_alive(const struct conn *conn);

/* Is the connection, between two requests, as quiet as it should be?  Not, if
 * the server has closed it, or has said what nobody asked for. */
bool conn_is_quiet(const struct conn *conn);

void reply_free(struct reply *reply);

/* The i-th element of an array; NULL if there is none. */
const struct reply *reply_at(const struct reply *reply, size_t i);
size_t reply_count(const struct reply *reply);

/* False, and nothing set, if reply is NULL or of another type. */
bool reply_integer(const struct reply *reply, long long *value);
bool reply_text(const struct reply *reply, const char **text, size_t *len);

#endif
