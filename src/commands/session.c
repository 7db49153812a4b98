/* session.c - what every command begins and ends with */
#include "commands/session.h"

#include "commands/report.h"
#include "lock/line.h"
#include "process/ancestry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void session_open(struct session *session, const struct options *options,
		  const char *name, int stop_fd)
{
	session->options = options;
	session->from_file = false;
	session->already = false;
	session->enclosed = false;
	servers_init(&session->servers, &options->url, options->timeout,
		     stop_fd);
	lock_init(&session->lock, &session->servers, name, options->ttl);
	session->lock.token.len = 0;
}

void session_close(struct session *session)
{
	servers_release(&session->servers);
}

void session_turn_to(struct session *session, const char *name)
{
	struct token token = session->lock.token;

	lock_init(&session->lock, &session->servers, name,
		  session->options->ttl);
	session->lock.token = token;
}

bool session_load_token(struct session *session, struct error *err)
{
	const struct options *o = session->options;

	err->status = STATUS_OK;
	if (o->token_file) {
		if (!tokenfile_read(o->token_file, &session->file, err))
			return false;
		session->from_file = true;
		token_use(&session->lock.token, session->file.token);
		return true;
	}
	if (!o->token)
		return false;
	token_use(&session->lock.token, o->token);
	return true;
}

bool session_need_token(struct session *session, struct error *err)
{
	if (session_load_token(session, err))
		return true;
	if (err->status == STATUS_OK)
		error_set(err, STATUS_USAGE,
			  "no token given (--token, --token-file or "
			  "RLOCK_TOKEN)");
	return false;
}

/* $LOGNAME or $USER or the uid, at this host: no name service is asked. */
static bool default_owner(char owner[static TOKEN_OWNER_MAX + 1],
			  struct error *err)
{
	const char *user = getenv("LOGNAME");
	char number[24];
	char host[TOKEN_OWNER_MAX + 1];

	if (!user || !*user)
		user = getenv("USER");
	if (!user || !*user) {
		snprintf(number, sizeof(number), "%lu",
			 (unsigned long)getuid());
		user = number;
	}
	if (gethostname(host, sizeof(host)))
		return error_errno(err, STATUS_SYSTEM, errno,
				   "cannot find out the host's name");
	host[sizeof(host) - 1] = '\0';
	if (snprintf(owner, TOKEN_OWNER_MAX + 1, "%s@%s", user, host) >
	    TOKEN_OWNER_MAX)
		return error_set(err, STATUS_USAGE,
				 "user and host are too long for an owner: "
				 "give --owner");
	return true;
}

bool session_make_token(struct session *session, long pid, struct error *err)
{
	const struct options *o = session->options;

	session->pid = pid;
	if (o->owner)
		strcpy(session->owner, o->owner); /* no longer: see options.c */
	else if (!default_owner(session->owner, err))
		return false;
	if (o->token) {
		token_use(&session->lock.token, o->token);
		return true;
	}
	return token_make(&session->lock.token, session->owner, pid, o->ttl,
			  o->message, err);
}

/* --- taking ----------------------------------------------------------- */

static bool tell_waiting(void *arg, const struct line_news *news)
{
	const struct session *session = arg;

	return report_wait(session->lock.name, news);
}

/* Would we wait for a lock that our own caller holds? */
static bool is_enclosing(void *arg, const struct holder *holder)
{
	struct session *session = arg;

	/* No variable can hold a NUL. */
	session->enclosed = strlen(holder->value) == holder->len &&
			    ancestry_has_variable("RLOCK_TOKEN", holder->value);
	return session->enclosed;
}

static int report_not_obtained(const struct session *session,
			       enum lock_outcome outcome)
{
	char name[REPORT_NAME_MAX];
	char promise[REPORT_HOLDER_MAX];

	if (session->enclosed)
		report_notice("%s is held by a command that this one is part "
			      "of: waiting for it would never end",
			      report_name(name, session->lock.name));
	else if (outcome == LOCK_PROMISED)
		report_notice("%s is %s", report_name(name, session->lock.name),
			      report_promise(promise, &session->place));
	else
		report_held(session->lock.name, &session->holder);
	return session->options->conflict_status;
}

int session_not_taken(struct session *session, struct signals *signals,
		      int *death, const struct error *err)
{
	int status = (int)err->status;

	if (err->stopped)
		*death = signals_next(signals);
	if (!*death)
		report_failure(session->lock.name, err);
	if (session->lock.doubt >= 0)
		report_doubt(&session->lock);
	return *death ? STATUS_SIGNAL + *death : status;
}

bool session_take(struct session *session, struct signals *signals, int *status,
		  int *death)
{
	struct line_wish wish = {
		.wait = session->options->wait,
		.owner = session->owner,
		.pid = session->pid,
		.notice = tell_waiting,
		.hopeless = is_enclosing,
		.arg = session,
	};
	enum lock_outcome outcome;
	char name[REPORT_NAME_MAX];
	struct error err;

	*death = 0;
	*status = STATUS_OK;
	report_in_haste(true); /* nobody's pager shall hold the line up */
	outcome = line_acquire(&session->lock, &wish, &session->holder,
			       &session->place, &err);
	report_wait_over();
	report_in_haste(false);
	switch (outcome) {
	case LOCK_OK:
		return true;
	case LOCK_ALREADY:
		session->already = true;
		report_notice("%s was already held with this token",
			      report_name(name, session->lock.name));
		return true;
	case LOCK_HELD:
	case LOCK_PROMISED:
		*status = report_not_obtained(session, outcome);
		return false;
	default:
		*status = session_not_taken(session, signals, death, &err);
		return false;
	}
}

/* --- not ours --------------------------------------------------------- */

int session_not_ours(const struct session *session, enum lock_outcome outcome)
{
	char name[REPORT_NAME_MAX];
	char who[REPORT_HOLDER_MAX];

	report_name(name, session->lock.name);
	if (outcome == LOCK_GONE)
		report_line("%s on '%s' is not held: it expired, or was "
			    "released already",
			    name, servers_name(&session->servers));
	else
		report_line("%s on '%s' is not held with this token, but by "
			    "%s",
			    name, servers_name(&session->servers),
			    report_who(who, &session->holder));
	return STATUS_NOT_OURS;
}

/* --- the lease -------------------------------------------------------- */

int session_print_lease(const struct session *session, msec left)
{
	struct json json;

	if (!session->options->json)
		return STATUS_OK;
	json_begin(&json, stdout);
	json_string(&json, "name", session->lock.name);
	if (session->lock.fence)
		json_number(&json, "fence", (long long)session->lock.fence);
	else
		json_null(&json, "fence");
	if (left < 0)
		json_null(&json, "expires_in_ms");
	else
		json_number(&json, "expires_in_ms", left);
	json_end(&json);
	return report_flush(session->lock.name) ? STATUS_OK : STATUS_IO;
}

int session_extend(struct session *session, enum lock_extend_mode mode,
		   msec span)
{
	char name[REPORT_NAME_MAX];
	enum lock_outcome outcome;
	struct error err;
	msec left = 0;

	outcome = lock_extend(&session->lock, mode, span, CLOCK_NEVER, &left,
			      &session->holder, &err);
	switch (outcome) {
	case LOCK_OK:
		return session_print_lease(session, left);
	case LOCK_PERSISTENT:
		report_line("%s on '%s' never expires: there is nothing to "
			    "extend (reacquire --ttl gives it a TTL)",
			    report_name(name, session->lock.name),
			    servers_name(&session->servers));
		return STATUS_DATA;
	case LOCK_NO_LOCK:
	case LOCK_FAILED:
		return report_failure(session->lock.name, &err);
	default:
		return session_not_ours(session, outcome);
	}
}

void session_give_back(struct session *session)
{
	struct error err;

	if (session->already)
		return;
	session->servers.stop_fd = -1; /* no signal shall cut this short */
	if (lock_release(&session->lock, 0, CLOCK_NEVER, &session->holder,
			 &err) != LOCK_FAILED)
		return;
	session->lock.doubt = session->lock.taken;
	report_doubt(&session->lock);
}
