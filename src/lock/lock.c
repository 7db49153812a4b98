/* lock.c - the lock itself: take it, free it, renew it, look at it */
#include "lock/lock.h"

#include "base/escape.h"
#include "base/trace.h"
#include "scripts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Our clock and the server's may run apart by this much. */
#define DRIFT_PERCENT 1
#define DRIFT_FIXED   ((msec)2)
/* How long a waiter is in line without coming again, in ms: so that who is
 * stopped or cut off is passed over within 6 s, and one lost renewal of line.c's
 * is borne.  ".5": it cannot be called. */
#define DUE_MAX		  ((msec)6000) /* so nobody is due any later */
#define PRESENCE	  "5900"
#define PRESENCE_UNCALLED "2400.5"
/* Between two tries to get a lost answer. */
#define REPEAT_PAUSE ((msec)20)
/* When the answer to a request is late, so long is asked once more. */
#define LAST_TRY ((msec)100)
/* For giving back what may have been taken: the time is already over, or a
 * signal wants us gone.  A server that is well needs far less. */
#define ABANDON_LIMIT ((msec)100)
/* For leaving the line: who waits on is not kept from it for longer than our
 * presence lasts. */
#define LEAVE_LIMIT ((msec)50)
#define NUMBER_MAX  24 /* bytes of a decimal number and its NUL */
/* Microseconds since 1970 have 16; what has 18 fits 64 bits, signed too. */
#define FENCE_DIGITS_MAX 18

bool lock_name_check(const char *name, struct error *err)
{
	size_t len = strlen(name);

	if (!len)
		return error_set(err, STATUS_USAGE, "the lock's name is empty");
	if (len > LOCK_NAME_MAX)
		return error_set(err, STATUS_USAGE,
				 "the lock's name is longer than %d bytes",
				 LOCK_NAME_MAX);
	if (!strncmp(name, "rlock:", 6))
		return error_set(
			err, STATUS_USAGE,
			"names starting with 'rlock:' are rlock's own");
	return true;
}

/* Does the cluster hash only a part of the name, "{part}"? */
static bool has_tag(const char *name)
{
	const char *open = strchr(name, '{');
	const char *close = open ? strchr(open + 1, '}') : NULL;

	return close && close > open + 1;
}

/* The '=' keeps the helper of 'x' and that of '{x}' apart. */
static void name_helper(char key[static LOCK_HELPER_MAX], const char *name,
			const char *what)
{
	snprintf(key, LOCK_HELPER_MAX,
		 has_tag(name) ? "rlock:=%s:%s" : "rlock:{%s}:%s", name, what);
}

void lock_init(struct lock *lock, struct servers *servers, const char *name,
	       msec ttl)
{
	*lock = (struct lock){ .servers = servers, .name = name, .ttl = ttl };
	lock->lease_end = CLOCK_NEVER;
	lock->doubt = -1;
	name_helper(lock->fence_key, name, "fence");
	name_helper(lock->queue_key, name, "queue");
	name_helper(lock->seen_key, name, "seen");
}

void lock_channel(const struct lock *lock, const struct token *id,
		  char channel[static LOCK_CHANNEL_MAX])
{
	char prefix[LOCK_HELPER_MAX];

	name_helper(prefix, lock->name, "turn:");
	snprintf(channel, LOCK_CHANNEL_MAX, "%s%s", prefix, id->text);
}

void place_init(struct place *place, const struct token *id)
{
	*place = (struct place){ .id = id, .before = -1, .due = -1 };
	strcpy(place->ticket, "0");
}

/* --- requests --------------------------------------------------------- */

/* A script call under construction, with the numbers it needs as text. */
struct call {
	struct request req;
	char numbers[4][NUMBER_MAX];
	int used;
};

static void add_text(struct call *call, const char *text)
{
	request_add(&call->req, text, strlen(text));
}

static void add_number(struct call *call, msec number)
{
	char *text = call->numbers[call->used++];

	snprintf(text, NUMBER_MAX, "%" PRId64, number);
	add_text(call, text);
}

/* EVAL, the script, so many of the lock's keys, and the db, which is the first
 * argument of each of our scripts. */
static void call_init(struct call *call, const char *script, int keys,
		      const struct lock *lock)
{
	const char *const names[] = { lock->name, lock->fence_key,
				      lock->queue_key, lock->seen_key };
	int i;

	call->req.argc = 0;
	call->used = 0;
	add_text(call, "EVAL");
	add_text(call, script);
	add_number(call, keys);
	for (i = 0; i < keys; i++)
		add_text(call, names[i]);
	add_number(call, servers_db(lock->servers));
}

/* Asks until there is an answer, for a request that may be asked again; *sent
 * is when it was sent first, *doubt whether an earlier answer was lost.  When the
 * answer is late it is asked for a moment more, over a new connection: a server
 * that lives says at once what became of it.  Not after a stop. */
static enum fate ask(struct lock *lock, const struct call *call, msec limit,
		     bool repeatable, msec *sent, bool *doubt,
		     struct reply **reply, struct error *err)
{
	msec timeout = lock->servers->timeout;
	msec begin = clock_now();
	msec until = clock_earlier(limit, clock_after(begin, timeout));
	/* Who has no time at all has none for that either. */
	bool last = until <= begin + LAST_TRY;
	enum fate fate;

	for (;;) {
		msec due =
			clock_earlier(limit, clock_after(clock_now(), timeout));
		msec now = 0;

		fate = servers_call(lock->servers, &call->req, limit, &now,
				    reply, err);
		if (fate != FATE_UNSENT && *sent < 0)
			*sent = now;
		if (fate == FATE_ANSWERED || fate == FATE_REFUSED)
			return fate;
		if (fate == FATE_UNKNOWN)
			*doubt = true;
		if (!*doubt)
			return fate;
		now = clock_now();
		if (!last && now >= due) {
			last = true;
			until = limit = clock_after(now, LAST_TRY);
		}
		if (!repeatable || err->stopped || now >= until)
			return FATE_UNKNOWN;
		trace("asking again: the answer was lost");
		if (now < due && !servers_pause(lock->servers,
						clock_after(now, REPEAT_PAUSE)))
			return FATE_UNKNOWN;
	}
}

/* --- replies ---------------------------------------------------------- */

static enum lock_outcome strange(const struct lock *lock, struct error *err)
{
	error_set(err, STATUS_UNAVAILABLE,
		  "'%s' gave an answer that makes no sense",
		  servers_name(lock->servers));
	/* Whatever else it says there may be no answer to what we ask. */
	servers_hang_up(lock->servers);
	return LOCK_FAILED;
}

/* A decimal without a sign; so many digits are far more than a fence has. */
static bool read_fence(const struct reply *reply, uint64_t *fence)
{
	const char *text = NULL;
	size_t len = 0;

	if (!reply_text(reply, &text, &len) || !len || len > FENCE_DIGITS_MAX ||
	    strspn(text, "0123456789") != len)
		return false;
	*fence = strtoull(text, NULL, 10);
	return true;
}

bool holder_is(const struct holder *holder, const char *token, size_t len)
{
	return holder->len == len && !memcmp(holder->value, token, len);
}

msec holder_end(const struct holder *holder)
{
	return holder->expires_in < 0
		       ? CLOCK_NEVER
		       : clock_after(clock_now(), holder->expires_in);
}

void holder_set(struct holder *holder, const char *token, size_t len)
{
	if (len >= sizeof(holder->value))
		len = sizeof(holder->value) - 1;
	memcpy(holder->value, token, len);
	holder->value[len] = '\0';
	holder->len = len;
	holder->foreign = !token_parse(token, len, &holder->fields);
	holder->expires_in = -1;
	holder->fence = 0;
}

/* Reads HOLDER, PTTL from elements i and i + 1. */
static bool read_holder(const struct reply *reply, size_t i,
			struct holder *holder)
{
	const char *text = NULL;
	long long pttl = 0;
	size_t len = 0;

	if (!reply_text(reply_at(reply, i), &text, &len) ||
	    !reply_integer(reply_at(reply, i + 1), &pttl))
		return false;
	holder_set(holder, text, len);
	holder->expires_in = pttl < 0 ? -1 : (msec)pttl;
	return true;
}

/* The number each of our scripts answers first. */
static bool read_code(const struct reply *reply, long long *code)
{
	return reply_integer(reply_at(reply, 0), code);
}

static msec lease_of(msec sent, msec ttl)
{
	if (!ttl)
		return CLOCK_NEVER;
	/* A server may tell any TTL. */
	return clock_after(sent, ttl - ttl / 100 * DRIFT_PERCENT - DRIFT_FIXED);
}

/* The lock's key is of another type; reply is {-3, type}. */
static enum lock_outcome no_lock(const struct lock *lock,
				 const struct reply *type, struct error *err)
{
	const char *text = NULL;
	size_t len = 0;
	char shown[40];

	if (!reply_text(type, &text, &len))
		return strange(lock, err);
	escape_display(shown, sizeof(shown), text, len);
	error_set(err, STATUS_DATA, "the key on '%s' is a %s, not a lock",
		  servers_name(lock->servers), shown);
	return LOCK_NO_LOCK;
}

/* There is no answer, or an error.  The scripts see to the type of the lock's
 * own key, so a wrong one is that of the helper.  A reply beside a refusal:
 * the login failed, and yet it was done. */
static enum lock_outcome explain(const struct lock *lock, enum fate fate,
				 const struct reply *reply, struct error *err)
{
	size_t used = strlen(err->text);
	char keys[LOCK_HELPER_MAX];
	char shown[300];

	if (fate == FATE_REFUSED && err->status == STATUS_DATA) {
		name_helper(keys, lock->name, "*");
		escape_display(shown, sizeof(shown), keys, strlen(keys));
		error_set(err, STATUS_DATA,
			  "one of the helper keys '%s' on '%s' is not rlock's",
			  shown, servers_name(lock->servers));
	} else if (reply) {
		snprintf(err->text + used, sizeof(err->text) - used,
			 "; and yet the request was carried out");
	}
	return LOCK_FAILED;
}

/* --- the operations --------------------------------------------------- */

/* Gives back what was taken, because it cannot be used; err stays. */
static enum lock_outcome give_back(struct lock *lock, msec how,
				   struct error *err)
{
	struct error why;
	struct holder *holder = calloc(1, sizeof(*holder));
	enum lock_outcome outcome = LOCK_FAILED;

	if (holder)
		outcome = lock_release(lock, how, CLOCK_NEVER, holder, &why);
	if (outcome == LOCK_FAILED)
		lock->doubt = lock->taken;
	free(holder);
	err->passing = false;
	return LOCK_FAILED;
}

static enum lock_outcome taken(struct lock *lock, long long code,
			       const struct reply *reply, bool doubt,
			       struct error *err)
{
	lock->taken = lock->doubt;
	lock->doubt = -1;
	lock->lease_end = lease_of(lock->taken, lock->ttl);
	if (!read_fence(reply_at(reply, 1), &lock->fence) || !lock->fence) {
		strange(lock, err);
		return give_back(lock, 0, err);
	}
	if (clock_now() >= lock->lease_end) {
		error_set(err, STATUS_UNAVAILABLE,
			  "'%s' answered after the lease had ended",
			  servers_name(lock->servers));
		return give_back(lock, 0, err);
	}
	trace("taken, fence %" PRIu64, lock->fence);
	/* After a lost answer "already" only means that the first request had
	 * arrived. */
	return code == 2 && !doubt ? LOCK_ALREADY : LOCK_OK;
}

/* The request of one attempt, or of no more than leaving the line.  Who does not
 * wait sends ten words, and no more may come before a login: without one, a
 * server that wants it would say no word of it. */
static void call_acquire(struct call *call, const struct lock *lock,
			 const struct place *place, const char *mode)
{
	call_init(call, script_acquire, 4, lock);
	request_add(&call->req, lock->token.text, lock->token.len);
	add_number(call, lock->ttl);
	if (!place->id)
		return;
	add_text(call, mode);
	add_text(call, place->id->text);
	add_text(call, place->ticket);
	add_text(call, place->called ? PRESENCE : PRESENCE_UNCALLED);
}

/* Reads TICKET, BEFORE, COUNT, DUE, ID from element 3 on. */
static bool read_place(const struct reply *reply, struct place *place)
{
	const char *ticket = NULL;
	const char *id = NULL;
	long long before = 0;
	long long count = 0;
	long long due = 0;
	size_t ticket_len = 0;
	size_t id_len = 0;

	if (!reply_text(reply_at(reply, 3), &ticket, &ticket_len) ||
	    !reply_integer(reply_at(reply, 4), &before) ||
	    !reply_integer(reply_at(reply, 5), &count) ||
	    !reply_integer(reply_at(reply, 6), &due) ||
	    !reply_text(reply_at(reply, 7), &id, &id_len) || !ticket_len ||
	    ticket_len >= sizeof(place->ticket) || before < -1 ||
	    before > INT_MAX || count < 0 || count > INT_MAX)
		return false;
	if (before >= 0)
		memcpy(place->ticket, ticket, ticket_len + 1);
	place->before = (int)before;
	place->count = (int)count;
	place->due = due < 0 ? -1 : clock_earlier((msec)due, DUE_MAX);
	place->known = token_parse(id, id_len, &place->other);
	return true;
}

/* The lock is not ours: reply is {0 or 3, holder, pttl, place...}. */
static enum lock_outcome not_taken(struct lock *lock, long long code,
				   const struct reply *reply, bool stay,
				   struct place *place, struct holder *holder,
				   struct error *err)
{
	if (!read_holder(reply, 1, holder) || !read_place(reply, place) ||
	    stay != (place->before >= 0))
		return strange(lock, err);
	lock->doubt = -1;
	place->joined = stay;
	if (code == 3) {
		trace("free, but promised; %d in line", place->count);
		return LOCK_PROMISED;
	}
	trace("held; expires in %" PRId64 " ms (-1: never); %d before us",
	      holder->expires_in, place->before);
	return LOCK_HELD;
}

enum lock_outcome lock_acquire(struct lock *lock, struct place *place,
			       bool stay, msec limit, struct holder *holder,
			       struct error *err)
{
	enum lock_outcome outcome = LOCK_FAILED;
	bool doubt = lock->doubt >= 0;
	struct reply *reply = NULL;
	struct call call;
	long long code = 0;
	enum fate fate;

	if (!doubt) {
		lock->since = clock_wall();
		token_stamp(&lock->token, lock->since);
	}
	place->joined |= stay;
	call_acquire(&call, lock, place, stay ? "join" : "try");
	fate = ask(lock, &call, limit, true, &lock->doubt, &doubt, &reply, err);
	if (fate == FATE_UNKNOWN)
		return LOCK_FAILED;
	if (fate == FATE_ANSWERED && read_code(reply, &code) &&
	    (code == 1 || code == 2)) {
		place->joined = false;
		outcome = taken(lock, code, reply, doubt, err);
	} else if (fate == FATE_ANSWERED && (code == 0 || code == 3)) {
		outcome =
			not_taken(lock, code, reply, stay, place, holder, err);
	} else if (fate == FATE_ANSWERED && code == -3) {
		lock->doubt = -1;
		place->joined = false;
		outcome = no_lock(lock, reply_at(reply, 1), err);
	} else if (fate == FATE_ANSWERED) {
		outcome = strange(lock, err);
	} else if (reply && read_code(reply, &code) && code == 1) {
		/* The login was refused, and yet the lock was taken. */
		lock->taken = lock->doubt;
		lock->doubt = -1;
		outcome = give_back(lock, LOCK_UNDO, err);
	} else {
		/* A refusal does not settle what became of an earlier
		 * request: a server that is loading may load our lock. */
		if (!doubt)
			lock->doubt = -1;
		outcome = explain(lock, fate, NULL, err);
	}
	reply_free(reply);
	return outcome;
}

void lock_leave(struct lock *lock, struct place *place)
{
	struct servers *servers = lock->servers;
	int stop_fd = servers->stop_fd;
	struct reply *reply = NULL;
	struct error why;
	struct call call;
	bool doubt = false;
	msec sent = -1;

	if (!place->joined)
		return;
	call_acquire(&call, lock, place, "leave");
	servers->stop_fd = -1;
	ask(lock, &call, clock_after(clock_now(), LEAVE_LIMIT), true, &sent,
	    &doubt, &reply, &why);
	servers->stop_fd = stop_fd;
	place->joined = false;
	reply_free(reply);
}

enum lock_outcome lock_release(struct lock *lock, msec hold, msec limit,
			       struct holder *holder, struct error *err)
{
	enum lock_outcome outcome = LOCK_FAILED;
	struct reply *reply = NULL;
	struct call call;
	bool doubt = false;
	long long code = 0;
	msec sent = -1;
	enum fate fate;

	call_init(&call, script_release, 2, lock);
	request_add(&call.req, lock->token.text, lock->token.len);
	if (hold == LOCK_UNDO)
		add_text(&call, "undo");
	else
		add_number(&call, hold);
	fate = ask(lock, &call, limit, true, &sent, &doubt, &reply, err);
	if (fate != FATE_ANSWERED)
		outcome = explain(lock, fate, reply, err);
	else if (!read_code(reply, &code))
		outcome = strange(lock, err);
	else if (code == 1)
		outcome = LOCK_OK;
	else if (code == 0)
		outcome = doubt ? LOCK_OK : LOCK_GONE;
	else if (code == -1 && read_holder(reply, 1, holder))
		outcome = doubt ? LOCK_OK : LOCK_HELD;
	else if (code == -3)
		outcome = no_lock(lock, reply_at(reply, 1), err);
	else
		outcome = strange(lock, err);
	reply_free(reply);
	return outcome;
}

bool lock_abandon(struct lock *lock)
{
	struct servers *servers = lock->servers;
	int stop_fd = servers->stop_fd;
	struct holder *holder;
	struct error why;

	if (lock->doubt < 0)
		return true;
	holder = calloc(1, sizeof(*holder));
	servers_hang_up(servers);
	servers->stop_fd = -1;
	if (holder &&
	    lock_release(lock, 0, clock_after(clock_now(), ABANDON_LIMIT),
			 holder, &why) == LOCK_OK)
		lock->doubt = -1;
	servers->stop_fd = stop_fd;
	free(holder);
	return lock->doubt < 0;
}

/* Is it what extend.lua makes of such a request? */
static bool is_left(long long pttl, enum lock_extend_mode mode, msec span)
{
	if (mode == LOCK_EXTEND_BY)
		return pttl >= span;
	return pttl == (span ? span : -1);
}

enum lock_outcome lock_extend(struct lock *lock, enum lock_extend_mode mode,
			      msec span, msec limit, msec *left,
			      struct holder *holder, struct error *err)
{
	static const char *const words[] = { "by", "to", "anew" };
	enum lock_outcome outcome = LOCK_FAILED;
	struct reply *reply = NULL;
	struct call call;
	bool doubt = false;
	long long code = 0;
	long long pttl = 0;
	msec sent = -1;
	enum fate fate;

	call_init(&call, script_extend, 2, lock);
	request_add(&call.req, lock->token.text, lock->token.len);
	add_number(&call, span);
	add_text(&call, words[mode]);
	fate = ask(lock, &call, limit, mode != LOCK_EXTEND_BY, &sent, &doubt,
		   &reply, err);
	if (fate != FATE_ANSWERED)
		outcome = explain(lock, fate, reply, err);
	else if (!read_code(reply, &code))
		outcome = strange(lock, err);
	else if (code == 1 && read_fence(reply_at(reply, 1), &lock->fence) &&
		 reply_integer(reply_at(reply, 2), &pttl) &&
		 is_left(pttl, mode, span)) {
		*left = pttl;
		lock->lease_end = lease_of(sent, pttl < 0 ? 0 : (msec)pttl);
		outcome = LOCK_OK;
	} else if (code == 0)
		outcome = LOCK_GONE;
	else if (code == -1 && read_holder(reply, 1, holder))
		outcome = LOCK_HELD;
	else if (code == -2)
		outcome = LOCK_PERSISTENT;
	else if (code == -3)
		outcome = no_lock(lock, reply_at(reply, 1), err);
	else
		outcome = strange(lock, err);
	reply_free(reply);
	return outcome;
}

/* Reads the ids of those who wait. */
static bool read_waiters(const struct reply *ids, long long count,
			 struct waiters *waiters)
{
	size_t i;

	waiters->count = (size_t)count;
	waiters->told = reply_count(ids);
	if (waiters->told > LOCK_WAITERS_MAX || waiters->told > waiters->count)
		return false;
	waiters->list = calloc(waiters->told + 1, sizeof(*waiters->list));
	if (!waiters->list)
		return false;
	for (i = 0; i < waiters->told; i++) {
		struct waiter *waiter = &waiters->list[i];
		const char *id = NULL;
		size_t len = 0;

		waiter->known = reply_text(reply_at(ids, i), &id, &len) &&
				token_parse(id, len, &waiter->fields);
	}
	return true;
}

void lock_waiters_release(struct waiters *waiters)
{
	free(waiters->list);
	waiters->list = NULL;
}

/* What look.lua answered. */
static enum lock_outcome read_look(struct lock *lock, const struct reply *reply,
				   struct holder *holder,
				   struct waiters *waiters, struct error *err)
{
	const char *kind = NULL;
	long long count = 0;
	size_t len = 0;

	if (!reply_text(reply_at(reply, 0), &kind, &len))
		return strange(lock, err);
	if (waiters && reply_integer(reply_at(reply, 4), &count) &&
	    (count < 0 || count > INT_MAX ||
	     !read_waiters(reply_at(reply, 5), count, waiters)))
		return strange(lock, err);
	if (len == 4 && !memcmp(kind, "none", 4))
		return LOCK_GONE;
	if (len == 6 && !memcmp(kind, "string", 6)) {
		if (read_holder(reply, 1, holder) &&
		    read_fence(reply_at(reply, 3), &holder->fence))
			return LOCK_HELD;
		return strange(lock, err);
	}
	return reply_count(reply) == 1 ? no_lock(lock, reply_at(reply, 0), err)
				       : strange(lock, err);
}

enum lock_outcome lock_look(struct lock *lock, msec limit,
			    struct holder *holder, struct waiters *waiters,
			    struct error *err)
{
	enum lock_outcome outcome = LOCK_FAILED;
	struct reply *reply = NULL;
	struct call call;
	bool doubt = false;
	msec sent = -1;

	call_init(&call, script_look, 4, lock);
	add_number(&call, waiters ? LOCK_WAITERS_MAX : 0);
	if (ask(lock, &call, limit, true, &sent, &doubt, &reply, err) ==
	    FATE_ANSWERED)
		outcome = read_look(lock, reply, holder, waiters, err);
	reply_free(reply);
	return outcome;
}

/* --- all names -------------------------------------------------------- */

struct names {
	char **list;
	size_t count;
	size_t room;
};

/* The NAME in a fence key; NULL if the key is none of ours, or no memory. */
static char *name_of(const char *key, size_t len)
{
	static const size_t head = sizeof("rlock:=") - 1;
	static const size_t tail = sizeof(":fence") - 1;
	struct lock probe;
	char *name;

	if (len <= head + tail || len - head - tail > LOCK_NAME_MAX + 1)
		return NULL;
	len -= head + tail;
	if (key[head - 1] == '{')
		len--;
	name = malloc(len + 1);
	if (!name)
		return NULL;
	memcpy(name, key + head, len);
	name[len] = '\0';
	/* Only what makes this very key is a name. */
	lock_init(&probe, NULL, name, 0);
	if (strlen(name) == len && len && len <= LOCK_NAME_MAX &&
	    !strncmp(probe.fence_key, key, strlen(probe.fence_key)))
		return name;
	free(name);
	return NULL;
}

static bool add_name(struct names *names, char *name)
{
	if (names->count + 1 >= names->room) {
		size_t room = names->room ? 2 * names->room : 64;
		char **list = realloc(names->list, room * sizeof(*list));

		if (!list)
			return false;
		names->list = list;
		names->room = room;
	}
	names->list[names->count++] = name;
	names->list[names->count] = NULL;
	return true;
}

/* Adds one page of keys; false without memory. */
static bool add_page(struct names *names, const struct reply *keys)
{
	size_t i;

	for (i = 0; i < reply_count(keys); i++) {
		const char *key = NULL;
		size_t len = 0;
		char *name = NULL;

		if (reply_text(reply_at(keys, i), &key, &len))
			name = name_of(key, len);
		if (name && !add_name(names, name)) {
			free(name);
			return false;
		}
	}
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts, and drops what a scan showed twice. */
static void sort_names(struct names *names)
{
	size_t kept = 0;
	size_t i;

	qsort(names->list, names->count, sizeof(*names->list), compare);
	for (i = 0; i < names->count; i++) {
		if (kept && !strcmp(names->list[kept - 1], names->list[i]))
			free(names->list[i]);
		else
			names->list[kept++] = names->list[i];
	}
	names->list[kept] = NULL;
	names->count = kept;
}

/* A scan that stays where it is would never end; 0 is the start and the end. */
static bool moves_on(const char *cursor, const char *next)
{
	return strcmp(next, cursor) != 0 || !strcmp(next, "0");
}

/* One page from *cursor on, which moves on; false with err filled. */
static bool scan_page(struct servers *servers, char cursor[static NUMBER_MAX],
		      struct names *names, struct error *err)
{
	struct lock nowhere = { .servers = servers };
	struct reply *reply = NULL;
	const char *next = NULL;
	struct call call;
	bool doubt = false;
	bool done = false;
	size_t len = 0;
	msec sent = -1;

	call_init(&call, script_scan, 0, &nowhere);
	add_text(&call, cursor);
	if (ask(&nowhere, &call, CLOCK_NEVER, true, &sent, &doubt, &reply,
		err) != FATE_ANSWERED)
		;
	else if (!reply_text(reply_at(reply, 0), &next, &len) ||
		 len >= NUMBER_MAX || !moves_on(cursor, next))
		strange(&nowhere, err);
	else if (!add_page(names, reply_at(reply, 1)))
		error_set(err, STATUS_SYSTEM, "out of memory");
	else {
		memcpy(cursor, next, len);
		cursor[len] = '\0';
		done = true;
	}
	reply_free(reply);
	return done;
}

char **lock_names(struct servers *servers, struct error *err)
{
	struct names names = { .list = calloc(1, sizeof(char *)), .room = 1 };
	char cursor[NUMBER_MAX] = "0";

	if (!names.list) {
		error_set(err, STATUS_SYSTEM, "out of memory");
		return NULL;
	}
	do {
		if (!scan_page(servers, cursor, &names, err)) {
			lock_names_free(names.list);
			return NULL;
		}
	} while (strcmp(cursor, "0"));
	sort_names(&names);
	return names.list;
}

void lock_names_free(char **names)
{
	char **name;

	for (name = names; name && *name; name++)
		free(*name);
	free(names);
}
