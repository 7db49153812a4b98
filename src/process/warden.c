/* warden.c - the dead man's switch: rlock's side of it */
#include "process/warden.h"

#include "base/pipe.h"
#include "process/child.h"
#include "process/tree.h"
#include "process/warden_process.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

msec warden_stop_time(const struct warden_terms *terms, msec lease_end)
{
	return lease_end - clock_later(terms->kill_after, terms->margin);
}

msec warden_kill_time(const struct warden_terms *terms, msec lease_end)
{
	return lease_end - terms->margin;
}

/* --- the start ---------------------------------------------------------- */

/* Both pipes, and the shared number.  False with errno. */
static bool open_ways(struct warden *warden, int orders[2], int reports[2])
{
	void *page =
		mmap(NULL, sizeof(*warden->lease_end), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	warden->lease_end = page;
	if (pipe_open(orders) && pipe_open(reports))
		return true;
	munmap(page, sizeof(*warden->lease_end));
	return false;
}

/* Returns twice, as fork(2) does, but the warden only from there. */
static pid_t fork_warden(const struct warden *warden, char *const argv[],
			 const struct signals *signals, int orders[2],
			 int reports[2])
{
	pid_t pid = fork();

	if (pid == 0) {
		close(orders[1]); /* or rlock's end would not be seen */
		close(reports[0]);
		warden_process(warden, orders[0], reports[1], argv, signals);
	}
	return pid;
}

/* What the warden says first; false if it says nothing until then. */
static bool wait_for_start(struct warden *warden, msec limit,
			   struct warden_report *report)
{
	struct pollfd fd = { .fd = warden->reports, .events = POLLIN };

	while (!warden_next(warden, report)) {
		if (clock_now() >= limit)
			return false;
		poll(&fd, 1, clock_poll_timeout(limit));
	}
	return true;
}

static bool hear_start(struct warden *warden, const char *file,
		       struct error *err)
{
	struct warden_report report;

	/* From a file system that hangs, execve(2) may take for ever. */
	if (!wait_for_start(warden,
			    warden->terms.stop ? warden_kills_at(warden)
					       : CLOCK_NEVER,
			    &report)) {
		warden_take_over(warden);
		return error_set(err, STATUS_UNAVAILABLE,
				 "the lease ran out before the command could "
				 "start");
	}
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
	pipe_close(orders);
	pipe_close(reports);
	return false;
}

/* --- while the command runs --------------------------------------------- */

static void send_order(const struct warden *warden, enum warden_order_kind kind,
		       int signo)
{
	struct warden_order order = { .kind = kind, .signo = signo };

	pipe_put(warden->orders, &order, sizeof(order));
}

void warden_signal(struct warden *warden, int signo)
{
	send_order(warden, WARDEN_ORDER_SIGNAL, signo);
}

void warden_stop(struct warden *warden)
{
	send_order(warden, WARDEN_ORDER_STOP, 0);
}

void warden_continue(struct warden *warden)
{
	send_order(warden, WARDEN_ORDER_CONTINUE, 0);
}

msec warden_kills_at(const struct warden *warden)
{
	return warden_kill_time(&warden->terms, atomic_load(warden->lease_end));
}

bool warden_next(struct warden *warden, struct warden_report *report)
{
	enum pipe_taken taken =
		pipe_take(warden->reports, report, sizeof(*report));

	if (taken == PIPE_END)
		*report = (struct warden_report){ .news = WARDEN_DEAD };
	return taken != PIPE_NOTHING;
}

void warden_reap_others(const struct warden *warden)
{
	child_reap_others(warden->pid);
}

/* --- the end ------------------------------------------------------------ */

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

void warden_close(struct warden *warden)
{
	waitpid(warden->pid, NULL, 0); /* unless warden_take_over has */
	close(warden->orders);
	close(warden->reports);
	munmap((void *)warden->lease_end, sizeof(*warden->lease_end));
}
