/* warden.h - the dead man's switch: the process between rlock and the command
 *
 * A lock is worth something only if the command is gone before the lock can
 * belong to somebody else, also when rlock itself has been killed with -9, was
 * stopped, or hangs.  So a second small process, the warden, starts the command
 * and watches over it.  It holds no connection and no lock, only
 *
 *   - a number in memory shared with rlock: the end of the lease, as a server
 *     confirmed it last (lease_end, which clock_advance moves on);
 *   - a pipe on which rlock tells it what to do, and which closes when rlock
 *     dies;
 *   - a timer, set by that number.
 *
 * It leads a process group of its own, so that no Ctrl-C and no `kill -STOP %1`
 * reaches it, and is a child subreaper, so that all that descends from the
 * command stays below it.  It alone signals the command.  The command's number
 * is not reused while it does: it reaps the command last, or signals its group
 * no more.
 *
 * It stops the command when rlock says so, when rlock is gone, or when the end
 * of the lease is near: the command's group and every process that descends
 * from it gets the signal agreed on, and CONT, and later KILL, until none is
 * left.  Silence: the signal kill_after before the end of the lease, KILL margin
 * before it.  While the terminal has stopped the command, it is left alone; then
 * the end of the lease freezes what still runs, and who continues the command
 * before rlock has looked at the lock ends it.
 *
 * If the warden itself is killed, the kernel kills the command, and rlock, to
 * which all orphans come then, the rest.
 *
 * When rlock is gone and the command is a shell at a terminal, it is killed first
 * and at once: the end of a job would have it take the terminal back, from the
 * shell above.
 *
 * A normal end of the command leaves its daemons alone.
 */
#ifndef RLOCK_WARDEN_H
#define RLOCK_WARDEN_H

#include "base/clock.h"
#include "base/error.h"
#include "process/signals.h"

#include <stdbool.h>
#include <sys/types.h>

struct warden_terms {
	int signal;	 /* that asks the command to stop */
	msec kill_after; /* from there to KILL */
	msec margin;	 /* KILL comes so long before the lease ends */
	bool stop;	 /* when the lock is lost; else it may finish */
	bool lend;	 /* the command gets the terminal at once */
};

struct warden {
	pid_t pid;
	pid_t command; /* and its group */
	int orders;    /* rlock's ends of two pipes; reports can be polled */
	int reports;
	_Atomic(msec) *lease_end; /* shared */
	struct warden_terms terms;
};

/* ENDED after a stop: everything below the warden has ended as well. */
enum warden_news {
	WARDEN_STARTED,	   /* pid: the command, and its group */
	WARDEN_FAILED,	   /* value: errno of execvp */
	WARDEN_SYSTEM,	   /* value: errno; no process or descriptor */
	WARDEN_PAUSED,	   /* value: the signal that stopped the command */
	WARDEN_LEASE_OVER, /* unconfirmed: it stops the command, if it may */
	WARDEN_KILLING,	   /* KILL has been sent */
	WARDEN_CANNOT,	   /* pid goes on; value: errno, 0: it does not end */
	WARDEN_ENDED,	   /* value: as wait(2) has it */
	WARDEN_DEAD,	   /* before its work was done: warden_take_over */
};

struct warden_report {
	enum warden_news news;
	int value;
	pid_t pid;
};

/* Forks the warden, which starts argv.  Blocks until the command has been
 * executed or cannot be: then false, and status STATUS_NOT_FOUND,
 * STATUS_CANNOT_EXECUTE or STATUS_SYSTEM; or has not been when KILL would be
 * due: STATUS_UNAVAILABLE.  signals have been widened; no thread may be running.
 * lease_end: as the server has confirmed it. */
bool warden_start(struct warden *warden, char *const argv[],
		  const struct signals *signals,
		  const struct warden_terms *terms, msec lease_end,
		  struct error *err);

/* When a command is asked to stop if the lease is not confirmed anew. */
msec warden_stop_time(const struct warden_terms *terms, msec lease_end);

/* And when it is killed then; the same for this one, as the lease is now. */
msec warden_kill_time(const struct warden_terms *terms, msec lease_end);
msec warden_kills_at(const struct warden *warden);

/* Orders; none of them blocks. */
void warden_signal(struct warden *warden, int signo); /* to the group */
void warden_stop(struct warden *warden);	      /* the lock is lost */
void warden_continue(struct warden *warden);	      /* after PAUSED */

/* Takes the next report; false if there is none.  Does not block. */
bool warden_next(struct warden *warden, struct warden_report *report);

/* Reaps children of rlock's that are not the warden: as PID 1, or once the
 * warden is gone, rlock is the parent of orphans. */
void warden_reap_others(const struct warden *warden);

/* For a warden that is dead or does not answer: kills it, and all that is below
 * rlock, as the warden would have done.  Blocks for two seconds at most.
 * Returns 0, or the number of a process that goes on: errno says why, 0 if it
 * just does not end. */
pid_t warden_take_over(struct warden *warden);

/* Waits for the warden to be gone, after ENDED, CANNOT or warden_take_over, and
 * frees what it used. */
void warden_close(struct warden *warden);

#endif
