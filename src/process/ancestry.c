/* ancestry.c - what our parents' environment says */
#include "process/ancestry.h"

#include "process/proc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GENERATIONS_MAX 64

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
	struct proc_stat stat;
	pid_t pid = getpid();
	bool found = false;
	int i;

	for (i = 0; i < GENERATIONS_MAX && pid > 0 && !found; i++) {
		size_t len = 0;
		char *environment = proc_read(pid, "environ", &len);

		found = environment && holds(environment, len, name, value);
		free(environment);
		pid = proc_stat(pid, &stat) ? stat.parent : 0;
	}
	return found;
}
