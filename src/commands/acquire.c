/* acquire.c - take a lock and hand its token out */
#include "base/duration.h"
#include "base/escape.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_export(const struct lock *lock)
{
	char *name = escape_shell(lock->name);
	char *token = escape_shell(lock->token.text);

	if (name && token)
		printf("export RLOCK_NAME=%s RLOCK_TOKEN=%s "
		       "RLOCK_FENCE=%" PRIu64 "\n",
		       name, token, lock->fence);
	free(name);
	free(token);
}

static void print_json(const struct lock *lock)
{
	char time[REPORT_TIME_MAX];
	struct json json;

	json_begin(&json, stdout);
	json_string(&json, "name", lock->name);
	json_text(&json, "token", lock->token.text, lock->token.len);
	json_number(&json, "fence", (long long)lock->fence);
	json_number(&json, "ttl_ms", lock->ttl);
	json_string(&json, "acquired_at", report_rfc3339(time, lock->since));
	json_end(&json);
}

/* Hands the token over.  STATUS_OK, or what went wrong, reported. */
static int hand_over(const struct session *session)
{
	const struct options *o = session->options;
	const struct lock *lock = &session->lock;
	struct error err;

	if (o->token_file)
		return tokenfile_write(o->token_file, lock->token.text, &err)
			       ? STATUS_OK
			       : report_failure(lock->name, &err);
	if (o->export)
		print_export(lock);
	else if (o->json)
		print_json(lock);
	else
		printf("%s\n", lock->token.text);
	return report_flush(lock->name) ? STATUS_OK : STATUS_IO;
}

/* Nobody renews a plain lock, so who did not choose a TTL is told. */
static void tell_end(const struct session *session)
{
	char name[REPORT_NAME_MAX];
	char time[REPORT_TIME_MAX];
	char ttl[DURATION_TEXT_MAX];

	if (!session->options->ttl_given && isatty(STDERR_FILENO))
		report_notice("%s is yours until %s (%s; choose with --ttl)",
			      report_name(name, session->lock.name),
			      report_local_time(
				      time, clock_wall() + session->lock.ttl),
			      duration_format(ttl, session->lock.ttl));
}

/* From here on the lock is held: every way out that is not a success goes
 * through session_give_back. */
static int deliver(struct session *session, struct signals *signals, int *death)
{
	int status;

	*death = signals_next(signals);
	status = *death ? STATUS_SIGNAL + *death : hand_over(session);
	if (status != STATUS_OK)
		session_give_back(session);
	else
		tell_end(session);
	return status;
}

int command_acquire(const struct options *options, int *death)
{
	struct session session;
	struct signals signals;
	struct error err;
	int status;

	if ((options->token_file &&
	     !tokenfile_check(options->token_file, &err)) ||
	    !signals_open(&signals, &err))
		return report_failure(options->name, &err);
	session_open(&session, options, options->name, signals.fd);
	if (!session_make_token(&session, (long)getppid(), &err))
		status = report_failure(options->name, &err);
	else if (session_take(&session, &signals, &status, death))
		status = deliver(&session, &signals, death);
	session_close(&session);
	signals_close(&signals);
	return status;
}
