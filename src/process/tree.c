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

struct tree_age tree_age(pid_t pid)
{
	struct proc_stat stat = { .started = 0 };

	proc_stat(pid, &stat);
	return (struct tree_age){ .started = stat.started, .pid = pid };
}

static bool is_older(pid_t pid, const struct proc_stat *stat,
		     const struct tree_age *eldest)
{
	if (stat->started != eldest->started)
		return stat->started < eldest->started;
	return pid < eldest->pid;
}

/* Has it ended?  If that cannot be found out, it may be alive. */
static bool is_dead(pid_t pid, const struct proc_stat *stat, bool known)
{
	if (known)
		return stat->state == 'Z' || stat->state == 'X';
	return kill(pid, 0) && errno == ESRCH;
}

/* Signals a living process, at once: who forks all the time is caught sooner or
 * later, but not by a signal that comes late. */
static void hit(pid_t pid, pid_t group, int signo, struct tree *tree)
{
	bool member = getpgid(pid) == group;
	int failed = kill(pid, member ? 0 : signo);

	if (failed && errno == ESRCH)
		return;
	tree->living++;
	tree->members += member;
	tree->refused += failed != 0;
	if (failed || !tree->left)
		tree->left = pid;
}

bool tree_signal(pid_t group, int signo, const struct tree_age *eldest,
		 struct tree *tree)
{
	struct list list = { NULL, 0, 0 };
	bool seen = add_children(&list, getpid());
	size_t direct = list.count;
	size_t i;

	*tree = (struct tree){ .living = 0 };
	for (i = 0; i < list.count; i++) {
		pid_t pid = list.pids[i];
		struct proc_stat stat;
		bool known = proc_stat(pid, &stat);

		if (known && eldest && i < direct &&
		    is_older(pid, &stat, eldest))
			continue;
		if (is_dead(pid, &stat, known)) {
			tree->dead++;
			continue;
		}
		/* Its children first: when it ends they are elsewhere. */
		add_children(&list, pid);
		hit(pid, group, signo, tree);
	}
	if (signo && group)
		kill(-group, signo);
	free(list.pids);
	return seen;
}

bool tree_is_dead(const struct tree_age *eldest)
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
