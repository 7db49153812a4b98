/* child.h - the command under the lock: start it, signal it, see how it ends
 *
 * The command leads a process group of its own, so that what is sent to it
 * reaches all of it and nothing else; it starts with the signal mask, the
 * dispositions and the descriptors that rlock was started with, and gets KILL
 * from the kernel if rlock's main thread dies.
 *
 * The terminal is lent, not given: at once if rlock's group is in the
 * foreground and stdin, stdout and stderr are all that terminal; otherwise when
 * the command stops because it needs it.  It is taken back before rlock goes on
 * without the command.
 */
#ifndef RLOCK_CHILD_H
#define RLOCK_CHILD_H

#include "base/clock.h"
#include "base/error.h"
#include "process/signals.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid;     /* and number of its group */
	bool lent;     /* the terminal is the command's */
	bool was_lent; /* when it ended */
	int status;    /* as wait(2) has it, when it has ended */
};

enum child_event {
	CHILD_NOTHING,
	CHILD_STOPPED, /* by signal WSTOPSIG(status) */
	CHILD_ENDED,   /* and has been reaped */
};

/* Starts argv, found along PATH, with the environment as it is now.  Blocks
 * until the command has been executed or cannot be: then false, and status
 * STATUS_NOT_FOUND, STATUS_CANNOT_EXECUTE or STATUS_SYSTEM.  No thread may be
 * running. */
bool child_start(struct child *child, char *const argv[],
		 const struct signals *signals, struct error *err);

/* Executes argv in rlock's place; returns only if that failed, as
 * child_start. */
bool child_become(char *const argv[], const struct signals *signals,
		  struct error *err);

/* Sends signo to every process of the group.  Only before CHILD_ENDED, or to
 * what the command left behind.  False if there is none that may be signalled:
 * a set-uid command is not ours to stop. */
bool child_signal(const struct child *child, int signo);

/* Kills the group, waits for the command to be gone, and takes the terminal
 * back: for when it cannot be guarded. */
void child_kill(struct child *child);

/* What has happened to the command since the last call; reaps whatever else
 * ended (as PID 1 rlock is the parent of orphans).  Does not block. */
enum child_event child_next(struct child *child);

/* After CHILD_ENDED: waits until the group is empty, at most until the
 * deadline.  True if it is. */
bool child_group_is_gone(const struct child *child, msec deadline);

/* The exit status that stands for a wait status: N, or 128 + signal. */
int child_exit_status(int status);

/* The command has ended; if it was INT or QUIT that killed it, returns that,
 * for rlock to die of as well, and if it had the terminal, the group that rlock
 * shares with its script or pipeline gets it too: so a shell's loop stops on
 * Ctrl-C.  Else returns 0. */
int child_share_death(const struct child *child);

/* Lends the terminal, if rlock's group has it; false if it has not. */
bool child_lend_terminal(struct child *child);

/* Takes it back, if it was lent. */
void child_take_terminal(struct child *child);

#endif
