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
	servers->conn = NULL;
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

enum fate servers_call(struct servers *servers, const struct request *req,
		       msec limit, msec *sent, struct reply **reply,
		       struct error *err)
{
	struct patience p = patience(servers, limit);
	enum fate fate;

	*reply = NULL;
	/* A connection that the server closed while nobody looked would take
	 * our bytes all the same, and leave the outcome in doubt. */
	if (servers->conn && !conn_is_quiet(servers->conn))
		servers_hang_up(servers);
	if (!servers->conn)
		servers->conn = conn_open(servers->url, &p, err);
	if (!servers->conn)
		return FATE_UNSENT;
	p = patience(servers, limit);
	*sent = clock_now();
	fate = conn_call(servers->conn, req, &p, reply, err);
	if (fate != FATE_ANSWERED)
		trace("%s", err->text);
	if (!conn_is_usable(servers->conn))
		servers_hang_up(servers);
	return fate;
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
