/* tree.h - every process below this one
 *
 * What a command starts may leave its group and its session, and lose its
 * parent; but it stays below a process that is a child subreaper
 * (PR_SET_CHILD_SUBREAPER), and is found there by walking
 * /proc/PID/task/TID/children.  A walk is no snapshot: who wants all of them
 * gone walks until a walk finds none.
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
	size_t refused; /* of these, how many may not be signalled by us */
	pid_t left;	/* one of them, a refused one if there is any; 0 */
};

/* Sends signo (0: nothing, just count) to the process group, and to each
 * living descendant of this process that is not in it, once each.  Children of
 * this process that started before since (clock ticks, as proc_stat has them)
 * are spared with what is below them.  False if /proc cannot be read: then only
 * the group got it, and nothing was counted. */
bool tree_signal(pid_t group, int signo, uint64_t since, struct tree *tree);

#endif
