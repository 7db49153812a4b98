/* line.c - waiting for a lock that somebody else holds */
#include "lock/line.h"

#define RETRY_MAX    ((msec)100) /* between two attempts, at the most */
#define RETRY_JITTER ((msec)20)	 /* off that, so that waiters spread out */
#define AFTER_EXPIRY ((msec)2)	 /* the server's clock has ticked over */
#define NOTICE_AFTER ((msec)1000)
/* The attempt at the very end of the wait needs a moment for its answer. */
#define LAST_ANSWER ((msec)100)

/* The state of one wait: when it began and must end, and whether a server has
 * ever answered. */
struct wait {
	const struct line_wish *wish;
	msec begin;
	msec deadline;
	bool answered;
	msec slowest; /* answer so far, with the connecting */
};

/* The time until the next attempt: at most RETRY_MAX, spread by the token,
 * which is random where it matters. */
static msec pause_for(const struct lock *lock, const struct holder *holder)
{
	const char *text = lock->token.text;
	unsigned int spread = (unsigned char)text[lock->token.len - 1];
	msec pause = RETRY_MAX - (msec)spread % RETRY_JITTER;

	if (holder && holder->expires_in >= 0 &&
	    holder->expires_in + AFTER_EXPIRY < pause)
		pause = holder->expires_in + AFTER_EXPIRY;
	return pause;
}

/* Tells the user, once the wait has become noticeable. */
static void notify(const struct wait *wait, const struct holder *holder,
		   const struct error *err)
{
	const struct line_wish *wish = wait->wish;

	if (wish->notice && clock_now() - wait->begin >= NOTICE_AFTER)
		wish->notice(wish->arg, holder, err);
}

/* May this failure be waited out, and is there time? */
static bool will_pass(const struct wait *wait, const struct error *err)
{
	return wait->answered && !err->stopped &&
	       err->status == STATUS_UNAVAILABLE &&
	       clock_now() < wait->deadline;
}

/* Sleeps until the next attempt is due.  False if a stop came first. */
static bool sleep_on(struct lock *lock, const struct wait *wait,
		     const struct holder *holder, struct error *err)
{
	msec next = clock_after(clock_now(), pause_for(lock, holder));

	if (next > wait->deadline)
		next = wait->deadline;
	if (servers_pause(lock->servers, next))
		return true;
	error_set(err, STATUS_UNAVAILABLE, "interrupted while waiting");
	err->stopped = true;
	return false;
}

/* The time by which an attempt must be answered. */
static msec answer_limit(const struct wait *wait)
{
	msec room = 3 * wait->slowest;
	msec soonest = clock_after(clock_now(),
				   room > LAST_ANSWER ? room : LAST_ANSWER);

	if (!wait->wish->wait)
		return CLOCK_NEVER; /* one attempt: the time-out alone */
	return soonest > wait->deadline ? soonest : wait->deadline;
}

enum lock_outcome line_acquire(struct lock *lock, const struct line_wish *wish,
			       struct holder *holder, struct error *err)
{
	struct wait wait = { .wish = wish, .begin = clock_now() };
	enum lock_outcome outcome;
	bool asked = false;

	wait.deadline = clock_after(wait.begin, wish->wait);
	for (;;) {
		msec now = clock_now();
		bool last = now >= wait.deadline;
		const struct holder *who = NULL;

		outcome = lock_acquire(lock, answer_limit(&wait), holder, err);
		if (outcome == LOCK_OK || outcome == LOCK_ALREADY)
			return outcome;
		if (outcome == LOCK_HELD) {
			who = holder;
			if (clock_now() - now > wait.slowest)
				wait.slowest = clock_now() - now;
		}
		wait.answered |= who != NULL || err->passing;
		if (last || (!who && !will_pass(&wait, err)))
			break;
		if (who && !asked && wish->hopeless &&
		    wish->hopeless(wish->arg, who))
			break;
		asked |= who != NULL;
		notify(&wait, who, who ? NULL : err);
		if (!sleep_on(lock, &wait, who, err)) {
			outcome = LOCK_FAILED;
			break;
		}
	}
	lock_abandon(lock);
	return outcome;
}
