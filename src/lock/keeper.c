/* keeper.c - renew the lease from its own thread */
#include "lock/keeper.h"

#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After a failed renewal, doubled up to the time between renewals. */
#define BACKOFF_FIRST ((msec)50)
#define BACKOFF_MAX   ((msec)1000)

/* A report is written in one piece, or not at all: Linux promises that for a
 * page (PIPE_BUF). */
_Static_assert(sizeof(struct keeper_report) <= PIPE_BUF,
	       "one write, one report");

struct keeper {
	pthread_t thread;
	int stop[2];	/* main closes [1]; the thread waits on [0] */
	int reports[2]; /* the thread writes [1]; main reads [0] */
	msec every;
	struct servers servers; /* from here on the thread's own */
	struct lock lock;
	struct holder holder;
};

static void report(struct keeper *keeper, enum keeper_news news, bool no_lock,
		   const char *text, size_t len)
{
	struct keeper_report r = {
		.news = news,
		.lease_end = keeper->lock.lease_end,
		.gone = text == NULL,
		.no_lock = no_lock,
	};

	r.text_len = len < sizeof(r.text) ? len : sizeof(r.text) - 1;
	if (text)
		memcpy(r.text, text, r.text_len);
	/* A pipe that is full means that main is stopped; it will look at its
	 * own clock when it goes on. */
	while (write(keeper->reports[1], &r, sizeof(r)) < 0 && errno == EINTR)
		;
}

/* One renewal.  True if the lock is still ours, as far as is known; *backoff
 * is the time until the next try after a failure, 0 after a success. */
static bool renew(struct keeper *keeper, msec *backoff)
{
	struct lock *lock = &keeper->lock;
	msec limit = clock_after(clock_now(), keeper->every);
	struct error err;
	msec left = 0;

	switch (lock_extend(lock, LOCK_EXTEND_ANEW, lock->ttl, limit, &left,
			    &keeper->holder, &err)) {
	case LOCK_OK:
		trace("renewed for %" PRId64 " ms", lock->ttl);
		report(keeper, KEEPER_RENEWED, false, "", 0);
		*backoff = 0;
		return true;
	case LOCK_GONE:
		report(keeper, KEEPER_LOST, false, NULL, 0);
		return false;
	case LOCK_HELD:
		report(keeper, KEEPER_LOST, false, keeper->holder.value,
		       keeper->holder.len);
		return false;
	case LOCK_NO_LOCK:
		report(keeper, KEEPER_LOST, true, err.text, strlen(err.text));
		return false;
	default:
		if (!err.stopped)
			report(keeper, KEEPER_TROUBLE, false, err.text,
			       strlen(err.text));
		servers_hang_up(&keeper->servers);
		*backoff = *backoff ? 2 * *backoff : BACKOFF_FIRST;
		if (*backoff > BACKOFF_MAX)
			*backoff = BACKOFF_MAX;
		return true;
	}
}

/* Renews until the lock is lost or main closes the pipe.  When the lease has
 * run out it goes on trying: main decides by its own clock, and an answer that
 * comes then is a plain one. */
static void *keep(void *arg)
{
	struct keeper *keeper = arg;
	msec backoff = 0;
	msec wait = keeper->every;

	while (servers_pause(&keeper->servers,
			     clock_after(clock_now(), wait))) {
		if (!renew(keeper, &backoff))
			break;
		wait = keeper->every;
		if (backoff && backoff < wait)
			wait = backoff;
	}
	servers_release(&keeper->servers);
	return NULL;
}

static void close_pipes(struct keeper *keeper)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (keeper->stop[i] >= 0)
			close(keeper->stop[i]);
		if (keeper->reports[i] >= 0)
			close(keeper->reports[i]);
	}
}

struct keeper *keeper_start(const struct lock *lock, msec every,
			    struct error *err)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int errnum = ENOMEM;

	if (!keeper)
		goto out;
	keeper->stop[0] = keeper->stop[1] = -1;
	keeper->reports[0] = keeper->reports[1] = -1;
	if (pipe2(keeper->stop, O_CLOEXEC) ||
	    pipe2(keeper->reports, O_CLOEXEC | O_NONBLOCK)) {
		errnum = errno;
		goto out;
	}
	keeper->every = every;
	servers_init(&keeper->servers, lock->servers->url,
		     lock->servers->timeout, keeper->stop[0]);
	keeper->lock = *lock;
	keeper->lock.servers = &keeper->servers;
	errnum = pthread_create(&keeper->thread, NULL, keep, keeper);
	if (!errnum)
		return keeper;
out:
	error_errno(err, STATUS_SYSTEM, errnum, "cannot start the keeper");
	if (keeper)
		close_pipes(keeper);
	free(keeper);
	return NULL;
}

int keeper_fd(const struct keeper *keeper)
{
	return keeper->reports[0];
}

bool keeper_next(struct keeper *keeper, struct keeper_report *report)
{
	return read(keeper->reports[0], report, sizeof(*report)) ==
	       (ssize_t)sizeof(*report);
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	close(keeper->stop[1]);
	keeper->stop[1] = -1;
	pthread_join(keeper->thread, NULL);
	close_pipes(keeper);
	free(keeper);
}
