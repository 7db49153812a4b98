/* servers.c - from URLs to connections */
#include "server/servers.h"

#include "base/trace.h"
#include "server/url.h"

#include <stddef.h>

void servers_init(struct servers *servers, const struct url *url, msec timeout,
		  int stop_fd)
{
	servers->url = url;
	servers->conn = NULL;
	servers->ear = NULL;
	servers->timeout = timeout;
	servers->stop_fd = stop_fd;
}

void servers_release(struct servers *servers)
{
	servers_hang_up(servers);
}

void servers_hang_up(struct servers *servers)
{
	conn_close(servers->conn);
	conn_close(servers->ear);
	servers->conn = NULL;
	servers->ear = NULL;
}

void servers_close_ear(struct servers *servers)
{
	conn_close(servers->ear);
	servers->ear = NULL;
}

static struct patience patience(const struct servers *servers, msec limit)
{
	struct patience p = {
		.deadline = clock_after(clock_now(), servers->timeout),
		.stop_fd = servers->stop_fd,
	};

	if (limit < p.deadline)
		p.deadline = limit;
	return p;
}

/* One exchange on either connection, which is opened if need be. */
static enum fate exchange(struct servers *servers, struct conn **conn,
			  const struct request *req, msec limit, msec *sent,
			  struct reply **reply, struct error *err)
{
	struct patience p = patience(servers, limit);
	enum fate fate;

	*reply = NULL;
	if (!*conn)
		*conn = conn_open(servers->url, &p, err);
	if (!*conn)
		return FATE_UNSENT;
	p = patience(servers, limit);
	*sent = clock_now();
	fate = conn_call(*conn, req, &p, reply, err);
	if (fate != FATE_ANSWERED)
		trace("%s", err->text);
	if (!conn_is_usable(*conn))
		servers_hang_up(servers);
	return fate;
}

enum fate servers_call(struct servers *servers, const struct request *req,
		       msec limit, msec *sent, struct reply **reply,
		       struct error *err)
{
	bool fresh;
	enum fate fate;

	/* A connection that the server closed while nobody looked would take
	 * our bytes all the same, and leave the outcome in doubt. */
	if (servers->conn && !conn_is_quiet(servers->conn))
		servers_hang_up(servers);
	fresh = !servers->conn;
	fate = exchange(servers, &servers->conn, req, limit, sent, reply, err);
	/* It was closed since; nothing has gone out, so a new one may do. */
	if (fate == FATE_UNSENT && !fresh && !servers->conn && !err->stopped)
		fate = exchange(servers, &servers->conn, req, limit, sent,
				reply, err);
	return fate;
}

enum fate servers_call_ear(struct servers *servers, const struct request *req,
			   msec limit, struct reply **reply, struct error *err)
{
	bool fresh = !servers->ear;
	msec sent = 0;
	enum fate fate;

	fate = exchange(servers, &servers->ear, req, limit, &sent, reply, err);
	if (fresh && servers->ear)
		conn_keep_alive(servers->ear);
	return fate;
}

bool servers_have_ear(const struct servers *servers)
{
	return servers->ear != NULL;
}

bool servers_are_heard(const struct servers *servers)
{
	return servers->conn && servers->ear && conn_is_tracking(servers->conn);
}

bool servers_refuse_tracking(const struct servers *servers)
{
	return servers->conn && conn_refuses_tracking(servers->conn);
}

bool servers_track_next(struct servers *servers)
{
	/* It is for this connection: the next one would not be tracking. */
	if (servers->conn && !conn_is_quiet(servers->conn))
		servers_hang_up(servers);
	if (!servers_are_heard(servers))
		return false;
	conn_track_next(servers->conn);
	return true;
}

/* Waits for bytes on the ear; on the first connection, if there is one already,
 * they mean its end. */
static enum heard await(struct servers *servers, msec deadline)
{
	const struct conn *conn = servers->conn;
	struct patience p = {
		.deadline = deadline,
		.stop_fd = servers->stop_fd,
	};

	switch (conn_wait_either(servers->ear, conn, &p)) {
	case NET_LATE:
		return HEARD_NOTHING;
	case NET_STOPPED:
		return HEARD_STOP;
	default:
		return !conn || conn_is_quiet(conn) ? HEARD_MESSAGE : HEARD_END;
	}
}

enum heard servers_hear(struct servers *servers, msec deadline,
			struct reply **reply)
{
	enum heard heard = HEARD_MESSAGE;

	*reply = NULL;
	if (!servers->ear)
		return servers_pause(servers, deadline) ? HEARD_NOTHING
							: HEARD_STOP;
	while (heard == HEARD_MESSAGE) {
		if (!conn_next(servers->ear, reply))
			heard = HEARD_END;
		else if (*reply)
			return HEARD_MESSAGE;
		else
			heard = await(servers, deadline);
	}
	if (heard == HEARD_END)
		servers_hang_up(servers);
	return heard;
}

bool servers_pause(const struct servers *servers, msec deadline)
{
	struct patience p = {
		.deadline = deadline,
		.stop_fd = servers->stop_fd,
	};

	return net_wait(-1, 0, &p) != NET_STOPPED;
}

const char *servers_name(const struct servers *servers)
{
	return servers->url->shown;
}

int servers_db(const struct servers *servers)
{
	return servers->url->db;
}
