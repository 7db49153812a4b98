/* run.c - hold a lock around a command
 *
 * The order matters.  The lock is taken; then the warden is forked, which
 * starts the command, while there is no other thread; then the keeper, which
 * renews the lease from its own thread.  From there on this thread sleeps in one
 * poll(2) until something happens: a signal, a word from the keeper or the
 * warden.  The keeper has ended before the lock is released.
 *
 * The command is told to stop, and then killed, before the lock can belong to
 * somebody else.  That is the warden's work (warden.h), which needs nobody; this
 * side says when the server has told of a loss, explains, and does that work
 * only if the warden does not.
 */
#include "base/duration.h"
#include "base/escape.h"
#include "base/trace.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"
#include "lock/keeper.h"
#include "process/child.h"
#include "process/terminal.h"
#include "process/warden.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* KILL comes so long before the lease ends, or TTL/20 if that is less: the
 * kernel needs a moment to end processes. */
#define KILL_MARGIN   ((msec)50)
#define ANSWER_MARGIN ((msec)500)  /* more than the warden needs for KILL */
#define ENDING	      ((msec)3000) /* more than it needs for all the rest */
#define LAST_RELEASE  ((msec)1000) /* giving back a lock that was lost */
#define BASENAME_MAX  64
#define MADE_NAME_MAX (BASENAME_MAX + 32)

struct guard {
	const struct options *options;
	struct session *session;
	struct signals *signals;
	struct warden warden;
	struct keeper *keeper;
	int timer;

	bool lost;	/* decided once and for all */
	bool troubled;	/* a renewal failed since the last that did not */
	msec answer_by; /* when lost: the warden must have said more by then */
	msec grace;	/* it has not: when that counts; 0: it has */
	bool told;	/* to stop: TSTP came to us, not to the command */
	bool lent;	/* the terminal is the command's */
	bool was_lent;	/* when it ended */
	bool ended;	/* the command itself, or it is beyond us */
	int status;	/* as wait(2) has it, when it has ended */
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

/* Says so.  answer_by: when the warden will have said more about its work. */
static void lose(struct guard *guard, msec answer_by, const char *how)
{
	char name[REPORT_NAME_MAX];
	char buf[16];

	guard->lost = true;
	guard->answer_by = answer_by;
	if (guard->options->stop_when_lost)
		trace("%s goes to the command",
		      signals_name(guard->options->signal, buf));
	report_line("%s on '%s' was lost: %s; the command %s",
		    report_name(name, guard->session->lock.name),
		    servers_name(&guard->session->servers), how,
		    guard->options->stop_when_lost ? "is stopped"
						   : "goes on without it");
}

/* The server says that the lock is not ours: nothing is to be waited for. */
static void lose_at_once(struct guard *guard, const char *how)
{
	if (guard->lost)
		return;
	if (guard->options->stop_when_lost)
		warden_stop(&guard->warden);
	lose(guard,
	     clock_after(clock_now(),
			 guard->options->kill_after + ANSWER_MARGIN),
	     how);
}

/* NULL: nobody holds it. */
static void lose_to(struct guard *guard, const struct holder *holder)
{
	char how[REPORT_HOLDER_MAX + 32] = "it expired, or was deleted";
	char who[REPORT_HOLDER_MAX];

	if (holder)
		snprintf(how, sizeof(how), "it is held by %s",
			 report_who(who, holder));
	lose_at_once(guard, how);
}

/* The keeper was told by the server. */
static void hear_loss(struct guard *guard, const struct keeper_report *report)
{
	struct holder *holder = &guard->session->holder;

	if (report->no_lock) {
		lose_at_once(guard, report->text);
		return;
	}
	if (!report->gone)
		holder_set(holder, report->text, report->text_len);
	lose_to(guard, report->gone ? NULL : holder);
}

static void hear_keeper(struct guard *guard)
{
	struct keeper_report report;
	char name[REPORT_NAME_MAX];

	while (keeper_next(guard->keeper, &report)) {
		switch (report.news) {
		case KEEPER_RENEWED:
			guard->troubled = false;
			guard->grace = 0;
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
			hear_loss(guard, &report);
			break;
		}
	}
}

/* --- the command ------------------------------------------------------- */

/* rlock can do no more: what it may not signal, or the kernel cannot end, goes
 * on without the lock. */
static void give_up(struct guard *guard, pid_t pid, int errnum)
{
	char name[REPORT_NAME_MAX];

	report_line("%s: cannot stop pid %ld: %s",
		    report_name(name, guard->session->lock.name), (long)pid,
		    errnum ? strerror(errnum) : "it does not end");
	guard->ended = true;
}

/* The warden is dead, or was silent when it should have spoken. */
static void do_wardens_work(struct guard *guard, const char *why)
{
	char name[REPORT_NAME_MAX];
	pid_t pid;

	guard->lost = guard->ended = true;
	report_line("%s on '%s': the warden of the command %s; the command "
		    "is killed",
		    report_name(name, guard->session->lock.name),
		    servers_name(&guard->session->servers), why);
	pid = warden_take_over(&guard->warden);
	if (pid)
		give_up(guard, pid, errno);
}

/* When the warden must have said something. */
static msec due(const struct guard *guard)
{
	if (!guard->options->stop_when_lost)
		return CLOCK_NEVER;
	if (guard->grace)
		return guard->grace;
	if (guard->lost)
		return guard->answer_by;
	return warden_kills_at(&guard->warden) + guard->warden.terms.margin / 2;
}

/* It is looked at twice: after a suspend both sides wake up late, and the warden
 * may be the second. */
static void watch_clock(struct guard *guard)
{
	msec margin = guard->warden.terms.margin;
	msec now = clock_now();

	if (guard->ended || now < due(guard))
		return;
	if (guard->grace)
		do_wardens_work(guard, "does not answer");
	else if (now < warden_kills_at(&guard->warden) + margin)
		guard->grace = clock_after(now, margin / 4);
	else
		guard->grace = clock_after(now, ANSWER_MARGIN);
}

static void take_terminal(struct guard *guard)
{
	if (guard->lent)
		terminal_take();
	guard->lent = false;
}

static bool lend_terminal(struct guard *guard)
{
	guard->lent = terminal_lend(guard->warden.command);
	return guard->lent;
}

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
		clock_advance(guard->warden.lease_end, lock->lease_end);
		guard->grace = 0;
		return true;
	}
	if (outcome == LOCK_FAILED || outcome == LOCK_NO_LOCK)
		lose_at_once(guard, err.text);
	else
		lose_to(guard, outcome == LOCK_HELD ? holder : NULL);
	return !guard->options->stop_when_lost;
}

static void hear_signals(struct guard *guard)
{
	char buf[16];
	int signo;

	while ((signo = signals_next(guard->signals)) != 0) {
		if (signo == SIGCHLD) {
			warden_reap_others(&guard->warden);
			continue;
		}
		guard->told |= signo == SIGTSTP;
		trace("passing on %s", signals_name(signo, buf));
		warden_signal(&guard->warden, signo);
	}
}

/* The command has been stopped by the terminal (or as if by it).  If all it
 * needs is the terminal, it gets it; else rlock stops as well, so that the
 * shell sees the job stopped, and looks at the lock when it is continued. */
static void pause_together(struct guard *guard, int signo)
{
	bool wants_terminal = signo != SIGTSTP;
	bool had_terminal = guard->lent;
	/* From the terminal the whole group had it; a pager that gets it twice
	 * may stop anew after fg. */
	bool with_group = wants_terminal || had_terminal || !guard->told;

	guard->told = false;
	take_terminal(guard);
	if (!wants_terminal || !lend_terminal(guard)) {
		/* In a group that cannot be stopped a command that wants the
		 * terminal will never get it: it is told as the kernel tells
		 * its like. */
		if (!signals_pause(signo, with_group) && wants_terminal)
			warden_signal(&guard->warden, SIGHUP);
		if (!check_lock(guard))
			return;
		if (had_terminal || wants_terminal)
			lend_terminal(guard);
		/* A shell's `kill %1` sends TERM, then CONT: behind CONT, TERM
		 * would come to a command that has stopped anew. */
		hear_signals(guard);
	}
	warden_continue(&guard->warden);
}

static void hear_report(struct guard *guard, const struct warden_report *report)
{
	guard->grace = 0;
	switch (report->news) {
	case WARDEN_PAUSED:
		pause_together(guard, report->value);
		break;
	case WARDEN_LEASE_OVER:
		if (!guard->lost)
			lose(guard, due(guard),
			     "no renewal was confirmed in time");
		break;
	case WARDEN_KILLING:
		trace("KILL was sent to the command");
		guard->answer_by = clock_after(clock_now(), ENDING);
		break;
	case WARDEN_CANNOT:
		give_up(guard, report->pid, report->value);
		break;
	case WARDEN_ENDED:
		guard->status = report->value;
		guard->ended = true;
		break;
	default:
		do_wardens_work(guard, "was killed");
		break;
	}
}

static void hear_warden(struct guard *guard)
{
	struct warden_report report;

	while (!guard->ended && warden_next(&guard->warden, &report))
		hear_report(guard, &report);
}

/* Sits beside the command until it has ended. */
static void watch(struct guard *guard)
{
	struct pollfd fds[] = {
		{ .fd = guard->signals->fd, .events = POLLIN },
		{ .fd = guard->warden.reports, .events = POLLIN },
		{ .fd = keeper_fd(guard->keeper), .events = POLLIN },
		{ .fd = guard->timer, .events = POLLIN },
	};

	while (!guard->ended) {
		clock_timer_set(guard->timer, due(guard));
		poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
		hear_signals(guard);
		hear_warden(guard);
		hear_keeper(guard);
		watch_clock(guard);
	}
	guard->was_lent = guard->lent;
	take_terminal(guard);
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

/* The command runs; from here on the keeper is needed.  False: it was killed. */
static bool begin(struct guard *guard, struct error *err)
{
	pid_t left;

	guard->timer = clock_timer_open(err);
	guard->keeper = guard->timer < 0
				? NULL
				: keeper_start(&guard->session->lock,
					       guard->options->renew,
					       guard->warden.lease_end, err);
	if (guard->keeper)
		return true;
	left = warden_take_over(&guard->warden);
	if (left)
		give_up(guard, left, errno);
	return false;
}

/* No command runs: the lock is given back. */
static int abandon(struct guard *guard, const struct error *err)
{
	keeper_stop(guard->keeper);
	take_terminal(guard);
	report_in_haste(false);
	session_give_back(guard->session);
	return report_failure(guard->session->lock.name, err);
}

static int guard_command(struct guard *guard, int *death)
{
	struct error err;
	int status;

	if (!begin(guard, &err)) {
		status = abandon(guard, &err);
	} else {
		watch(guard);
		keeper_stop(guard->keeper);
		report_in_haste(false);
		status = finish(guard, child_exit_status(guard->status));
	}
	warden_close(&guard->warden);
	if (guard->timer >= 0)
		close(guard->timer);
	if (status == STATUS_SIGNAL + SIGINT ||
	    status == STATUS_SIGNAL + SIGQUIT)
		*death = child_share_death(guard->status, guard->was_lent);
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

static struct warden_terms terms_of(const struct options *options)
{
	msec share = options->ttl / 20;

	return (struct warden_terms){
		.signal = options->signal,
		.kill_after = options->kill_after,
		.margin = share < KILL_MARGIN ? share : KILL_MARGIN,
		.stop = options->stop_when_lost,
		.lend = terminal_is_ours(),
	};
}

/* rlock itself may have been stopped since the lock was taken. */
static bool still_time(const struct lock *lock,
		       const struct warden_terms *terms, struct error *err)
{
	return clock_now() < warden_stop_time(terms, lock->lease_end) ||
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
		.answer_by = CLOCK_NEVER,
		.timer = -1,
	};
	struct warden_terms terms = terms_of(session->options);
	struct lock *lock = &session->lock;
	struct error err;

	session->servers.stop_fd = -1; /* signals are for the command now */
	export_lock(&session->lock);
	report_in_haste(true);
	guard.lent = terms.lend;
	if (!signals_widen(signals, &err) || !still_time(lock, &terms, &err) ||
	    !warden_start(&guard.warden, argv, signals, &terms, lock->lease_end,
			  &err))
		return abandon(&guard, &err);
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
