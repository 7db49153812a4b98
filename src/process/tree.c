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

/* The kernel counts the start in hundredths of a second; of two in one of them
 * the lower number is the older. */
static bool is_older(pid_t pid, const struct proc_stat *stat, pid_t eldest,
		     const struct proc_stat *its)
{
	if (stat->started != its->started)
		return stat->started < its->started;
	return pid < eldest;
}

/* Has it ended?  If that cannot be found out, it may be alive. */
static bool is_dead(pid_t pid, const struct proc_stat *stat, bool known)
{
	if (known)
		return stat->state == 'Z' || stat->state == 'X';
	return kill(pid, 0) && errno == ESRCH;
}

/* All of them that live, as far as is known, and how many do not; the list is the
 * caller's to free.  False if /proc cannot be read. */
static bool collect(struct list *list, pid_t eldest, size_t *dead)
{
	struct proc_stat its = { .started = 0 };
	bool seen = add_children(list, getpid());
	size_t direct = list->count;
	size_t i;

	*dead = 0;
	if (eldest)
		proc_stat(eldest, &its);
	for (i = 0; i < list->count; i++) {
		pid_t pid = list->pids[i];
		struct proc_stat stat;
		bool known = proc_stat(pid, &stat);
		bool spared = known && i < direct &&
			      is_older(pid, &stat, eldest, &its);
		bool gone = is_dead(pid, &stat, known);

		if (!spared && !gone)
			add_children(list, pid);
		else
			list->pids[i] = 0;
		*dead += gone;
	}
	return seen;
}

bool tree_signal(pid_t group, int signo, pid_t eldest, struct tree *tree)
{
	struct list list = { NULL, 0, 0 };
	size_t dead = 0;
	bool seen = collect(&list, eldest, &dead);
	size_t i;

	*tree = (struct tree){ .dead = dead };
	if (signo && group)
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

bool tree_is_dead(pid_t eldest)
{
	struct tree tree = { .dead = 0 };
	size_t before;

	/* Those that were dead already when a walk began had left no children
	 * that it did not find. */
	do {
		before = tree.dead;
		if (!tree_signal(0, 0, eldest, &tree) || tree.living)
			return false;
	} while (tree.dead != before);
	return true;
}

bool tree_has_group(pid_t group)
{
	struct list list = { NULL, 0, 0 };
	bool found = false;
	size_t dead;
	size_t i;

	collect(&list, 0, &dead);
	for (i = 0; i < list.count && !found; i++)
		found = list.pids[i] && getpgid(list.pids[i]) == group;
	free(list.pids);
	return found;
}
