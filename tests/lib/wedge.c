/* wedge.c - a process that hangs, as under a debugger
 *
 *	wedge COMMAND [ARG...]
 *
 * Runs the command.  USR1 holds all its threads in mid-air (ptrace(2)), USR2
 * lets them go.  Ends as the command does: with its status, or 128 + signal.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t threads[64];
static int count;

static void hold(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && count < 64) {
		pid_t thread = (pid_t)atoi(entry->d_name);

		if (thread <= 0 || ptrace(PTRACE_SEIZE, thread, 0, 0) ||
		    ptrace(PTRACE_INTERRUPT, thread, 0, 0))
			continue;
		waitpid(thread, NULL, __WALL);
		threads[count++] = thread;
	}
	if (dir)
		closedir(dir);
}

static void let_go(void)
{
	while (count > 0)
		ptrace(PTRACE_DETACH, threads[--count], 0, 0);
}

int main(int argc, char **argv)
{
	sigset_t set;
	sigset_t old;
	int status;
	pid_t pid;

	if (argc < 2)
		return 64;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	for (;;) {
		int signo = sigwaitinfo(&set, NULL);

		if (signo == SIGUSR1)
			hold(pid);
		if (signo == SIGUSR2)
			let_go();
		if (!count && waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
