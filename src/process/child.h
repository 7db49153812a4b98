/* child.h - the command under the lock: how it starts, and what its end says
 *
 * The command leads a process group of its own, so that what is sent to it
 * reaches all of it and nothing else; it starts with the signal mask, the
 * dispositions and the descriptors that rlock was started with, and gets KILL
 * from the kernel if the thread that started it dies.
 */
#ifndef RLOCK_CHILD_H
#define RLOCK_CHILD_H

#include "base/error.h"
#include "process/signals.h"

#include <stdbool.h>
#include <sys/types.h>

/* Starts argv, found along PATH, with the environment as it is now; lend gives
 * it the terminal that stdin is.  Blocks until the command has been executed or
 * cannot be.  Returns its number, which is its group's too; -1 with errno if
 * there is no process to be had; 0 with errno if it cannot be executed.  No
 * thread may be running. */
pid_t child_start(char *const argv[], const struct signals *signals, bool lend);

/* Executes argv in rlock's place; returns only if that failed: false, with
 * child_cannot_execute's message. */
bool child_become(char *const argv[], const struct signals *signals,
		  struct error *err);

/* What errnum of execvp(3) means: always false, and status STATUS_NOT_FOUND or
 * STATUS_CANNOT_EXECUTE. */
bool child_cannot_execute(const char *file, int errnum, struct error *err);

/* Reaps all dead children, up to this one, which keeps its number. */
void child_reap_others(pid_t keep);

/* The exit status that stands for a wait status: N, or 128 + signal. */
int child_exit_status(int status);

/* A command that died of INT or QUIT: returns that, for rlock to die of as well,
 * and if it had the terminal, the group that rlock shares with its script or
 * pipeline gets it too, so a shell's loop stops on Ctrl-C.  Else returns 0. */
int child_share_death(int status, bool had_terminal);

#endif
