/* signals.h - which signals rlock takes, and how it gives them on
 *
 * Signals are never handled, only read: they are blocked, and a signalfd in
 * the poll set says that one has come.  So none can strike between two lines,
 * none is lost between looking and sleeping, and the keeper, which inherits the
 * mask, never gets one.  What was ignored or blocked when rlock started stays
 * so, for rlock and for the command: nohup(1) and a shell's background jobs
 * depend on it.
 */
#ifndef RLOCK_SIGNALS_H
#define RLOCK_SIGNALS_H

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>

struct signals {
	int fd;			    /* readable when a signal has come */
	sigset_t old_mask;	    /* as rlock was started */
	struct sigaction old_child; /* what SIGCHLD did then */
};

/* While waiting: HUP INT QUIT TERM USR1 USR2 ALRM are taken, and mean "stop".
 * SIGPIPE is blocked, so that a closed stdout is an error, not a death.  Ctrl-Z
 * works as ever.  False with STATUS_SYSTEM. */
bool signals_open(struct signals *signals, struct error *err);

/* Forgets the descriptor; what was blocked stays so until the end. */
void signals_close(struct signals *signals);

/* From here on a command runs: also CHLD, CONT, WINCH and TSTP are taken. */
bool signals_widen(struct signals *signals, struct error *err);

/* In a process that rlock forked: CHLD alone is taken, on a descriptor of this
 * process's own; all others stay blocked.  old is the parent's; the command
 * starts from it as ever. */
bool signals_narrow(struct signals *signals, const struct signals *old,
		    struct error *err);

/* The next signal that has come, 0 if none has.  Does not block. */
int signals_next(struct signals *signals);

/* Puts everything back as rlock was started: for the command, between fork and
 * exec.  Async-signal-safe. */
void signals_restore(const struct signals *signals);

/* Lets signo do to this process what it does by default, now, without leaving a
 * core.  Returns if that did not end it. */
void signals_raise(int signo);

/* Stops this process as signo (TSTP, TTIN or TTOU) would by default, or with its
 * group: the script or pipeline it is part of.  Returns when it is continued.
 * False at once if the kernel stops nobody in this group, because it is
 * orphaned: no shell could continue it. */
bool signals_pause(int signo, bool with_group);

/* TERM, SIGTERM, term or 15; 0 if there is no such signal. */
int signals_parse(const char *text);

/* For people: TERM; a number if it has no name.  buf is for that case. */
const char *signals_name(int signo, char buf[static 16]);

#endif
