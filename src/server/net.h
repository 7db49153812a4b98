/* net.h - bytes to and from one address, with a deadline
 *
 * Non-blocking stream sockets over TCP or a Unix path, always close-on-exec
 * and never a cause of SIGPIPE.  Every wait ends at a deadline (CLOCK_BOOTTIME)
 * or when the caller's stop descriptor becomes readable: a signal in the main
 * thread, the end of the keeper's pipe in the keeper.
 */
#ifndef RLOCK_NET_H
#define RLOCK_NET_H

#include "base/clock.h"
#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

struct url;

/* How long to be patient: until deadline, or until stop_fd (-1: none) becomes
 * readable. */
struct patience {
	msec deadline;
	int stop_fd;
};

enum net_outcome {
	NET_READY,
	NET_LATE,    /* the deadline has passed */
	NET_STOPPED, /* stop_fd is readable */
};

/* Sleeps until fd is ready for events (fd -1: nothing but the end of patience
 * ends the sleep). */
enum net_outcome net_wait(int fd, short events, const struct patience *p);

/* The same until either of two can be read; a stop comes before what is ready. */
enum net_outcome net_wait_either(int a, int b, const struct patience *p);

/* Connects.  A numeric address asks nobody; a host name asks the resolver,
 * which blocks by its own rules (resolv.conf) and hears no signal meanwhile;
 * each of its addresses is tried in turn within the deadline.  Returns the
 * socket, which the caller closes, or -1 with err filled. */
int net_connect(const struct url *url, const struct patience *p,
		struct error *err);

/* Lets the kernel find out, within half a minute of silence, that a peer is gone
 * without a word.  A Unix socket needs no such thing. */
void net_keep_alive(int fd);

/* Writes as much as goes without blocking: the bytes written, 0 when none went
 * (wait for POLLOUT), -1 with errno set when the connection is over. */
ssize_t net_write(int fd, const char *bytes, size_t len);

/* The same for reading; the end of the stream is -1 with ECONNRESET. */
ssize_t net_read(int fd, char *bytes, size_t size);

#endif
