/* wire.c - a server made of bytes, in the place of net.c, a clock that waits for
 * nobody, and a file */
#include "wire.h"

#include "fuzz.h"
#include "server/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sanitizer/allocator_interface.h>
#include <unistd.h>

#define FS 0x1c
#define GS 0x1d
#define RS 0x1e

#define LATER	   ((msec)100)
#define FDS_MAX	   64
#define BEGIN	   ((msec)1000000)
#define BEGIN_WALL ((msec)1700000000000)
/* What a client may have in use while it reads: buffers of its own, and a reply
 * of which little has come. */
#define ROOM_MAX ((size_t)2 << 20)

static struct {
	const uint8_t *at;
	const uint8_t *end;
	bool stops;
	msec now;
	size_t used; /* memory at the start */
} wire;

/* What is on the way to each client, by its descriptor. */
static struct peer {
	const uint8_t *at;
	const uint8_t *end;
	msec when;    /* the next packet comes */
	bool closing; /* behind it */
} peers[FDS_MAX];

msec __wrap_clock_now(void);
msec __wrap_clock_wall(void);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);

msec __wrap_clock_now(void)
{
	return wire.now;
}

msec __wrap_clock_wall(void)
{
	return BEGIN_WALL + wire.now;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	static char text[] = "a-password\n";

	/* libFuzzer's own files, not rlock's. */
	if (strcmp(mode, "re"))
		return __real_fopen(path, mode);
	return strchr(path, '0') ? NULL : fmemopen(text, strlen(text), mode);
}

void wire_open(const uint8_t *script, size_t size, bool stops)
{
	wire.at = script;
	wire.end = script + size;
	wire.stops = stops;
	wire.now = BEGIN;
	wire.used = __sanitizer_get_current_allocated_bytes();
	memset(peers, 0, sizeof(peers));
}

void wire_close(void)
{
	int fd;

	/* A descriptor that was closed cannot be asked for its flags. */
	for (fd = 0; fd < FDS_MAX; fd++)
		must(!peers[fd].end || fcntl(fd, F_GETFD) < 0);
}

static bool is_over(void)
{
	return wire.at == wire.end;
}

/* Puts the next answer on the way.  To a client that has not read the last one,
 * it is lost. */
static void answer(struct peer *peer)
{
	const uint8_t *p = wire.at;

	if (is_over()) {
		peer->closing = true;
		return;
	}
	while (p < wire.end && *p != RS && *p != GS)
		p++;
	if (peer->at == peer->end) {
		peer->at = wire.at;
		peer->end = p;
	}
	peer->closing = p < wire.end && *p == GS;
	wire.at = p < wire.end ? p + 1 : p;
}

static bool is_ready(const struct peer *peer)
{
	if (peer->at < peer->end)
		return wire.now >= peer->when;
	return peer->closing;
}

int net_connect(const struct url *url, const struct patience *p,
		struct error *err)
{
	struct peer *peer;
	int fd;

	(void)url;
	if (is_over()) {
		wire.now = clock_later(
			wire.now, clock_earlier(wire.now + LATER, p->deadline));
		error_set(err, STATUS_UNAVAILABLE, "nobody listens");
		return -1;
	}
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	must(fd >= 0 && fd < FDS_MAX);
	peer = &peers[fd];
	*peer = (struct peer){ .at = wire.at, .end = wire.at };
	if (*wire.at == GS) {
		wire.at++;
		answer(peer);
		peer->closing = true;
	}
	return fd;
}

void net_keep_alive(int fd)
{
	(void)fd;
}

ssize_t net_write(int fd, const char *bytes, size_t len)
{
	struct peer *peer = &peers[fd];
	size_t i;

	/* Whatever is sent has been initialised. */
	for (i = 0; i < len; i++)
		*(volatile const char *)(bytes + i);
	if (peer->closing) {
		errno = EPIPE;
		return -1;
	}
	answer(peer);
	return (ssize_t)len;
}

ssize_t net_read(int fd, char *bytes, size_t size)
{
	struct peer *peer = &peers[fd];
	size_t n = 0;

	must(__sanitizer_get_current_allocated_bytes() < wire.used + ROOM_MAX);
	if (!is_ready(peer))
		return 0;
	while (n < size && peer->at < peer->end && *peer->at != FS)
		bytes[n++] = (char)*peer->at++;
	if (peer->at < peer->end && *peer->at == FS) {
		peer->at++;
		peer->when = wire.now + LATER;
		return (ssize_t)n;
	}
	if (n)
		return (ssize_t)n;
	errno = ECONNRESET;
	return -1;
}

/* Nobody is ready: time goes by, until one is, or the end of patience. */
static enum net_outcome pass(const struct peer *a, const struct peer *b,
			     const struct patience *p)
{
	msec until = p->deadline;

	if (p->stop_fd >= 0 && wire.stops && is_over())
		return NET_STOPPED;
	if (a && a->at < a->end && a->when < until)
		until = a->when;
	if (b && b->at < b->end && b->when < until)
		until = b->when;
	must(until != CLOCK_NEVER);
	if (until > wire.now)
		wire.now = until;
	return until < p->deadline ? NET_READY : NET_LATE;
}

enum net_outcome net_wait(int fd, short events, const struct patience *p)
{
	struct peer *peer = fd < 0 ? NULL : &peers[fd];

	if (peer && (events & POLLOUT || is_ready(peer)))
		return NET_READY;
	if (p->deadline <= wire.now && !(p->stop_fd >= 0))
		return NET_LATE;
	return pass(peer, NULL, p);
}

enum net_outcome net_wait_either(int a, int b, const struct patience *p)
{
	struct peer *ear = &peers[a];
	struct peer *other = b < 0 ? NULL : &peers[b];

	if (p->stop_fd >= 0 && wire.stops && is_over())
		return NET_STOPPED;
	if (is_ready(ear) || (other && is_ready(other)))
		return NET_READY;
	if (ear->at == ear->end) {
		answer(ear);
		if (is_ready(ear))
			return NET_READY;
	}
	return pass(ear, other, p);
}
