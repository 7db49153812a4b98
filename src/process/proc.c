/* proc.c - what the kernel tells of a process in /proc */
#include "process/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 << 20) /* twice what the kernel allows */

char *proc_read(pid_t pid, const char *file, size_t *len)
{
	size_t room = 16384;
	char *text = malloc(room + 1);
	char path[64];
	ssize_t n = 0;
	int fd;

	*len = 0;
	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (text && fd >= 0 &&
	       (n = read(fd, text + *len, room - *len)) > 0) {
		*len += (size_t)n;
		if (*len == room && room < FILE_BYTES_MAX) {
			char *more = realloc(text, 2 * room + 1);

			if (!more)
				break;
			text = more;
			room *= 2;
		}
	}
	if (fd >= 0)
		close(fd);
	if (text && fd >= 0 && n == 0) {
		text[*len] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

bool proc_stat(pid_t pid, struct proc_stat *stat)
{
	size_t len = 0;
	char *text = proc_read(pid, "stat", &len);
	/* "PID (COMMAND) STATE PPID PGRP ...": the command may hold anything.
	 * The start is the 17th number behind these. */
	char *after = text ? strrchr(text, ')') : NULL;
	long parent = 0;
	long group = 0;
	bool ok;

	ok = after &&
	     sscanf(after,
		    ") %c %ld %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		    "%*s %*s %*s %*s %*s %" SCNu64,
		    &stat->state, &parent, &group, &stat->started) == 4;
	stat->parent = (pid_t)parent;
	stat->group = (pid_t)group;
	free(text);
	return ok;
}

bool proc_ignores(pid_t pid, int signo)
{
	size_t len = 0;
	char *text = proc_read(pid, "status", &len);
	const char *at = text ? strstr(text, "\nSigIgn:") : NULL;
	uint64_t mask = 0;

	if (at)
		sscanf(at, "\nSigIgn: %" SCNx64, &mask);
	free(text);
	return mask >> (signo - 1) & 1;
}
