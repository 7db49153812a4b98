/* warden_process.c - what the warden does, in its own process */
#include "process/warden_process.h"

#include "base/pipe.h"
#include "process/child.h"
#include "process/proc.h"
#include "process/terminal.h"
#include "process/tree.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALONE_PATIENCE ((msec)500) /* to KILL, when rlock is gone */
#define FREEZE_AGAIN   ((msec)2)   /* after a freeze; doubled each time */
#define OLD_KERNEL_FDS 4096	   /* closed one by one before Linux 5.9 */

/* What it knows. */
struct ward {
	struct warden_terms terms;
	struct signals signals;
	_Atomic(msec) *lease_end;
	pid_t owner; /* rlock's group */
	int orders;
	int reports;
	int timer;

	pid_t command;
	pid_t group; /* the same number; 0 when it may be a stranger's */
	bool ended;
	int status; /* as wait(2) has it, when it has ended */

	bool alone;	/* rlock is gone */
	bool paused;	/* by the terminal, or as if by it */
	bool frozen;	/* and the end of the lease was near */
	msec freeze_at; /* when frozen: the next time, if any */
	msec freeze_again;
	bool lease_over; /* said so */
	bool stopping;
	msec kill_at; /* when stopping: the next KILL */
	bool killing; /* the first one was sent */
	msec give_up_at;
};

static void report(const struct ward *ward, enum warden_news news, int value,
		   pid_t pid)
{
	struct warden_report r = { .news = news, .value = value, .pid = pid };

	pipe_put(ward->reports, &r, sizeof(r));
}

static _Noreturn void end(const struct ward *ward, enum warden_news news,
			  int value, pid_t pid)
{
	if (ward->alone)
		terminal_return(ward->command, ward->owner);
	report(ward, news, value, pid);
	_exit(STATUS_OK);
}

static void close_between(int from, int to)
{
	if (from > to)
		return;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, from, to, 0) == 0)
		return;
#endif
	for (; from <= to && from < OLD_KERNEL_FDS; from++)
		close(from);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The command has its descriptors; the warden shall keep nobody's pipe open. */
static void close_the_rest(const struct ward *ward)
{
	int keep[] = { ward->orders, ward->reports, ward->timer,
		       ward->signals.fd };
	size_t count = sizeof(keep) / sizeof(keep[0]);
	size_t i;

	qsort(keep, count, sizeof(keep[0]), by_number);
	close_between(0, keep[0] - 1);
	for (i = 1; i < count; i++)
		close_between(keep[i - 1] + 1, keep[i] - 1);
	close_between(keep[count - 1] + 1, INT32_MAX);
}

/* The first half of the end: everything is asked to stop. */
static void begin_to_stop(struct ward *ward, msec kill_at)
{
	struct tree tree;

	if (ward->stopping) {
		ward->kill_at = clock_earlier(ward->kill_at, kill_at);
		return;
	}
	ward->stopping = true;
	ward->kill_at = kill_at;
	tree_signal(ward->group, ward->terms.signal, NULL, &tree);
	tree_signal(ward->group, SIGCONT, NULL, &tree);
}

/* The same, with patience only as long as nobody else can have the lock. */
static void stop_within(struct ward *ward, msec patience)
{
	msec lease_end = atomic_load(ward->lease_end);

	begin_to_stop(ward,
		      clock_earlier(clock_after(clock_now(), patience),
				    warden_kill_time(&ward->terms, lease_end)));
}

/* The second half, again and again until nothing is left. */
static void kill_all(struct ward *ward, msec now)
{
	struct tree tree;

	if (!ward->killing) {
		report(ward, WARDEN_KILLING, 0, 0);
		ward->killing = true;
		ward->give_up_at = clock_after(now, KILL_PATIENCE);
	}
	tree_signal(ward->group, SIGKILL, NULL, &tree);
	if (tree.living && tree.refused == tree.living)
		end(ward, WARDEN_CANNOT, EPERM, tree.left);
	if (now >= ward->give_up_at)
		end(ward, WARDEN_CANNOT, 0, tree.left);
	ward->kill_at = clock_after(now, KILL_AGAIN);
}

/* Is nothing left of what is being stopped? */
static bool all_gone(const struct ward *ward)
{
	struct tree tree;

	if (!ward->ended)
		return false;
	/* Without /proc a KILL to the group is all that can be done. */
	return tree_is_dead(NULL) ||
	       (ward->killing && !tree_signal(0, 0, NULL, &tree));
}

static void see_pause(struct ward *ward, int signo)
{
	/* Some programs (top, nano, a shell's suspend) stop themselves so on
	 * Ctrl-Z.  Whoever sits at the terminal must get it back. */
	if (signo == SIGSTOP && terminal_front() == ward->command)
		signo = SIGTSTP;
	if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU)
		return; /* somebody stopped the command alone */
	ward->paused = true;
	report(ward, WARDEN_PAUSED, signo, 0);
}

/* The command too, so that walks are short. */
static void reap_all(struct ward *ward)
{
	ward->group = 0;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void see_command(struct ward *ward)
{
	siginfo_t info = { .si_pid = 0 };

	while (waitid(P_PID, (id_t)ward->command, &info,
		      WSTOPPED | WCONTINUED | WNOHANG) == 0 &&
	       info.si_pid != 0) {
		/* It cannot stop anew when frozen unless it was continued: the
		 * kernel tells of the last change only. */
		if (info.si_code == CLD_CONTINUED || ward->frozen)
			ward->paused = false;
		else
			see_pause(ward, info.si_status);
		info.si_pid = 0;
	}
	if (!ward->ended &&
	    waitid(P_PID, (id_t)ward->command, &info,
		   WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid != 0) {
		ward->ended = true;
		ward->status = info.si_code == CLD_EXITED ? info.si_status << 8
							  : info.si_status;
	}
	if (ward->stopping && ward->ended)
		reap_all(ward);
	else
		child_reap_others(ward->command);
}

/* Has a shell under the lock lent the terminal on, to a job of its own? */
static bool lent_on(const struct ward *ward, pid_t front)
{
	struct tree tree = { .members = 0 };

	if (front > 0 && front != ward->command)
		tree_signal(front, 0, NULL, &tree);
	return tree.members > 0;
}

/* Is the command a shell at a terminal?  The shell above us may have taken that
 * back already; but whoever has jobs there ignores TERM. */
static bool is_shell(const struct ward *ward, pid_t front)
{
	return front > 0 && ward->group && proc_ignores(ward->group, SIGTERM);
}

/* rlock is gone: nobody renews, and nobody else will stop the command. */
static void be_alone(struct ward *ward)
{
	pid_t front;
	bool lent;

	/* First of all: a script above us may be about to read. */
	terminal_return(ward->command, ward->owner);
	ward->alone = true;
	ward->paused = false;
	if (!ward->terms.stop)
		return;
	front = terminal_front();
	lent = lent_on(ward, front);
	if (lent || is_shell(ward, front)) {
		/* Asked to stop, or killed before its shell, a job would end,
		 * and the shell take the terminal back, from the shell above
		 * us. */
		if (ward->group)
			kill(-ward->group, SIGKILL);
		if (lent)
			terminal_return(front, ward->owner);
		ward->stopping = true;
		ward->kill_at = clock_now();
		return;
	}
	stop_within(ward,
		    clock_earlier(ward->terms.kill_after, ALONE_PATIENCE));
}

static void follow(struct ward *ward, const struct warden_order *order)
{
	struct tree tree;

	switch (order->kind) {
	case WARDEN_ORDER_SIGNAL:
		if (ward->group)
			kill(-ward->group, order->signo);
		break;
	case WARDEN_ORDER_STOP:
		stop_within(ward, ward->terms.kill_after);
		break;
	case WARDEN_ORDER_CONTINUE:
		if (ward->frozen)
			tree_signal(ward->group, SIGCONT, NULL, &tree);
		else if (ward->group)
			kill(-ward->group, SIGCONT);
		ward->paused = ward->frozen = false;
		break;
	}
}

static void hear_orders(struct ward *ward)
{
	struct warden_order order;
	enum pipe_taken taken = PIPE_NOTHING;

	while (!ward->alone &&
	       (taken = pipe_take(ward->orders, &order, sizeof(order))) ==
		       PIPE_MESSAGE)
		follow(ward, &order);
	if (!ward->alone && taken == PIPE_END)
		be_alone(ward);
}

/* A walk may miss what is being forked: there are more of them, until the lease
 * has ended. */
static void freeze(struct ward *ward, msec now, msec lease_end)
{
	struct tree tree;

	if (!ward->frozen)
		ward->freeze_again = FREEZE_AGAIN;
	ward->frozen = true;
	tree_signal(ward->group, SIGSTOP, NULL, &tree);
	ward->freeze_at = now < lease_end ? clock_after(now, ward->freeze_again)
					  : CLOCK_NEVER;
	ward->freeze_again *= 2;
}

static void watch_clock(struct ward *ward)
{
	msec lease_end = atomic_load(ward->lease_end);
	msec now = clock_now();

	if (!ward->stopping && !ward->lease_over &&
	    now >= warden_stop_time(&ward->terms, lease_end)) {
		if (!ward->paused || !ward->terms.stop) {
			ward->lease_over = true;
			report(ward, WARDEN_LEASE_OVER, 0, 0);
			if (ward->terms.stop)
				stop_within(ward, ward->terms.kill_after);
		} else if (!ward->frozen || now >= ward->freeze_at)
			freeze(ward, now, lease_end);
	}
	if (ward->stopping && now >= ward->kill_at)
		kill_all(ward, now);
}

/* When there is something to do, if nothing else happens. */
static msec next_time(const struct ward *ward)
{
	if (ward->stopping)
		return ward->kill_at;
	if (ward->lease_over)
		return CLOCK_NEVER;
	return clock_later(
		ward->frozen ? ward->freeze_at : 0,
		warden_stop_time(&ward->terms, atomic_load(ward->lease_end)));
}

static _Noreturn void stand_guard(struct ward *ward)
{
	struct pollfd fds[] = {
		{ .fd = ward->signals.fd, .events = POLLIN },
		{ .fd = ward->timer, .events = POLLIN },
		{ .fd = ward->orders, .events = POLLIN },
	};

	for (;;) {
		clock_timer_set(ward->timer, next_time(ward));
		if (ward->alone)
			fds[2].fd = -1;
		poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
		if (fds[2].revents & POLLHUP)
			hear_orders(ward); /* rlock is gone, this is urgent */
		while (signals_next(&ward->signals))
			; /* CHLD: only a reason to look */
		see_command(ward);
		if (ward->ended && !ward->stopping)
			end(ward, WARDEN_ENDED, ward->status, 0);
		hear_orders(ward);
		watch_clock(ward);
		if (ward->stopping && all_gone(ward))
			end(ward, WARDEN_ENDED, ward->status, 0);
	}
}

_Noreturn void warden_process(const struct warden *warden, int orders,
			      int reports, char *const argv[],
			      const struct signals *signals)
{
	struct ward ward = {
		.terms = warden->terms,
		.lease_end = warden->lease_end,
		.owner = getpgrp(),
		.orders = orders,
		.reports = reports,
	};
	struct error err;

	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_NAME, "rlock-warden", 0, 0, 0);
	ward.timer = clock_timer_open(&err);
	if (ward.timer < 0 || !signals_narrow(&ward.signals, signals, &err))
		end(&ward, WARDEN_SYSTEM, errno, 0);
	ward.command = child_start(argv, &ward.signals, ward.terms.lend);
	if (ward.command < 0)
		end(&ward, WARDEN_SYSTEM, errno, 0);
	if (ward.command == 0)
		end(&ward, WARDEN_FAILED, errno, 0);
	ward.group = ward.command;
	report(&ward, WARDEN_STARTED, 0, ward.command);
	close_the_rest(&ward);
	stand_guard(&ward);
}
