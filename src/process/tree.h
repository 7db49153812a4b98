/* tree.h - every process below this one
 *
 * What a command starts may leave its group and its session, and lose its
 * parent; but it stays below a process that is a child subreaper
 * (PR_SET_CHILD_SUBREAPER), and is found there by walking
 * /proc/PID/task/TID/children.  A walk is no snapshot: while it looks at a
 * process, that one may end, and its children go to where the walk has been.
 */
#ifndef RLOCK_TREE_H
#define RLOCK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What one walk found. */
struct tree {
	size_t living;	/* processes that have not ended */
	size_t refused; /* of these, how many may not be signalled by us */
	size_t dead;	/* processes that have, but are not reaped */
	pid_t left;	/* a living one, a refused one if there is any; 0 */
};

/* Sends signo (0: nothing, just count) to the process group (0: none), and to each
 * living descendant of this process that is not in it, once each.  Children of
 * this process that are older than its child eldest (0: none is) are spared with
 * what is below them; eldest may be dead, but not reaped.  False if /proc cannot
 * be read: then only the group got it, and nothing was counted. */
bool tree_signal(pid_t group, int signo, pid_t eldest, struct tree *tree);

/* Is nothing alive below this process?  Nobody must reap meanwhile.  False also
 * if /proc cannot be read. */
bool tree_is_dead(pid_t eldest);

/* Does a living descendant of this process belong to the group? */
bool tree_has_group(pid_t group);

#endif
