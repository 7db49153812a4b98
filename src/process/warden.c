/* warden.c - the dead man's switch: the process between rlock and the command */
#include "process/warden.h"

#include "process/child.h"
#include "process/terminal.h"
#include "process/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ALONE_PATIENCE ((msec)500)  /* to KILL, when rlock is gone */
#define KILL_AGAIN     ((msec)2)    /* until nothing is left */
#define FREEZE_AGAIN   ((msec)2)    /* after a freeze; doubled each time */
#define KILL_PATIENCE  ((msec)2000) /* then it is told that it does not end */
#define OLD_KERNEL_FDS 4096	    /* closed one by one before Linux 5.9 */

enum order_kind {
	ORDER_SIGNAL,
	ORDER_STOP,
	ORDER_CONTINUE
};

struct order {
	enum order_kind kind;
	int signo;
};

/* What the warden knows, in its own process. */
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

/* --- both sides --------------------------------------------------------- */

static msec kills_at(const struct warden_terms *terms, msec lease_end)
{
	return lease_end - terms->margin;
}

msec warden_stop_time(const struct warden_terms *terms, msec lease_end)
{
	return lease_end - clock_later(terms->kill_after, terms->margin);
}

/* Reaps all dead children, up to this one. */
static void reap_all_but(pid_t keep)
{
	siginfo_t info = { .si_pid = 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0 && info.si_pid != keep) {
		waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}

/* One message of a pipe that does not block: its size, 0 at the end, -1. */
static ssize_t take(int fd, void *message, size_t size)
{
	ssize_t n;

	do
		n = read(fd, message, size);
	while (n < 0 && errno == EINTR);
	return n;
}

/* A pipe that is full means that who reads it sleeps, and its silence will tell;
 * there is nothing to wait for. */
static void put(int fd, const void *message, size_t size)
{
	while (write(fd, message, size) < 0 && errno == EINTR)
		;
}

/* --- the warden's own process ------------------------------------------- */

static void report(const struct ward *ward, enum warden_news news, int value,
		   pid_t pid)
{
	struct warden_report r = { .news = news, .value = value, .pid = pid };

	put(ward->reports, &r, sizeof(r));
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

	begin_to_stop(ward, clock_earlier(clock_after(clock_now(), patience),
					  kills_at(&ward->terms, lease_end)));
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
		reap_all_but(ward->command);
}

/* Has a shell under the lock lent the terminal on, to a job of its own? */
static bool lent_on(const struct ward *ward, pid_t front)
{
	struct tree tree = { .members = 0 };

	if (front > 0 && front != ward->command)
		tree_signal(front, 0, NULL, &tree);
	return tree.members > 0;
}

/* rlock is gone: nobody renews, and nobody else will stop the command. */
static void be_alone(struct ward *ward)
{
	pid_t front;

	/* First of all: a script above us may be about to read. */
	terminal_return(ward->command, ward->owner);
	ward->alone = true;
	ward->paused = false;
	if (!ward->terms.stop)
		return;
	front = terminal_front();
	if (lent_on(ward, front)) {
		/* Asked to stop, the job would end before its shell, which
		 * would take the terminal back, from the shell above us. */
		terminal_return(front, ward->owner);
		ward->stopping = true;
		ward->kill_at = clock_now();
		return;
	}
	stop_within(ward,
		    clock_earlier(ward->terms.kill_after, ALONE_PATIENCE));
}

static void follow(struct ward *ward, const struct order *order)
{
	struct tree tree;

	switch (order->kind) {
	case ORDER_SIGNAL:
		if (ward->group)
			kill(-ward->group, order->signo);
		break;
	case ORDER_STOP:
		stop_within(ward, ward->terms.kill_after);
		break;
	case ORDER_CONTINUE:
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
	struct order order;
	ssize_t n = -1;

	while (!ward->alone &&
	       (n = take(ward->orders, &order, sizeof(order))) ==
		       (ssize_t)sizeof(order))
		follow(ward, &order);
	if (!ward->alone && n == 0)
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

static _Noreturn void be_warden(struct ward *ward, char *const argv[],
				const struct signals *signals)
{
	struct error err;

	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_NAME, "rlock-warden", 0, 0, 0);
	ward->timer = clock_timer_open(&err);
	if (ward->timer < 0 || !signals_narrow(&ward->signals, signals, &err))
		end(ward, WARDEN_SYSTEM, errno, 0);
	ward->command = child_start(argv, &ward->signals, ward->terms.lend);
	if (ward->command < 0)
		end(ward, WARDEN_SYSTEM, errno, 0);
	if (ward->command == 0)
		end(ward, WARDEN_FAILED, errno, 0);
	ward->group = ward->command;
	report(ward, WARDEN_STARTED, 0, ward->command);
	close_the_rest(ward);
	stand_guard(ward);
}

/* --- rlock's side ------------------------------------------------------- */

static void send_order(const struct warden *warden, enum order_kind kind,
		       int signo)
{
	struct order order = { .kind = kind, .signo = signo };

	put(warden->orders, &order, sizeof(order));
}

void warden_signal(struct warden *warden, int signo)
{
	send_order(warden, ORDER_SIGNAL, signo);
}

void warden_stop(struct warden *warden)
{
	send_order(warden, ORDER_STOP, 0);
}

void warden_continue(struct warden *warden)
{
	send_order(warden, ORDER_CONTINUE, 0);
}

msec warden_kills_at(const struct warden *warden)
{
	return kills_at(&warden->terms, atomic_load(warden->lease_end));
}

bool warden_next(struct warden *warden, struct warden_report *report)
{
	ssize_t n = take(warden->reports, report, sizeof(*report));

	if (n == 0)
		*report = (struct warden_report){ .news = WARDEN_DEAD };
	return n == 0 || n == (ssize_t)sizeof(*report);
}

void warden_reap_others(const struct warden *warden)
{
	reap_all_but(warden->pid);
}

pid_t warden_take_over(struct warden *warden)
{
	static const struct timespec nap = { .tv_nsec = 1000000 * KILL_AGAIN };
	msec limit = clock_after(clock_now(), KILL_PATIENCE);
	struct tree_age age;
	struct tree tree;
	siginfo_t info;

	kill(warden->pid, SIGKILL);
	waitid(P_PID, (id_t)warden->pid, &info, WEXITED | WNOWAIT);
	/* What rlock's process had for children before is not the command's. */
	age = tree_age(warden->pid);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			; /* so that walks are short */
		tree_signal(0, SIGKILL, &age, &tree);
		if (tree_is_dead(&age))
			return 0;
		if ((tree.living && tree.refused == tree.living) ||
		    clock_now() >= limit)
			break;
		nanosleep(&nap, NULL);
	}
	errno = tree.refused ? EPERM : 0;
	return tree.left;
}

static void close_pipe(int ends[2])
{
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
}

/* Both pipes, and the shared number.  False with errno. */
static bool open_ways(struct warden *warden, int orders[2], int reports[2])
{
	void *page =
		mmap(NULL, sizeof(*warden->lease_end), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	warden->lease_end = page;
	if (pipe2(orders, O_CLOEXEC | O_NONBLOCK) == 0 &&
	    pipe2(reports, O_CLOEXEC | O_NONBLOCK) == 0)
		return true;
	munmap(page, sizeof(*warden->lease_end));
	return false;
}

/* Returns twice, as fork(2) does, but the warden only from there. */
static pid_t fork_warden(struct warden *warden, char *const argv[],
			 const struct signals *signals, int orders[2],
			 int reports[2])
{
	struct ward ward = {
		.terms = warden->terms,
		.lease_end = warden->lease_end,
		.owner = getpgrp(),
		.orders = orders[0],
		.reports = reports[1],
	};
	pid_t pid = fork();

	if (pid == 0) {
		close(orders[1]); /* or rlock's end would not be seen */
		close(reports[0]);
		be_warden(&ward, argv, signals);
	}
	return pid;
}

/* What the warden says first. */
static bool hear_start(struct warden *warden, const char *file,
		       struct error *err)
{
	struct pollfd fd = { .fd = warden->reports, .events = POLLIN };
	struct warden_report report;

	while (!warden_next(warden, &report))
		poll(&fd, 1, -1);
	switch (report.news) {
	case WARDEN_STARTED:
		warden->command = report.pid;
		return true;
	case WARDEN_FAILED:
		return child_cannot_execute(file, report.value, err);
	case WARDEN_SYSTEM:
		return error_errno(err, STATUS_SYSTEM, report.value,
				   "cannot start the command");
	default:
		warden_take_over(warden); /* the command may have started */
		return error_set(err, STATUS_SYSTEM,
				 "cannot start the command: its warden died");
	}
}

bool warden_start(struct warden *warden, char *const argv[],
		  const struct signals *signals,
		  const struct warden_terms *terms, msec lease_end,
		  struct error *err)
{
	int orders[2] = { -1, -1 };
	int reports[2] = { -1, -1 };

	warden->terms = *terms;
	if (!open_ways(warden, orders, reports)) {
		error_errno(err, STATUS_SYSTEM, errno, "cannot make a pipe");
		goto failed;
	}
	atomic_store(warden->lease_end, lease_end);
	/* If the warden is killed, what is below it comes to us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	warden->pid = fork_warden(warden, argv, signals, orders, reports);
	if (warden->pid < 0) {
		error_errno(err, STATUS_SYSTEM, errno, "cannot fork");
		goto failed;
	}
	close(orders[0]);
	close(reports[1]);
	warden->orders = orders[1];
	warden->reports = reports[0];
	if (hear_start(warden, argv[0], err))
		return true;
	warden_close(warden);
	return false;
failed:
	close_pipe(orders);
	close_pipe(reports);
	return false;
}

void warden_close(struct warden *warden)
{
	waitpid(warden->pid, NULL, 0); /* unless warden_take_over has */
	close(warden->orders);
	close(warden->reports);
	munmap((void *)warden->lease_end, sizeof(*warden->lease_end));
}
