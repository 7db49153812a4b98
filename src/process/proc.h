/* proc.h - what the kernel tells of a process in /proc */
#ifndef RLOCK_PROC_H
#define RLOCK_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	char state;   /* R, S, D, T, Z, X ... */
	pid_t parent; /* 0 if it has none here */
	pid_t group;
	uint64_t started; /* in clock ticks since boot */
};

/* Reads a file of the process, such as "environ", whole.  Returns a string the
 * caller frees, with its length in len; NULL if it cannot be read. */
char *proc_read(pid_t pid, const char *file, size_t *len);

/* False if there is no such process, or no /proc. */
bool proc_stat(pid_t pid, struct proc_stat *stat);

/* Does the process ignore this signal?  False also if that cannot be read. */
bool proc_ignores(pid_t pid, int signo);

#endif
