/* watch.c - learning that a key changed, without asking again and again */
#include "lock/watch.h"

#include "base/trace.h"

#include <stdio.h>
#include <string.h>

/* Until the watch is tried again after it could not be had.  It then costs three
 * requests in vain, of which a waiter that asks ten times a second anyway will
 * not speak. */
#define REOPEN_AFTER ((msec)2400)
/* A server that tells of changes that are none, or cuts us off whenever we
 * listen, is humoured so many times in a row; then there is a pause before the
 * next look, or the next watch. */
#define HUMOUR 16
#define CALM   ((msec)250)
/* The end of a TTL, computed twice, may be so far apart on a busy machine. */
#define SAME_END ((msec)20)

#define INVALIDATE "__redis__:invalidate"

void watch_init(struct watch *watch, struct servers *servers, const char *key,
		const char *channel)
{
	*watch = (struct watch){
		.servers = servers,
		.key = key,
		.channel = channel,
	};
}

bool watch_is_open(const struct watch *watch)
{
	return servers_are_heard(watch->servers);
}

/* --- opening ---------------------------------------------------------- */

static void add_text(struct request *req, const char *text)
{
	request_add(req, text, strlen(text));
}

static bool text_is(const struct reply *reply, const char *expected)
{
	const char *text = NULL;
	size_t len = 0;

	return reply_text(reply, &text, &len) && len == strlen(expected) &&
	       !memcmp(text, expected, len);
}

/* The number under which the server knows the ear. */
static enum fate ask_id(struct watch *watch, msec limit, long long *id,
			struct error *err)
{
	struct request req = { .argc = 0 };
	struct reply *reply = NULL;
	enum fate fate;

	add_text(&req, "CLIENT");
	add_text(&req, "ID");
	fate = servers_call_ear(watch->servers, &req, limit, &reply, err);
	if (fate == FATE_ANSWERED && !reply_integer(reply, id)) {
		error_set(err, STATUS_UNAVAILABLE, "CLIENT ID is no number");
		fate = FATE_REFUSED;
	}
	reply_free(reply);
	return fate;
}

/* Subscribes; each channel is confirmed on its own, and only when all are, is
 * there nothing left that could be missed. */
static enum fate subscribe(struct watch *watch, msec limit, struct error *err)
{
	struct request req = { .argc = 0 };
	struct reply *reply = NULL;
	enum fate fate;
	bool confirmed;

	add_text(&req, "SUBSCRIBE");
	add_text(&req, INVALIDATE);
	if (watch->channel)
		add_text(&req, watch->channel);
	fate = servers_call_ear(watch->servers, &req, limit, &reply, err);
	if (fate != FATE_ANSWERED)
		return fate;
	confirmed = text_is(reply_at(reply, 0), "subscribe");
	reply_free(reply);
	if (confirmed && watch->channel) {
		confirmed = servers_hear(watch->servers, limit, &reply) ==
				    HEARD_MESSAGE &&
			    text_is(reply_at(reply, 0), "subscribe");
		reply_free(reply);
	}
	if (confirmed)
		return FATE_ANSWERED;
	error_set(err, STATUS_UNAVAILABLE, "SUBSCRIBE was not confirmed");
	return FATE_UNKNOWN;
}

/* Has the first connection tracked, and the ear told. */
static enum fate redirect(struct watch *watch, long long id, msec limit,
			  struct error *err)
{
	struct request req = { .argc = 0 };
	struct reply *reply = NULL;
	enum fate fate;
	char number[24];
	msec sent = 0;

	snprintf(number, sizeof(number), "%lld", id);
	add_text(&req, "CLIENT");
	add_text(&req, "TRACKING");
	add_text(&req, "ON");
	add_text(&req, "REDIRECT");
	add_text(&req, number);
	add_text(&req, "OPTIN");
	add_text(&req, "NOLOOP");
	fate = servers_call(watch->servers, &req, limit, &sent, &reply, err);
	reply_free(reply);
	return fate;
}

/* Is it so soon after then that the two are one run of events? */
static bool is_soon(msec then)
{
	return clock_now() - then < 2 * CALM;
}

/* When the watch may be opened next time, should it be cut. */
static void pace_opening(struct watch *watch)
{
	watch->openings = is_soon(watch->opened) ? watch->openings + 1 : 1;
	watch->opened = clock_now();
	watch->reopen = watch->openings < HUMOUR ? 0 : watch->opened + CALM;
}

/* Who may not publish cannot call others, and nor can those who log in as we do:
 * then nobody would call us.  What is said here is no call. */
static enum fate try_to_call(struct watch *watch, msec limit, struct error *err)
{
	struct request req = { .argc = 0 };
	struct reply *reply = NULL;
	enum fate fate;
	msec sent = 0;

	add_text(&req, "PUBLISH");
	add_text(&req, watch->channel);
	add_text(&req, "test");
	fate = servers_call(watch->servers, &req, limit, &sent, &reply, err);
	reply_free(reply);
	return fate;
}

bool watch_open(struct watch *watch, msec limit)
{
	struct error err;
	long long id = 0;
	enum fate fate;

	if (watch_is_open(watch))
		return true;
	if (servers_refuse_tracking(watch->servers) &&
	    watch->reopen != CLOCK_NEVER) {
		trace("'%s' does not tell of changes",
		      servers_name(watch->servers));
		watch->reopen = CLOCK_NEVER;
		servers_close_ear(watch->servers);
	}
	if (clock_now() < watch->reopen)
		return false;
	/* What is left of an earlier watch is of no use. */
	if (servers_have_ear(watch->servers))
		servers_hang_up(watch->servers);
	watch->armed = false;
	watch->held = WATCH_NOTHING;
	fate = ask_id(watch, limit, &id, &err);
	if (fate == FATE_ANSWERED)
		fate = subscribe(watch, limit, &err);
	if (fate == FATE_ANSWERED)
		fate = redirect(watch, id, limit, &err);
	if (fate == FATE_ANSWERED && watch->channel)
		fate = try_to_call(watch, limit, &err);
	if (fate == FATE_ANSWERED && watch_is_open(watch)) {
		trace("told of changes by '%s'", servers_name(watch->servers));
		pace_opening(watch);
		return true;
	}
	servers_hang_up(watch->servers);
	watch->reopen = clock_after(clock_now(), REOPEN_AFTER);
	if (fate == FATE_REFUSED && !err.passing)
		watch->reopen = CLOCK_NEVER;
	trace("'%s' does not tell of changes%s", servers_name(watch->servers),
	      fate == FATE_REFUSED ? "" : " now");
	return false;
}

void watch_close(struct watch *watch)
{
	servers_close_ear(watch->servers);
	watch->armed = false;
}

void watch_retry(struct watch *watch)
{
	if (watch->reopen != CLOCK_NEVER)
		watch->reopen = 0;
}

/* --- waiting ---------------------------------------------------------- */

void watch_arm(struct watch *watch)
{
	watch->armed = servers_track_next(watch->servers);
}

void watch_looked(struct watch *watch, bool same, msec before, msec after)
{
	msec apart = before > after ? before - after : after - before;

	if (!same || apart > SAME_END)
		watch->vain = 0;
	else
		watch->vain = is_soon(watch->looked) ? watch->vain + 1 : 1;
	watch->looked = clock_now();
	watch->calm = watch->vain < HUMOUR ? 0 : watch->looked + CALM;
}

/* What a message says: ["message", channel, payload]. */
static enum watch_event read_message(const struct watch *watch,
				     const struct reply *message)
{
	const struct reply *keys = reply_at(message, 2);
	bool is_call =
		watch->channel && text_is(reply_at(message, 1), watch->channel);
	size_t i;

	if (!text_is(reply_at(message, 0), "message"))
		return WATCH_NOTHING;
	if (is_call)
		return text_is(keys, "") ? WATCH_CALLED : WATCH_NOTHING;
	if (!text_is(reply_at(message, 1), INVALIDATE))
		return WATCH_NOTHING;
	if (!reply_count(keys))
		return WATCH_FLUSHED;
	/* Redis 7.0 tracks all keys of a script, of which this is one. */
	for (i = 0; i < reply_count(keys); i++)
		if (text_is(reply_at(keys, i), watch->key))
			return WATCH_CHANGED;
	return WATCH_NOTHING;
}

/* The next event, not held back.  A stream of messages that say nothing keeps
 * neither a stop nor the deadline from being seen. */
static enum watch_event listen(struct watch *watch, msec deadline)
{
	enum watch_event event = WATCH_NOTHING;
	struct reply *message = NULL;
	bool again = false;

	for (; event == WATCH_NOTHING; again = true) {
		if (!servers_pause(watch->servers, 0))
			return WATCH_STOP;
		if (again && clock_now() >= deadline)
			return WATCH_NOTHING;
		switch (servers_hear(watch->servers, deadline, &message)) {
		case HEARD_NOTHING:
			return WATCH_NOTHING;
		case HEARD_STOP:
			return WATCH_STOP;
		case HEARD_END:
			watch->armed = false;
			return WATCH_CUT;
		case HEARD_MESSAGE:
			event = read_message(watch, message);
			reply_free(message);
		}
	}
	if (event != WATCH_CALLED)
		watch->armed = false;
	return event;
}

enum watch_event watch_wait(struct watch *watch, msec deadline)
{
	for (;;) {
		bool holding = watch->held != WATCH_NOTHING;
		bool early = holding && watch->calm < deadline;
		enum watch_event event =
			listen(watch, early ? watch->calm : deadline);

		if (event == WATCH_NOTHING && early) {
			event = watch->held;
			watch->held = WATCH_NOTHING;
			return event;
		}
		if ((event != WATCH_CHANGED && event != WATCH_FLUSHED) ||
		    clock_now() >= watch->calm)
			return event;
		watch->held = event;
	}
}
