/* line.c - waiting in line for a lock that somebody else holds */
#include "lock/line.h"

#include "lock/watch.h"

#include <string.h>

/* A waiter that was killed at the head of the line is found out by the next
 * one's renewal, so this is how long it can hold the line up; and twice this is
 * less than a presence lasts (lock.c), so that one lost renewal is borne. */
#define RENEW ((msec)2400)
/* Where nothing is told: between two attempts, at the most. */
#define RETRY_MAX    ((msec)100)
#define RETRY_JITTER ((msec)20) /* off that, so that waiters spread out */
/* The second connection gets as long as its exchanges may take, judged by the
 * first answer; less than we are in line without it (lock.c). */
#define LISTEN_ANSWERS 4
#define LISTEN_MIN     ((msec)500)
#define LISTEN_MAX     ((msec)2000)
#define AFTER_EXPIRY   ((msec)2) /* the server's clock has ticked over */
#define AFTER_DUE      ((msec)5) /* the same, and for rounding on the way */
#define NOTICE_AFTER   ((msec)1000)
#define NOTICE_AGAIN   ((msec)1000)
/* A server that ends closes one thing after another.  Who comes back sooner may
 * still get in, and never hear what became of the request. */
#define AFTER_CUT ((msec)5)
/* To a request that a server does not answer for so long there is no answer
 * worth waiting for at the end. */
#define ANSWERS_WITHIN ((msec)50)
/* The attempt at the very end of the wait needs a moment for its answer. */
#define LAST_ANSWER ((msec)100)

/* The state of one wait. */
struct wait {
	struct lock *lock;
	const struct line_wish *wish;
	struct holder *holder;
	struct place *place;
	struct error *err;

	msec begin;
	msec deadline;
	msec slowest;  /* answer so far, with the connecting */
	msec notice;   /* when the next one is due */
	bool answered; /* a server has, ever */
	bool asked;    /* whether there is any hope */
	bool in_line;  /* from the first "held" on; id and channel are set */

	enum lock_outcome outcome; /* of the last attempt */
	bool pushed;		   /* the next is due to a message */
	char last[TOKEN_MAX + 2];  /* the holder's token, as last seen */
	size_t last_len;
	msec expires; /* when its TTL ends */
	struct token id;
	char channel[LOCK_CHANNEL_MAX];
	struct watch watch;
};

static bool is_taken(enum lock_outcome outcome)
{
	return outcome == LOCK_OK || outcome == LOCK_ALREADY;
}

static bool is_refused(enum lock_outcome outcome)
{
	return outcome == LOCK_HELD || outcome == LOCK_PROMISED;
}

/* --- one attempt ------------------------------------------------------- */

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

/* Notes who has the lock and until when. */
static void note_holder(struct wait *wait)
{
	const struct holder *holder = wait->holder;
	bool held = wait->outcome == LOCK_HELD;
	msec expires = held ? holder_end(holder) : CLOCK_NEVER;

	if (wait->pushed)
		watch_looked(
			&wait->watch,
			held && holder_is(holder, wait->last, wait->last_len),
			wait->expires, expires);
	wait->expires = expires;
	wait->last_len = held ? holder->len : 0;
	memcpy(wait->last, holder->value, wait->last_len);
}

/* One attempt to take the lock, in line or (at first, and at the very end) not.
 * The first in line reads the lock so that its next change is told.  Sets the
 * outcome and what follows from the answer. */
static void attempt(struct wait *wait, bool stay)
{
	struct place *place = wait->place;
	struct watch *watch = &wait->watch;
	msec begin;

	place->called = watch_is_open(watch);
	if (stay && place->before == 0 && !watch->armed)
		watch_arm(watch);
	begin = clock_now();
	wait->outcome =
		lock_acquire(wait->lock, place, stay, answer_limit(wait),
			     wait->holder, wait->err);
	if (is_refused(wait->outcome)) {
		if (clock_now() - begin > wait->slowest)
			wait->slowest = clock_now() - begin;
		wait->answered = true;
		note_holder(wait);
	} else if (wait->outcome == LOCK_FAILED) {
		wait->answered |= wait->err->passing;
		watch->armed = false; /* the lock was not read */
		watch_retry(watch);
	}
	wait->pushed = false;
}

/* Is there reason to wait on after this attempt? */
static bool goes_on(struct wait *wait)
{
	const struct line_wish *wish = wait->wish;

	if (wait->outcome == LOCK_FAILED)
		return wait->answered && !wait->err->stopped &&
		       wait->err->status == STATUS_UNAVAILABLE;
	if (!is_refused(wait->outcome))
		return false;
	if (wait->outcome == LOCK_PROMISED || wait->asked)
		return true;
	wait->asked = true;
	return !wish->hopeless || !wish->hopeless(wish->arg, wait->holder);
}

/* --- between two attempts ---------------------------------------------- */

/* The time until the next attempt where nothing is told: at most RETRY_MAX,
 * spread by the token, which is random where it matters. */
static msec retry_pause(const struct lock *lock)
{
	const char *text = lock->token.text;
	unsigned int spread = (unsigned char)text[lock->token.len - 1];

	return RETRY_MAX - (msec)spread % RETRY_JITTER;
}

/* Being in line, has the server tell us what happens, as far as it will.  That
 * takes a few exchanges, and more where a second connection hangs: our place is
 * not to depend on it. */
static void listen(struct wait *wait)
{
	msec room = clock_later(LISTEN_MIN, LISTEN_ANSWERS * wait->slowest);
	msec limit = clock_after(clock_now(), clock_earlier(room, LISTEN_MAX));

	if (is_refused(wait->outcome) && wait->place->before >= 0)
		watch_open(&wait->watch, clock_earlier(limit, wait->deadline));
}

/* When to try again although nothing has happened. */
static msec next_attempt(const struct wait *wait)
{
	const struct place *place = wait->place;
	msec now = clock_now();
	msec next = clock_earlier(wait->deadline, now + RENEW);
	bool told = watch_is_open(&wait->watch);

	if (wait->outcome == LOCK_FAILED || !told)
		next = clock_earlier(next, now + retry_pause(wait->lock));
	if (wait->outcome == LOCK_FAILED)
		return next;
	if (place->before < 0)
		return now; /* that was the try; now for the line */
	if (told != place->called)
		return now; /* the line believes what is not so any more */
	if (place->before == 0 && told && !wait->watch.armed)
		return now;
	if (place->before == 0)
		next = clock_earlier(next,
				     clock_after(wait->expires, AFTER_EXPIRY));
	else if (place->due >= 0)
		next = clock_earlier(next, now + place->due + AFTER_DUE);
	return next;
}

/* Tells the user where we stand, when it is time. */
static void tell(struct wait *wait)
{
	const struct line_wish *wish = wait->wish;
	bool failed = wait->outcome == LOCK_FAILED;
	struct line_news news = {
		.holder = wait->outcome == LOCK_HELD ? wait->holder : NULL,
		.place = wait->place->before >= 0 ? wait->place : NULL,
		.err = failed ? wait->err : NULL,
	};
	msec now = clock_now();

	if (!wish->notice || now < wait->notice)
		return;
	if (news.holder && wait->expires != CLOCK_NEVER)
		wait->holder->expires_in =
			wait->expires > now ? wait->expires - now : 0;
	wait->notice = wish->notice(wish->arg, &news)
			       ? clock_after(now, NOTICE_AGAIN)
			       : CLOCK_NEVER;
}

/* Something has happened.  When is the next attempt due, which was at next? */
static msec react(struct wait *wait, enum watch_event event, msec next)
{
	struct place *place = wait->place;

	if (event == WATCH_CUT)
		return clock_now() + AFTER_CUT;
	if (event == WATCH_CALLED) {
		place->before = 0;
		wait->watch.armed = false;
		return 0;
	}
	/* All have lost their place; the first in line comes first. */
	if (event == WATCH_FLUSHED && place->before > 0)
		return clock_earlier(next, clock_now() + place->before);
	if (place->before != 0)
		return next;
	wait->pushed = true;
	return 0;
}

/* Sleeps until the next attempt is due.  False if a stop came first. */
static bool rest(struct wait *wait)
{
	msec next;

	listen(wait);
	next = next_attempt(wait);
	while (clock_now() < next) {
		enum watch_event event;

		tell(wait);
		event = watch_wait(&wait->watch,
				   clock_earlier(next, wait->notice));
		if (event == WATCH_STOP)
			return false;
		if (event != WATCH_NOTHING)
			next = react(wait, event, next);
	}
	return true;
}

/* --- the wait ---------------------------------------------------------- */

/* From here on we are somebody in line. */
static bool line_up(struct wait *wait)
{
	struct lock *lock = wait->lock;

	if (!token_make_id(&wait->id, &lock->token, wait->wish->owner,
			   wait->wish->pid, lock->ttl, clock_wall(), wait->err))
		return false;
	lock_channel(lock, &wait->id, wait->channel);
	place_init(wait->place, &wait->id);
	wait->in_line = true;
	return true;
}

/* Gives up whatever the wait may have left on the server. */
static void clean_up(struct wait *wait)
{
	msec begin = clock_now();

	if (!is_taken(wait->outcome))
		lock_abandon(wait->lock);
	/* A server that has just been silent will not hear of this either, and
	 * a signal wants us gone. */
	if (clock_now() - begin < ANSWERS_WITHIN)
		lock_leave(wait->lock, wait->place);
	watch_close(&wait->watch);
	wait->place->id = NULL;
}

enum lock_outcome line_acquire(struct lock *lock, const struct line_wish *wish,
			       struct holder *holder, struct place *place,
			       struct error *err)
{
	struct wait wait = {
		.lock = lock,
		.wish = wish,
		.holder = holder,
		.place = place,
		.err = err,
		.begin = clock_now(),
		.expires = CLOCK_NEVER,
		.notice = CLOCK_NEVER,
	};
	bool last = false;

	wait.deadline = clock_after(wait.begin, wish->wait);
	if (wish->notice)
		wait.notice = wait.begin + NOTICE_AFTER;
	place_init(place, NULL);
	watch_init(&wait.watch, lock->servers, lock->name, wait.channel);
	while (!last) {
		last = clock_now() >= wait.deadline;
		attempt(&wait, wait.in_line && !last);
		if (last || !goes_on(&wait))
			break;
		if (is_refused(wait.outcome) && !wait.in_line &&
		    !line_up(&wait)) {
			wait.outcome = LOCK_FAILED;
			break;
		}
		if (!rest(&wait)) {
			error_set(err, STATUS_UNAVAILABLE,
				  "interrupted while waiting");
			err->stopped = true;
			wait.outcome = LOCK_FAILED;
			break;
		}
	}
	clean_up(&wait);
	return wait.outcome;
}
