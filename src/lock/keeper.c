/* keeper.c - renew the lease from its own thread */
#include "lock/keeper.h"

#include "base/pipe.h"
#include "base/trace.h"
#include "lock/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After a failed renewal, doubled up to the time between renewals. */
#define BACKOFF_FIRST ((msec)20)
#define BACKOFF_MAX   ((msec)1000)

/* A command that ends sooner is not worth a connection. */
#define SETTLING ((msec)20)
/* A look may put a renewal off by so much, and no more. */
#define LOOK_MIN     ((msec)20)
#define AFTER_EXPIRY ((msec)2) /* the server's clock has ticked over */

/* A report is written in one piece, or not at all: Linux promises that for a
 * page (PIPE_BUF). */
_Static_assert(sizeof(struct keeper_report) <= PIPE_BUF,
	       "one write, one report");

struct keeper {
	pthread_t thread;
	int stop[2];	/* main closes [1]; the thread waits on [0] */
	int reports[2]; /* the thread writes [1]; main reads [0] */
	msec every;
	_Atomic(msec) *lease_end; /* for all to see */
	struct servers servers;	  /* from here on the thread's own */
	struct lock lock;
	struct watch watch;
	struct holder holder;
	msec expires;  /* when the key does, as a look saw; 0: not since the
			* last renewal */
	msec renew_at; /* when the next renewal is due */
	msec look_at;  /* the same for a look; CLOCK_NEVER: no reason */
	bool pushed;   /* it is due to a message */
	msec backoff;  /* after the last failure; 0: there was none */
};

static void report(struct keeper *keeper, enum keeper_news news, bool no_lock,
		   const char *text, size_t len)
{
	struct keeper_report r = {
		.news = news,
		.gone = text == NULL,
		.no_lock = no_lock,
	};

	r.text_len = len < sizeof(r.text) ? len : sizeof(r.text) - 1;
	if (text)
		memcpy(r.text, text, r.text_len);
	pipe_put(keeper->reports[1], &r, sizeof(r));
}

/* The lock is not ours. */
static void report_loss(struct keeper *keeper, enum lock_outcome outcome,
			const struct error *err)
{
	const struct holder *holder = &keeper->holder;

	if (outcome == LOCK_GONE)
		report(keeper, KEEPER_LOST, false, NULL, 0);
	else if (outcome == LOCK_NO_LOCK)
		report(keeper, KEEPER_LOST, true, err->text, strlen(err->text));
	else
		report(keeper, KEEPER_LOST, false, holder->value, holder->len);
}

/* The server did not answer: sooner or later the next renewal will tell. */
static void back_off(struct keeper *keeper)
{
	servers_hang_up(&keeper->servers);
	watch_retry(&keeper->watch);
	keeper->backoff = keeper->backoff ? 2 * keeper->backoff : BACKOFF_FIRST;
	keeper->backoff = clock_earlier(
		keeper->backoff, clock_earlier(BACKOFF_MAX, keeper->every));
	keeper->renew_at = clock_after(clock_now(), keeper->backoff);
	keeper->look_at = CLOCK_NEVER;
}

/* While all is well there is a reason to look only when the watch says so, or
 * when there is none and one may be had. */
static void plan_look(struct keeper *keeper)
{
	keeper->look_at = watch_is_open(&keeper->watch) ? CLOCK_NEVER
							: keeper->watch.reopen;
}

/* One renewal, which arms the watch.  True if the lock is still ours, as far
 * as is known. */
static bool renew(struct keeper *keeper)
{
	struct lock *lock = &keeper->lock;
	msec limit = clock_after(clock_now(), keeper->every);
	enum lock_outcome outcome;
	struct error err;
	msec left = 0;

	watch_arm(&keeper->watch);
	outcome = lock_extend(lock, LOCK_EXTEND_ANEW, lock->ttl, limit, &left,
			      &keeper->holder, &err);
	if (outcome == LOCK_FAILED) {
		if (!err.stopped)
			report(keeper, KEEPER_TROUBLE, false, err.text,
			       strlen(err.text));
		back_off(keeper);
		return true;
	}
	if (outcome != LOCK_OK) {
		report_loss(keeper, outcome, &err);
		return false;
	}
	trace("renewed for %" PRId64 " ms", lock->ttl);
	clock_advance(keeper->lease_end, lock->lease_end);
	report(keeper, KEEPER_RENEWED, false, "", 0);
	keeper->backoff = 0;
	/* Redis 6 tells us of this very renewal: no reason to be calm then. */
	keeper->expires = 0;
	keeper->pushed = false;
	keeper->renew_at = clock_after(clock_now(), keeper->every);
	plan_look(keeper);
	return true;
}

/* A look at the lock, which opens the watch if need be, and arms it.  It is given
 * up when a renewal is due: that one counts. */
static bool look(struct keeper *keeper)
{
	struct holder *holder = &keeper->holder;
	const struct token *token = &keeper->lock.token;
	enum lock_outcome outcome;
	msec limit = clock_later(clock_after(clock_now(), LOOK_MIN),
				 keeper->renew_at);
	struct error err;
	msec expires;

	watch_open(&keeper->watch, limit);
	watch_arm(&keeper->watch);
	outcome = lock_look(&keeper->lock, limit, holder, NULL, &err);
	if (outcome == LOCK_FAILED) {
		msec due = keeper->renew_at;

		back_off(keeper);
		keeper->renew_at = clock_earlier(due, keeper->renew_at);
		return true;
	}
	if (outcome != LOCK_HELD ||
	    !holder_is(holder, token->text, token->len)) {
		report_loss(keeper, outcome, &err);
		return false;
	}
	expires = holder_end(holder);
	if (keeper->pushed)
		watch_looked(&keeper->watch, true, keeper->expires, expires);
	keeper->pushed = false;
	keeper->expires = expires;
	plan_look(keeper);
	/* Somebody may have cut the TTL short; of an expiry the server tells
	 * late. */
	keeper->look_at = clock_earlier(keeper->look_at,
					clock_after(expires, AFTER_EXPIRY));
	return true;
}

/* Renews until the lock is lost or main closes the pipe.  When the lease has
 * run out it goes on trying: main decides by its own clock, and an answer that
 * comes then is a plain one. */
static void *keep(void *arg)
{
	struct keeper *keeper = arg;
	msec now = clock_now();
	bool ours = true;

	keeper->renew_at = clock_after(now, keeper->every);
	keeper->look_at = clock_after(now, SETTLING);
	while (ours) {
		enum watch_event event = watch_wait(
			&keeper->watch,
			clock_earlier(keeper->look_at, keeper->renew_at));

		if (event == WATCH_STOP)
			break;
		if (event != WATCH_NOTHING)
			keeper->look_at = 0;
		keeper->pushed |=
			event == WATCH_CHANGED || event == WATCH_FLUSHED;
		now = clock_now();
		if (now >= keeper->renew_at)
			ours = renew(keeper);
		else if (now >= keeper->look_at)
			ours = look(keeper);
	}
	servers_release(&keeper->servers);
	return NULL;
}

struct keeper *keeper_start(const struct lock *lock, msec every,
			    _Atomic(msec) *lease_end, struct error *err)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int errnum = ENOMEM;

	if (!keeper)
		goto out;
	keeper->stop[0] = keeper->stop[1] = -1;
	keeper->reports[0] = keeper->reports[1] = -1;
	if (!pipe_open(keeper->stop) || !pipe_open(keeper->reports)) {
		errnum = errno;
		goto out;
	}
	keeper->every = every;
	keeper->lease_end = lease_end;
	servers_init(&keeper->servers, lock->servers->url,
		     lock->servers->timeout, keeper->stop[0]);
	keeper->lock = *lock;
	keeper->lock.servers = &keeper->servers;
	watch_init(&keeper->watch, &keeper->servers, lock->name, NULL);
	errnum = pthread_create(&keeper->thread, NULL, keep, keeper);
	if (!errnum)
		return keeper;
out:
	error_errno(err, STATUS_SYSTEM, errnum, "cannot start the keeper");
	if (keeper) {
		pipe_close(keeper->stop);
		pipe_close(keeper->reports);
	}
	free(keeper);
	return NULL;
}

int keeper_fd(const struct keeper *keeper)
{
	return keeper->reports[0];
}

bool keeper_next(struct keeper *keeper, struct keeper_report *report)
{
	return pipe_take(keeper->reports[0], report, sizeof(*report)) ==
	       PIPE_MESSAGE;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	close(keeper->stop[1]);
	keeper->stop[1] = -1;
	pthread_join(keeper->thread, NULL);
	pipe_close(keeper->stop);
	pipe_close(keeper->reports);
	free(keeper);
}
