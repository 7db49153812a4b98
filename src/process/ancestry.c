/* ancestry.c - what our parents' environment says */
#include "process/ancestry.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GENERATIONS_MAX 64
#define FILE_BYTES_MAX	((size_t)4 << 20) /* twice what the kernel allows */

/* Reads a file of /proc whole.  Returns a string the caller frees, NULL if it
 * cannot be read. */
static char *read_file(pid_t pid, const char *which, size_t *len)
{
	size_t room = 16384;
	char *text = malloc(room + 1);
	char path[64];
	ssize_t n = 0;
	int fd;

	*len = 0;
	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, which);
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

/* 0 if unknown. */
static pid_t parent_of(pid_t pid)
{
	size_t len = 0;
	char *stat = read_file(pid, "stat", &len);
	/* "PID (COMMAND) STATE PPID": the command may hold anything. */
	char *after = stat ? strrchr(stat, ')') : NULL;
	long parent = 0;

	if (after && strlen(after) > 4)
		parent = strtol(after + 4, NULL, 10);
	free(stat);
	return (pid_t)parent;
}

/* Is name=value one of the NUL-ended strings? */
static bool holds(const char *strings, size_t len, const char *name,
		  const char *value)
{
	size_t name_len = strlen(name);
	const char *end = strings + len;

	for (; strings < end; strings += strlen(strings) + 1)
		if (!strncmp(strings, name, name_len) &&
		    strings[name_len] == '=' &&
		    !strcmp(strings + name_len + 1, value))
			return true;
	return false;
}

bool ancestry_has_variable(const char *name, const char *value)
{
	pid_t pid = getpid();
	bool found = false;
	int i;

	for (i = 0; i < GENERATIONS_MAX && pid > 0 && !found; i++) {
		size_t len = 0;
		char *environment = read_file(pid, "environ", &len);

		found = environment && holds(environment, len, name, value);
		free(environment);
		pid = parent_of(pid);
	}
	return found;
}
