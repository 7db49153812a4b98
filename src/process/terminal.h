/* terminal.h - the terminal is lent to the command, not given
 *
 * At once if rlock's group is in the foreground and stdin, stdout and stderr
 * are all that terminal; otherwise when the command stops because it needs it.
 * It is taken back before rlock goes on without the command.  All this from
 * rlock's own process, but for terminal_return.  None of it blocks: TTOU must be
 * blocked in the caller.
 */
#ifndef RLOCK_TERMINAL_H
#define RLOCK_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

/* Are stdin, stdout and stderr one terminal, and our group in front of it? */
bool terminal_is_ours(void);

/* The group in front of the terminal this process has; -1 if it has none. */
pid_t terminal_front(void);

/* Lends it to the group, if ours has it; false if it has not. */
bool terminal_lend(pid_t group);

/* Takes it back from whoever the borrower gave it to. */
void terminal_take(void);

/* For a process in neither group, when owner died while it was lent: gives the
 * terminal back to owner's group, if borrower's or one without members has it,
 * and continues who has stopped there for want of it. */
void terminal_return(pid_t borrower, pid_t owner);

#endif
