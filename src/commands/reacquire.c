/* reacquire.c - set a lock's TTL back to the original one, or take it again */
#include "base/duration.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"
#include "lock/line.h"

#include <inttypes.h>

/* The TTL to go back to: --ttl, else what the token says. */
static bool choose_ttl(struct session *session, struct error *err)
{
	struct lock *lock = &session->lock;
	struct token_fields fields;

	if (session->options->ttl_given)
		return true;
	if (!token_parse(lock->token.text, lock->token.len, &fields))
		return error_set(err, STATUS_USAGE,
				 "the token does not say the TTL: give --ttl");
	if (fields.ttl > DURATION_MAX)
		return error_set(err, STATUS_USAGE,
				 "the token's TTL is absurd: give --ttl");
	lock->ttl = fields.ttl;
	return true;
}

/* Takes a lock that was lost and that nobody holds, with the same token and a
 * new fence. */
static int retake(struct session *session)
{
	struct line_wish once = { .wait = 0 };
	char name[REPORT_NAME_MAX];
	char promise[REPORT_HOLDER_MAX];
	struct error err;

	switch (line_acquire(&session->lock, &once, &session->holder,
			     &session->place, &err)) {
	case LOCK_OK:
		report_notice("%s was lost, and has been taken again: others "
			      "may have held it; its fence is now %" PRIu64,
			      report_name(name, session->lock.name),
			      session->lock.fence);
		/* fall through */
	case LOCK_ALREADY:
		return session_print_lease(
			session, session->lock.ttl ? session->lock.ttl : -1);
	case LOCK_HELD:
		return session_not_ours(session, LOCK_HELD);
	case LOCK_PROMISED:
		report_line("%s on '%s' is %s",
			    report_name(name, session->lock.name),
			    servers_name(&session->servers),
			    report_promise(promise, &session->place));
		return STATUS_NOT_OURS;
	default:
		report_failure(session->lock.name, &err);
		if (session->lock.doubt >= 0)
			report_doubt(&session->lock);
		return (int)err.status;
	}
}

static int reacquire(struct session *session)
{
	struct error err;

	if (!session_need_token(session, &err) || !choose_ttl(session, &err))
		return report_failure(session->lock.name, &err);
	if (session->options->retake)
		return retake(session);
	return session_extend(session, LOCK_EXTEND_ANEW, session->lock.ttl);
}

int command_reacquire(const struct options *options, int *death)
{
	struct session session;
	int status;

	(void)death;
	session_open(&session, options, options->name, -1);
	status = reacquire(&session);
	session_close(&session);
	return status;
}
