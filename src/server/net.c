/* net.c - bytes to and from one address, with a deadline */
#include "server/net.h"

#include "base/trace.h"
#include "server/url.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of the descriptors the last is the one that stops. */
static enum net_outcome wait_for(struct pollfd fds[static 3],
				 const struct patience *p)
{
	for (;;) {
		int n = poll(fds, 3, clock_poll_timeout(p->deadline));

		/* What is ready counts before a signal and before the clock:
		 * a reply that has come must not be thrown away. */
		if (n > 0 && (fds[0].revents || fds[1].revents))
			return NET_READY;
		if (n > 0)
			return NET_STOPPED;
		if (clock_now() >= p->deadline)
			return NET_LATE;
	}
}

enum net_outcome net_wait(int fd, short events, const struct patience *p)
{
	struct pollfd fds[3] = {
		{ .fd = fd, .events = events },
		{ .fd = -1 },
		{ .fd = p->stop_fd, .events = POLLIN },
	};

	return wait_for(fds, p);
}

enum net_outcome net_wait_either(int a, int b, const struct patience *p)
{
	struct pollfd fds[3] = {
		{ .fd = a, .events = POLLIN },
		{ .fd = b, .events = POLLIN },
		{ .fd = p->stop_fd, .events = POLLIN },
	};
	enum net_outcome how = wait_for(fds, p);

	/* Here a stop comes first: a stream of messages must not hold it up. */
	return how == NET_READY && fds[2].revents ? NET_STOPPED : how;
}

/* The outcome of a connect that was under way, as an errno; 0: connected. */
static int await_connect(int fd, const struct patience *p)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	switch (net_wait(fd, POLLOUT, p)) {
	case NET_LATE:
		return ETIMEDOUT;
	case NET_STOPPED:
		return ECANCELED;
	case NET_READY:
		break;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len))
		return errno;
	return errnum;
}

/* Connects to one address: a socket, or -1 with *errnum set. */
static int connect_to(const struct sockaddr *addr, socklen_t len,
		      const struct patience *p, int *errnum)
{
	int fd = socket(addr->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	*errnum = fd < 0 ? errno : 0;
	if (fd < 0)
		return -1;
	if (addr->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, addr, len) == 0)
		return fd;
	*errnum = errno;
	if (*errnum == EINPROGRESS || *errnum == EINTR)
		*errnum = await_connect(fd, p);
	if (*errnum == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_unix(const struct url *url, const struct patience *p,
			int *errnum)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(url->path); /* url_parse keeps it short enough */
	int fd;

	memcpy(addr.sun_path, url->path, len + 1);
	/* A full backlog is EAGAIN here, not EINPROGRESS, and nothing tells
	 * when there is room again. */
	while ((fd = connect_to((struct sockaddr *)&addr, sizeof(addr), p,
				errnum)) < 0 &&
	       *errnum == EAGAIN) {
		struct patience nap = *p;

		nap.deadline = clock_after(clock_now(), 10);
		if (nap.deadline > p->deadline)
			*errnum = ETIMEDOUT;
		else if (net_wait(-1, 0, &nap) == NET_STOPPED)
			*errnum = ECANCELED;
		if (*errnum != EAGAIN)
			return -1;
	}
	return fd;
}

/* Numeric addresses first, without the resolver and all that it loads. */
static int resolve(const struct url *url, struct addrinfo **list)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	int code = getaddrinfo(url->host, url->port, &hints, list);

	if (code != EAI_NONAME)
		return code;
	hints.ai_flags = AI_NUMERICSERV;
	return getaddrinfo(url->host, url->port, &hints, list);
}

static int connect_tcp(const struct url *url, const struct patience *p,
		       int *errnum, struct error *err)
{
	struct addrinfo *list = NULL;
	struct addrinfo *at;
	int code = resolve(url, &list);
	int fd = -1;

	if (code) {
		error_set(err, STATUS_UNAVAILABLE,
			  "cannot resolve host of '%s': %s", url->shown,
			  code == EAI_SYSTEM ? strerror(errno)
					     : gai_strerror(code));
		return -1;
	}
	for (at = list; at && fd < 0; at = at->ai_next) {
		fd = connect_to(at->ai_addr, at->ai_addrlen, p, errnum);
		if (fd < 0 && *errnum == ECANCELED)
			break;
	}
	freeaddrinfo(list);
	return fd;
}

int net_connect(const struct url *url, const struct patience *p,
		struct error *err)
{
	int errnum = 0;
	int fd;

	fd = url->path ? connect_unix(url, p, &errnum)
		       : connect_tcp(url, p, &errnum, err);
	if (fd >= 0) {
		trace("connected to '%s'", url->shown);
		return fd;
	}
	if (errnum) {
		enum status status = errnum == EACCES || errnum == EPERM
					     ? STATUS_DENIED
					     : STATUS_UNAVAILABLE;

		error_errno(err, status, errnum, "cannot connect to '%s'",
			    url->shown);
		err->stopped = errnum == ECANCELED;
	}
	return -1;
}

void net_keep_alive(int fd)
{
	int on = 1;
	int idle = 15; /* seconds of silence before the first question */
	int every = 5; /* seconds between two */
	int count = 3; /* without an answer, and it is over */

	/* On a Unix socket the options of TCP fail, and nothing is lost. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

ssize_t net_write(int fd, const char *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

ssize_t net_read(int fd, char *bytes, size_t size)
{
	ssize_t n = recv(fd, bytes, size, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0)
		errno = ECONNRESET;
	return n > 0 ? n : -1;
}
