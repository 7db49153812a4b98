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
#include <stdint.h>
#include <sys/types.h>

/* What one walk found. */
struct tree {
	size_t living;	/* processes that have not ended */
	size_t members; /* of these, how many are in the group */
	size_t refused; /* and how many may not be signalled by us */
	size_t dead;	/* processes that have ended, but are not reaped */
	pid_t left;	/* a living one, a refused one if there is any; 0 */
};

/* When a process began, which tells who of two is the older. */
struct tree_age {
	uint64_t started; /* in hundredths of a second since boot */
	pid_t pid;	  /* of two in one of these the lower is the older */
};

/* The age of a process, which may be dead but not reaped. */
struct tree_age tree_age(pid_t pid);

/* Sends signo (0: nothing, just looks) to each living descendant of this process,
 * once each, and to the group (0: none) as a whole, behind the others.  Children
 * of this process that are older than eldest (NULL: none is) are spared with what
 * is below them.  False if /proc cannot be read: then only the group got it, and
 * nothing was found. */
bool tree_signal(pid_t group, int signo, const struct tree_age *eldest,
		 struct tree *tree);

/* Is nothing alive below this process?  Nobody must reap meanwhile.  False also
 * if /proc cannot be read. */
bool tree_is_dead(const struct tree_age *eldest);

#endif
