/* reply.c - a server that answers anything to what is asked about a lock
 *
 * The first byte chooses the question, and in upper case a stop comes at the
 * end; the rest is the server's script (wire.h).
 */
#include "fuzz.h"
#include "lock/line.h"
#include "server/url.h"
#include "wire.h"

#include <ctype.h>

/* A token as rlock makes them, but known to the corpus. */
static void make_token(struct token *token)
{
	static const char nonce[] = "0123456789abcdef0123456789abcdef";
	struct error err;

	must(token_make(token, "a@b", 1, 10000, "m", &err));
	strcpy(token->suffix + strlen(token->suffix) - TOKEN_NONCE_LEN, nonce);
	token_stamp(token, 42);
}

static void check_holder(const struct holder *h)
{
	must(h->len < sizeof(h->value) && !h->value[h->len]);
	must(h->expires_in >= -1 && h->fence <= INT64_MAX);
	must(holder_end(h) >= 0);
	if (!h->foreign)
		must(*h->fields.owner && strlen(h->value) == h->len);
}

static void check_error(const struct error *err)
{
	must(*err->text && fuzz_is_printable(err->text));
	must(err->status >= STATUS_USAGE && err->status <= STATUS_NOT_OURS);
}

static void check_place(const struct place *place)
{
	must(place->before >= -1 && place->count >= 0);
	must(place->due >= -1 && place->due <= 6000);
	must(memchr(place->ticket, '\0', sizeof(place->ticket)));
}

/* What holds after each operation. */
static void check(enum lock_outcome outcome, const struct lock *lock,
		  const struct holder *holder, const struct error *err)
{
	if (outcome == LOCK_HELD)
		check_holder(holder);
	if (outcome == LOCK_FAILED || outcome == LOCK_NO_LOCK)
		check_error(err);
	must(lock->lease_end >= 0);
	must(lock->fence <= INT64_MAX);
}

static void acquire(struct lock *lock, bool stay)
{
	struct error err = { .status = STATUS_OK };
	struct holder holder = { .len = 0 };
	struct token id = lock->token;
	enum lock_outcome outcome;
	struct place place;

	place_init(&place, stay ? &id : NULL);
	outcome = lock_acquire(lock, &place, stay, clock_now() + 3000, &holder,
			       &err);
	check(outcome, lock, &holder, &err);
	check_place(&place);
	must(outcome != LOCK_GONE && outcome != LOCK_PERSISTENT);
	if (outcome == LOCK_OK || outcome == LOCK_ALREADY)
		must(lock->doubt < 0 && clock_now() < lock->lease_end);
	if (outcome == LOCK_HELD || outcome == LOCK_PROMISED)
		must(lock->doubt < 0 && place.joined == stay);
	must(lock_abandon(lock) == (lock->doubt < 0));
	lock_leave(lock, &place);
	must(!place.joined);
}

static bool told(void *arg, const struct line_news *news)
{
	int *count = arg;

	if (news->holder)
		check_holder(news->holder);
	if (news->place)
		check_place(news->place);
	if (news->err)
		check_error(news->err);
	return ++*count < 4;
}

static void wait_in_line(struct lock *lock)
{
	struct error err = { .status = STATUS_OK };
	struct holder holder = { .len = 0 };
	enum lock_outcome outcome;
	struct place place;
	int count = 0;
	struct line_wish wish = {
		.wait = 5000,
		.owner = "a@b",
		.pid = 1,
		.notice = told,
		.arg = &count,
	};
	msec begin = clock_now();

	outcome = line_acquire(lock, &wish, &holder, &place, &err);
	check(outcome, lock, &holder, &err);
	check_place(&place);
	must(outcome != LOCK_GONE && outcome != LOCK_PERSISTENT);
	must(outcome == LOCK_FAILED || lock->doubt < 0);
	/* The attempts to leave come after the end, with little time. */
	must(clock_now() - begin < wish.wait + 4 * lock->servers->timeout);
}

static void release(struct lock *lock, msec hold)
{
	struct error err = { .status = STATUS_OK };
	struct holder holder = { .len = 0 };

	check(lock_release(lock, hold, CLOCK_NEVER, &holder, &err), lock,
	      &holder, &err);
}

static void extend(struct lock *lock, enum lock_extend_mode mode)
{
	struct error err = { .status = STATUS_OK };
	struct holder holder = { .len = 0 };
	enum lock_outcome outcome;
	msec left = -7;

	outcome = lock_extend(lock, mode, 5000, CLOCK_NEVER, &left, &holder,
			      &err);
	check(outcome, lock, &holder, &err);
	must((outcome == LOCK_OK) == (left >= -1));
}

static void look(struct lock *lock, bool at_waiters)
{
	struct waiters waiters = { .count = 0 };
	struct error err = { .status = STATUS_OK };
	struct holder holder = { .len = 0 };
	enum lock_outcome outcome;

	outcome = lock_look(lock, CLOCK_NEVER, &holder,
			    at_waiters ? &waiters : NULL, &err);
	check(outcome, lock, &holder, &err);
	if (outcome == LOCK_HELD || outcome == LOCK_GONE) {
		must(waiters.told <= LOCK_WAITERS_MAX);
		must(waiters.told <= waiters.count);
		must(!waiters.told || waiters.list);
	}
	lock_waiters_release(&waiters);
}

static void names(struct servers *servers)
{
	struct error err = { .status = STATUS_OK };
	char **all = lock_names(servers, &err);
	struct error why;
	char **name;

	if (!all)
		check_error(&err);
	for (name = all; name && *name; name++) {
		must(strlen(*name) <= LOCK_NAME_MAX && **name);
		must(name == all || strcmp(name[-1], *name) < 0);
		must(lock_name_check(*name, &why));
	}
	lock_names_free(all);
}

static void ask(struct lock *lock, char what)
{
	switch (what) {
	case 'a':
		acquire(lock, false);
		break;
	case 'j':
		acquire(lock, true);
		break;
	case 'w':
		wait_in_line(lock);
		break;
	case 'r':
		release(lock, 0);
		break;
	case 'u':
		release(lock, LOCK_UNDO);
		break;
	case 'b':
		extend(lock, LOCK_EXTEND_BY);
		break;
	case 't':
		extend(lock, LOCK_EXTEND_TO);
		break;
	case 'e':
		extend(lock, LOCK_EXTEND_ANEW);
		break;
	case 'l':
		look(lock, false);
		break;
	case 's':
		look(lock, true);
		break;
	case 'n':
		names(lock->servers);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lock lock;
	struct servers servers;
	struct error err;
	struct url url;

	if (!size)
		return 0;
	must(url_parse(&url, "redis://:pass@10.0.0.1/3", &err));
	wire_open(data + 1, size - 1, isupper(data[0]));
	servers_init(&servers, &url, 300, 0);
	lock_init(&lock, &servers, "name", 10000);
	make_token(&lock.token);
	ask(&lock, (char)tolower(data[0]));
	servers_release(&servers);
	wire_close();
	url_release(&url);
	return 0;
}
