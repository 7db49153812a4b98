/* servers.h - from URLs to connections
 *
 * A lock speaks to "the servers" and never learns how many there are or how
 * they are found.  Today that is one server, reached directly.  A connection
 * is made when the first request needs it and made anew after a failure.
 *
 * In RESP2 a connection that has subscribed can send no requests, so who wants
 * to be told of something has a second one to the same server, the ear.  The
 * two stand and fall together: what the server sends to the ear it sends on
 * behalf of the first.
 */
#ifndef RLOCK_SERVERS_H
#define RLOCK_SERVERS_H

#include "base/clock.h"
#include "server/conn.h"

struct servers {
	const struct url *url; /* not owned */
	struct conn *conn;     /* NULL: not connected */
	struct conn *ear;      /* NULL: nothing is listened to */
	msec timeout;	       /* of each connect and of each answer */
	int stop_fd;	       /* readable: give up waiting; -1: nobody asks */
};

/* Connects to nobody yet.  url must outlive it. */
void servers_init(struct servers *servers, const struct url *url, msec timeout,
		  int stop_fd);
void servers_release(struct servers *servers);

/* One request, one reply, as conn_call has it; connects first if need be.
 * Blocks at most for the time-out twice (connect, answer), and not beyond
 * limit.  *sent is the time just before the request was sent (CLOCK_BOOTTIME),
 * untouched when it was not. */
enum fate servers_call(struct servers *servers, const struct request *req,
		       msec limit, msec *sent, struct reply **reply,
		       struct error *err);

/* The same over the ear, which is opened first if need be. */
enum fate servers_call_ear(struct servers *servers, const struct request *req,
			   msec limit, struct reply **reply, struct error *err);

/* Nothing is to be heard any more; the first connection stays. */
void servers_close_ear(struct servers *servers);

bool servers_have_ear(const struct servers *servers);

/* Are both connections there, and the server willing to track? */
bool servers_are_heard(const struct servers *servers);

/* Has the server refused, for good, to track what a request read? */
bool servers_refuse_tracking(const struct servers *servers);

/* The next request tells the server to track what it reads (CLIENT TRACKING
 * with OPTIN must be on).  False if nobody would hear of it. */
bool servers_track_next(struct servers *servers);

enum heard {
	HEARD_MESSAGE, /* *reply is the caller's to free */
	HEARD_NOTHING, /* until the deadline */
	HEARD_STOP,
	HEARD_END, /* a connection is over: both have been closed */
};

/* Waits for the next message, until the deadline.  Without an ear there is
 * nothing to be heard but a stop. */
enum heard servers_hear(struct servers *servers, msec deadline,
			struct reply **reply);

/* Sleeps until the deadline.  False if a stop came first. */
bool servers_pause(const struct servers *servers, msec deadline);

/* Drops the connections, so that the next request goes over a fresh one. */
void servers_hang_up(struct servers *servers);

/* For people: where we speak to, without a password. */
const char *servers_name(const struct servers *servers);

/* The db that scripts select, as they want it: decimal. */
int servers_db(const struct servers *servers);

#endif
