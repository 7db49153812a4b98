/* run.c - hold a lock around a command
 *
 * The order matters.  The lock is taken; then the command is started, while
 * there is no other thread; then the keeper, which renews the lease from its
 * own thread.  From there on this thread sleeps in one poll(2) until something
 * happens: a signal, a word from the keeper, the time for TERM or KILL, the
 * command's end.  The keeper has ended before the lock is released.
 *
 * The command is told to stop, and then killed, before the lock can belong to
 * somebody else: TERM kill_after before the lease ends, KILL a moment before.
 */
#include "base/duration.h"
#include "base/escape.h"
#include "base/trace.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"
#include "lock/keeper.h"
#include "process/child.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* KILL comes so long before the lease ends, or TTL/20 if that is less: the
 * kernel needs a moment to end processes. */
#define KILL_MARGIN    ((msec)50)
#define KILL_AGAIN     ((msec)100)  /* after KILL, until the group is gone */
#define GROUP_PATIENCE ((msec)1000) /* for members the kernel cannot end */
#define LAST_RELEASE   ((msec)1000) /* giving back a lock that was lost */
#define KILLS_MAX      20	    /* two seconds of them */
#define BASENAME_MAX   64
#define MADE_NAME_MAX  (BASENAME_MAX + 32)

struct guard {
	const struct options *options;
	struct session *session;
	struct signals *signals;
	struct child child;
	struct keeper *keeper;
	int timer;

	msec lease_end; /* as confirmed last */
	bool lost;	/* decided once and for all */
	bool troubled;	/* a renewal failed since the last that did not */
	msec kill_at;	/* when stopping; else CLOCK_NEVER */
	int kills;	/* sent so far */
	bool ended;	/* the command itself */
	bool beyond_us; /* it cannot be ended by us */
};

/* --- the lock's name and the command ---------------------------------- */

/* FNV-1a, 64 bits, over a string and its NUL. */
static uint64_t hash_on(uint64_t hash, const char *text)
{
	do {
		hash ^= (unsigned char)*text;
		hash *= 1099511628211U;
	} while (*text++);
	return hash;
}

/* A name for the command's own lock: the same command line, the same lock. */
static void make_name(char name[static MADE_NAME_MAX], char *const argv[])
{
	const char *slash = strrchr(argv[0], '/');
	uint64_t hash = 14695981039346656037U;
	int i;

	for (i = 0; argv[i]; i++)
		hash = hash_on(hash, argv[i]);
	snprintf(name, MADE_NAME_MAX, "run:%.*s:%016" PRIx64, BASENAME_MAX,
		 slash ? slash + 1 : argv[0], hash);
}

/* What to execute.  For -c the lock is named as if `sh -c` had been written
 * out, so that a host with another $SHELL has the same lock. */
static char **command_of(const struct options *options, char *shell[4],
			 char name[static MADE_NAME_MAX])
{
	const char *path = getenv("SHELL");

	if (!options->shell_command) {
		make_name(name, options->command);
		return options->command;
	}
	shell[0] = (char *)"sh";
	shell[1] = (char *)"-c";
	shell[2] = (char *)options->shell_command;
	shell[3] = NULL;
	make_name(name, shell);
	shell[0] = (char *)(path && *path ? path : "/bin/sh");
	return shell;
}

/* --- losing the lock --------------------------------------------------- */

/* Tells the command to stop, and sets the time when it is killed. */
static void stop_command(struct guard *guard, msec kill_at)
{
	char buf[16];

	if (guard->kill_at != CLOCK_NEVER)
		return;
	trace("sending %s to the command",
	      signals_name(guard->options->signal, buf));
	child_signal(&guard->child, guard->options->signal);
	child_signal(&guard->child, SIGCONT);
	guard->kill_at = kill_at;
}

static void lose(struct guard *guard, msec kill_at, const char *how)
{
	char name[REPORT_NAME_MAX];

	if (guard->lost)
		return;
	guard->lost = true;
	if (guard->options->stop_when_lost)
		stop_command(guard, kill_at);
	report_line("%s on '%s' was lost: %s; the command %s",
		    report_name(name, guard->session->lock.name),
		    servers_name(&guard->session->servers), how,
		    guard->options->stop_when_lost ? "is stopped"
						   : "goes on without it");
}

/* When KILL is due if the lock is lost now. */
static msec kill_time(const struct guard *guard)
{
	return clock_after(clock_now(), guard->options->kill_after);
}

/* The server says that the lock is not ours: nothing is to be waited for. */
static void lose_at_once(struct guard *guard, const struct holder *holder)
{
	char how[REPORT_HOLDER_MAX + 32] = "it expired, or was deleted";
	char who[REPORT_HOLDER_MAX];

	if (holder)
		snprintf(how, sizeof(how), "it is held by %s",
			 report_who(who, holder));
	lose(guard, kill_time(guard), how);
}

static msec kill_margin(const struct guard *guard)
{
	msec share = guard->options->ttl / 20;

	return share < KILL_MARGIN ? share : KILL_MARGIN;
}

/* When TERM is due if nothing is heard. */
static msec stop_at(const struct guard *guard)
{
	msec margin = kill_margin(guard);

	if (guard->options->kill_after > margin)
		margin = guard->options->kill_after;
	return guard->lease_end - margin;
}

/* The keeper was told by the server. */
static void lose_to(struct guard *guard, const struct keeper_report *report)
{
	struct holder *holder = &guard->session->holder;

	if (!report->gone)
		holder_set(holder, report->text, report->text_len);
	lose_at_once(guard, report->gone ? NULL : holder);
}

static void hear_keeper(struct guard *guard)
{
	struct keeper_report report;
	char name[REPORT_NAME_MAX];

	while (keeper_next(guard->keeper, &report)) {
		switch (report.news) {
		case KEEPER_RENEWED:
			/* We may have renewed ourselves since. */
			if (report.lease_end > guard->lease_end)
				guard->lease_end = report.lease_end;
			guard->troubled = false;
			break;
		case KEEPER_TROUBLE:
			if (!guard->troubled)
				report_notice(
					"%s: cannot renew: %s; trying "
					"again",
					report_name(name,
						    guard->session->lock.name),
					report.text);
			guard->troubled = true;
			break;
		case KEEPER_LOST:
			if (report.no_lock)
				lose(guard, kill_time(guard), report.text);
			else
				lose_to(guard, &report);
			break;
		}
	}
}

/* rlock can do no more: what it may not signal, or the kernel cannot end, goes
 * on without the lock. */
static void give_up(struct guard *guard, const char *why)
{
	char name[REPORT_NAME_MAX];

	report_line("%s: cannot stop pid %ld: %s",
		    report_name(name, guard->session->lock.name),
		    (long)guard->child.pid, why);
	guard->beyond_us = true;
}

/* KILL, again and again until the command has ended. */
static void kill_command(struct guard *guard, msec now)
{
	trace("sending KILL to the command");
	if (!child_signal(&guard->child, SIGKILL) && errno == EPERM)
		give_up(guard, strerror(EPERM));
	else if (++guard->kills > KILLS_MAX)
		give_up(guard, "it does not end");
	guard->kill_at = clock_after(now, KILL_AGAIN);
}

/* What is due by the clock: TERM when the lease runs out unconfirmed, KILL
 * when it is about to end. */
static void watch_clock(struct guard *guard)
{
	msec now = clock_now();

	if (!guard->lost && now >= stop_at(guard))
		lose(guard, guard->lease_end - kill_margin(guard),
		     "no renewal was confirmed in time");
	if (now >= guard->kill_at)
		kill_command(guard, now);
}

/* --- the command ------------------------------------------------------- */

/* After a stop of both: is the lock still ours? */
static bool check_lock(struct guard *guard)
{
	struct lock *lock = &guard->session->lock;
	struct holder *holder = &guard->session->holder;
	enum lock_outcome outcome;
	struct error err;
	msec left = 0;

	outcome = lock_extend(lock, LOCK_EXTEND_ANEW, lock->ttl, CLOCK_NEVER,
			      &left, holder, &err);
	if (outcome == LOCK_OK) {
		guard->lease_end = lock->lease_end;
		return true;
	}
	if (outcome == LOCK_FAILED || outcome == LOCK_NO_LOCK)
		lose(guard, kill_time(guard), err.text);
	else
		lose_at_once(guard, outcome == LOCK_HELD ? holder : NULL);
	return !guard->options->stop_when_lost;
}

/* The command has been stopped by the terminal (or as if by it).  If all it
 * needs is the terminal, it gets it; else rlock stops as well, so that the
 * shell sees the job stopped, and looks at the lock when it is continued. */
static void pause_together(struct guard *guard, int signo)
{
	bool wants_terminal = signo == SIGTTIN || signo == SIGTTOU;
	bool had_terminal = guard->child.lent;

	if (signo != SIGTSTP && !wants_terminal)
		return; /* somebody stopped the command alone */
	child_take_terminal(&guard->child);
	if (!wants_terminal || !child_lend_terminal(&guard->child)) {
		/* In a group that cannot be stopped a command that wants the
		 * terminal will never get it: it is told as the kernel tells
		 * its like. */
		if (!signals_pause(signo) && wants_terminal)
			child_signal(&guard->child, SIGHUP);
		if (!check_lock(guard))
			return;
		if (had_terminal || wants_terminal)
			child_lend_terminal(&guard->child);
	}
	child_signal(&guard->child, SIGCONT);
}

static void reap(struct guard *guard)
{
	enum child_event event;

	while (!guard->ended &&
	       (event = child_next(&guard->child)) != CHILD_NOTHING) {
		if (event == CHILD_STOPPED)
			pause_together(guard, WSTOPSIG(guard->child.status));
		else
			guard->ended = true;
	}
}

static void hear_signals(struct guard *guard)
{
	char buf[16];
	int signo;

	while ((signo = signals_next(guard->signals)) != 0) {
		if (signo == SIGCHLD)
			continue;
		trace("passing on %s", signals_name(signo, buf));
		child_signal(&guard->child, signo);
	}
	reap(guard);
}

/* Sits beside the command until it has ended. */
static void watch(struct guard *guard)
{
	struct pollfd fds[] = {
		{ .fd = guard->signals->fd, .events = POLLIN },
		{ .fd = keeper_fd(guard->keeper), .events = POLLIN },
		{ .fd = guard->timer, .events = POLLIN },
	};

	while (!guard->ended && !guard->beyond_us) {
		msec due = guard->lost ? guard->kill_at : stop_at(guard);

		clock_timer_set(guard->timer, due);
		poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
		hear_keeper(guard);
		watch_clock(guard);
		hear_signals(guard);
	}
	child_take_terminal(&guard->child);
}

/* The command has ended because it was told to; what it left in its group must
 * be gone too. */
static void sweep(struct guard *guard)
{
	if (guard->kill_at == CLOCK_NEVER || guard->beyond_us ||
	    child_group_is_gone(&guard->child, guard->kill_at))
		return;
	if (!child_signal(&guard->child, SIGKILL) && errno == EPERM)
		give_up(guard, strerror(EPERM));
	else if (!child_group_is_gone(&guard->child,
				      clock_after(clock_now(), GROUP_PATIENCE)))
		give_up(guard, "it does not end");
}

/* --- the end ----------------------------------------------------------- */

/* How long the lock shall stay although the command has ended; 0: not. */
static msec time_to_hold(const struct guard *guard, int status)
{
	msec held = clock_now() - guard->session->lock.taken;
	msec rest = guard->options->min_hold - held;

	if (status == STATUS_NOT_FOUND || status == STATUS_CANNOT_EXECUTE ||
	    status == STATUS_NOT_OURS)
		return 0;
	return rest > 0 ? rest : 0;
}

/* The lock could not be released; the command's status counts all the same. */
static void warn_of_release(const struct guard *guard, const struct error *err)
{
	char name[REPORT_NAME_MAX];
	char left[DURATION_TEXT_MAX];

	report_line("%s: cannot release: %s; it frees itself within %s",
		    report_name(name, guard->session->lock.name), err->text,
		    duration_format(left, guard->options->ttl));
}

/* Releases, and turns the command's status into rlock's. */
static int finish(struct guard *guard, int status)
{
	struct session *session = guard->session;
	struct error err;
	enum lock_outcome outcome;

	if (guard->lost) {
		/* It may still be ours for a moment: then nobody need wait. */
		lock_release(&session->lock, 0,
			     clock_after(clock_now(), LAST_RELEASE),
			     &session->holder, &err);
		return STATUS_NOT_OURS;
	}
	outcome = lock_release(&session->lock, time_to_hold(guard, status),
			       CLOCK_NEVER, &session->holder, &err);
	if (outcome == LOCK_NO_LOCK) {
		report_failure(session->lock.name, &err);
		return STATUS_NOT_OURS;
	}
	if (outcome == LOCK_FAILED)
		warn_of_release(guard, &err);
	else if (outcome != LOCK_OK)
		return session_not_ours(session, outcome);
	return status;
}

/* The command runs; from here on the keeper is needed. */
static int guard_command(struct guard *guard, int *death)
{
	struct error err;
	int status;

	guard->keeper = keeper_start(&guard->session->lock,
				     guard->options->renew, &err);
	guard->timer = guard->keeper ? clock_timer_open(&err) : -1;
	if (guard->timer < 0) {
		child_kill(&guard->child);
		keeper_stop(guard->keeper);
		report_failure(guard->session->lock.name, &err);
		session_give_back(guard->session);
		return STATUS_SYSTEM;
	}
	watch(guard);
	sweep(guard);
	keeper_stop(guard->keeper);
	close(guard->timer);
	report_in_haste(false);
	status = finish(guard, child_exit_status(guard->child.status));
	if (status == STATUS_SIGNAL + SIGINT ||
	    status == STATUS_SIGNAL + SIGQUIT)
		*death = child_share_death(&guard->child);
	return status;
}

static void export_lock(const struct lock *lock)
{
	char fence[32];

	snprintf(fence, sizeof(fence), "%" PRIu64, lock->fence);
	setenv("RLOCK_NAME", lock->name, 1);
	setenv("RLOCK_TOKEN", lock->token.text, 1);
	setenv("RLOCK_FENCE", fence, 1);
}

/* rlock itself may have been stopped since the lock was taken. */
static bool still_time(const struct guard *guard, struct error *err)
{
	return clock_now() < stop_at(guard) ||
	       error_set(err, STATUS_UNAVAILABLE,
			 "the lease ran out before the command could start");
}

/* From here on the lock is held: every way out releases it. */
static int run_under_lock(struct session *session, struct signals *signals,
			  char **argv, int *death)
{
	struct guard guard = {
		.options = session->options,
		.session = session,
		.signals = signals,
		.lease_end = session->lock.lease_end,
		.kill_at = CLOCK_NEVER,
		.timer = -1,
	};
	struct error err;

	session->servers.stop_fd = -1; /* signals are for the command now */
	export_lock(&session->lock);
	report_in_haste(true);
	if (!signals_widen(signals, &err) || !still_time(&guard, &err) ||
	    !child_start(&guard.child, argv, signals, &err)) {
		report_in_haste(false);
		session_give_back(session);
		return report_failure(session->lock.name, &err);
	}
	return guard_command(&guard, death);
}

/* Inside a `run` of the same lock, which renews and watches it, there is
 * nothing to do but to execute the command.  LOCK_OK: we are inside; LOCK_GONE:
 * not; LOCK_FAILED. */
static enum lock_outcome look_for_nesting(struct session *session,
					  struct error *err)
{
	const char *name = getenv("RLOCK_NAME");
	const char *token = getenv("RLOCK_TOKEN");
	msec limit = CLOCK_NEVER;
	enum lock_outcome outcome;

	if (!name || !token || strcmp(name, session->lock.name))
		return LOCK_GONE;
	if (session->options->wait)
		limit = clock_after(clock_now(), session->options->wait);
	outcome = lock_look(&session->lock, limit, &session->holder, NULL, err);
	if (outcome == LOCK_HELD &&
	    holder_is(&session->holder, token, strlen(token)))
		return LOCK_OK;
	return outcome == LOCK_FAILED && !err->passing ? LOCK_FAILED
						       : LOCK_GONE;
}

static int run(struct session *session, struct signals *signals, char **argv,
	       int *death)
{
	const struct options *options = session->options;
	struct error err;
	int status;

	if (options->min_hold && !options->wait_given)
		report_notice("--min-hold without -n or -w: a host that waits "
			      "runs the command after all");
	switch (look_for_nesting(session, &err)) {
	case LOCK_OK:
		trace("nested: the lock is our caller's");
		child_become(argv, signals, &err);
		return report_failure(session->lock.name, &err);
	case LOCK_FAILED:
		return session_not_taken(session, signals, death, &err);
	default:
		break;
	}
	if (!session_make_token(session, (long)getpid(), &err))
		return report_failure(session->lock.name, &err);
	if (!session_take(session, signals, &status, death))
		return status;
	return run_under_lock(session, signals, argv, death);
}

int command_run(const struct options *options, int *death)
{
	char made_name[MADE_NAME_MAX];
	char *shell[4];
	char **argv = command_of(options, shell, made_name);
	const char *name = options->name ? options->name : made_name;
	struct session session;
	struct signals signals;
	struct error err;
	int status;

	if (!lock_name_check(name, &err) || !signals_open(&signals, &err))
		return report_failure(name, &err);
	session_open(&session, options, name, signals.fd);
	status = run(&session, &signals, argv, death);
	session_close(&session);
	signals_close(&signals);
	return status;
}
