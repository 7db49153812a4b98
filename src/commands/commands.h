/* commands.h - the commands, each in a file of its own
 *
 * Each takes its options, speaks to the lock, reports, and returns the exit
 * status.  *death, 0 at first, is set to a signal by which rlock shall end once
 * all is cleaned up, so that its parent sees what happened.
 */
#ifndef RLOCK_COMMANDS_H
#define RLOCK_COMMANDS_H

#include "commands/options.h"

int command_acquire(const struct options *options, int *death);
int command_release(const struct options *options, int *death);
int command_extend(const struct options *options, int *death);
int command_reacquire(const struct options *options, int *death);
int command_status(const struct options *options, int *death);
int command_run(const struct options *options, int *death);

#endif
