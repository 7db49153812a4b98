/* tree.c - every process below this one */
#include "process/tree.h"

#include "process/proc.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct list {
	pid_t *pids;
	size_t count;
	size_t room;
};

static bool list_has(const struct list *list, pid_t pid)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->pids[i] == pid)
			return true;
	return false;
}

/* Out of memory: it is found by a later walk, when there are fewer. */
static void list_add(struct list *list, pid_t pid)
{
	if (list_has(list, pid))
		return; /* it moved while we walked */
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		pid_t *pids = realloc(list->pids, room * sizeof(*pids));

		if (!pids)
			return;
		list->pids = pids;
		list->room = room;
	}
	list->pids[list->count++] = pid;
}

/* Each thread has children of its own. */
static bool add_children(struct list *list, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	threads = opendir(path);
	if (!threads)
		return false;
	while ((entry = readdir(threads))) {
		size_t len = 0;
		char *text;
		char *at;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "task/%.20s/children",
			 entry->d_name);
		text = at = proc_read(pid, path, &len);
		while (at && *at) {
			list_add(list, (pid_t)strtol(at, &at, 10));
			while (*at == ' ')
				at++;
		}
		free(text);
	}
	closedir(threads);
	return true;
}

/* All of them that live; the list is the caller's to free.  False if /proc
 * cannot be read. */
static bool collect(struct list *list, uint64_t since)
{
	bool seen = add_children(list, getpid());
	size_t direct = list->count;
	size_t i;

	for (i = 0; i < list->count; i++) {
		struct proc_stat stat;

		if (!proc_stat(list->pids[i], &stat) || stat.state == 'Z' ||
		    stat.state == 'X' || (i < direct && stat.started < since))
			list->pids[i] = 0;
		else
			add_children(list, list->pids[i]);
	}
	return seen;
}

bool tree_signal(pid_t group, int signo, uint64_t since, struct tree *tree)
{
	struct list list = { NULL, 0, 0 };
	bool seen = collect(&list, since);
	size_t i;

	*tree = (struct tree){ 0, 0, 0 };
	if (signo)
		kill(-group, signo);
	for (i = 0; i < list.count; i++) {
		pid_t pid = list.pids[i];
		bool had_it = pid && getpgid(pid) == group;
		int sent = pid ? kill(pid, had_it ? 0 : signo) : 0;

		if (!pid || (sent && errno == ESRCH))
			continue;
		tree->living++;
		if (sent)
			tree->refused++;
		if (sent || !tree->left)
			tree->left = pid;
	}
	free(list.pids);
	return seen;
}
