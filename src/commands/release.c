/* release.c - free a lock, or break somebody else's */
#include "base/escape.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void print_json(const struct session *session, const char *outcome)
{
	struct json json;

	json_begin(&json, stdout);
	json_string(&json, "name", session->lock.name);
	json_string(&json, "outcome", outcome);
	json_end(&json);
}

/* Reports how the release went, and returns the exit status. */
static int conclude(const struct session *session, enum lock_outcome outcome,
		    const struct error *err)
{
	int status = STATUS_OK;

	if (outcome == LOCK_FAILED || outcome == LOCK_NO_LOCK)
		return report_failure(session->lock.name, err);
	if (outcome != LOCK_OK)
		status = session_not_ours(session, outcome);
	if (session->options->json) {
		print_json(session, outcome == LOCK_OK	   ? "released"
				    : outcome == LOCK_GONE ? "gone"
							   : "taken");
		if (!report_flush(session->lock.name))
			return STATUS_IO;
	}
	return status;
}

static int release_own(struct session *session)
{
	enum lock_outcome outcome;
	struct error err;

	if (!session_need_token(session, &err))
		return report_failure(session->lock.name, &err);
	outcome = lock_release(&session->lock, 0, CLOCK_NEVER, &session->holder,
			       &err);
	if ((outcome == LOCK_OK || outcome == LOCK_GONE ||
	     outcome == LOCK_HELD) &&
	    session->from_file)
		tokenfile_remove(session->options->token_file, &session->file,
				 outcome == LOCK_OK);
	return conclude(session, outcome, &err);
}

/* --- by force --------------------------------------------------------- */

/* Asks on the terminal; only "yes" counts. */
static bool confirm(const char *server)
{
	char question[URL_SHOWN_MAX + 64];
	char answer[16] = "";
	ssize_t n;

	snprintf(question, sizeof(question),
		 "rlock: break this lock on '%s'? only yes will do: ", server);
	if (write(STDERR_FILENO, question, strlen(question)) < 0)
		return false;
	n = read(STDIN_FILENO, answer, sizeof(answer) - 1);
	return n > 0 && !strcmp(answer, "yes\n");
}

/* --holder names the token itself, or, of one that is not UTF-8, what a message
 * or `status --json` shows of it. */
static bool is_holder(const struct holder *holder, const char *given)
{
	char shown[4 * TOKEN_MAX + 8];

	if (holder_is(holder, given, strlen(given)))
		return true;
	escape_display(shown, sizeof(shown), holder->value, holder->len);
	return !strcmp(given, shown) ||
	       !strcmp(given, escape_stray(shown, holder->value, holder->len));
}

/* May the holder that was found be evicted?  STATUS_OK, or reported. */
static int check_holder(const struct session *session)
{
	const struct options *o = session->options;
	const struct holder *holder = &session->holder;
	char name[REPORT_NAME_MAX];
	char who[REPORT_HOLDER_MAX];

	report_name(name, session->lock.name);
	if (holder->len > TOKEN_MAX) {
		report_line("%s on '%s' has a value of more than %d bytes, "
			    "which is no token: delete the key by hand",
			    name, servers_name(&session->servers), TOKEN_MAX);
		return STATUS_DATA;
	}
	if (o->holder && !is_holder(holder, o->holder)) {
		report_line("%s on '%s' is held by %s, not by the holder given",
			    name, servers_name(&session->servers),
			    report_who(who, holder));
		return STATUS_NOT_OURS;
	}
	if (o->holder || o->yes)
		return STATUS_OK;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		report_line("%s: --force without a terminal needs --holder "
			    "TOKEN or --yes",
			    name);
		return STATUS_USAGE;
	}
	report_open(false, o->verbose); /* a question needs its subject */
	report_held(session->lock.name, holder);
	if (confirm(servers_name(&session->servers)))
		return STATUS_OK;
	report_line("%s is left alone", name);
	return STATUS_HELD;
}

/* Who holds it?  A replica that lags is not believed that nobody does: it cannot
 * release, whoever asks. */
static enum lock_outcome look_well(struct session *session, struct error *err)
{
	struct lock *lock = &session->lock;
	enum lock_outcome outcome;

	outcome = lock_look(lock, CLOCK_NEVER, &session->holder, NULL, err);
	if (outcome != LOCK_GONE)
		return outcome;
	/* With a token that nobody has. */
	if (!token_make(&lock->token, "", (long)getpid(), 0, "", err))
		return LOCK_FAILED;
	outcome = lock_release(lock, 0, CLOCK_NEVER, &session->holder, err);
	return outcome == LOCK_OK ? LOCK_GONE : outcome;
}

/* Removes exactly the holder that was shown, never a newer one. */
static int release_by_force(struct session *session)
{
	struct lock *lock = &session->lock;
	char name[REPORT_NAME_MAX];
	char who[REPORT_HOLDER_MAX];
	enum lock_outcome outcome;
	struct error err;
	int status;

	outcome = look_well(session, &err);
	if (outcome != LOCK_HELD)
		return conclude(session, outcome, &err);
	status = check_holder(session);
	if (status != STATUS_OK)
		return status;
	report_who(who, &session->holder);
	memcpy(lock->token.text, session->holder.value,
	       session->holder.len + 1);
	lock->token.len = session->holder.len;
	outcome = lock_release(lock, 0, CLOCK_NEVER, &session->holder, &err);
	if (outcome == LOCK_OK)
		report_line("%s on '%s' was taken from %s",
			    report_name(name, lock->name),
			    servers_name(&session->servers), who);
	return conclude(session, outcome, &err);
}

int command_release(const struct options *options, int *death)
{
	struct session session;
	int status;

	(void)death;
	session_open(&session, options, options->name, -1);
	status = options->force ? release_by_force(&session)
				: release_own(&session);
	session_close(&session);
	return status;
}
