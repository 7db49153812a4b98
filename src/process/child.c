/* child.c - the command under the lock: how it starts, and what its end says */
#include "process/child.h"

#include "base/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The life of the new process up to the command.  The parent is suspended
 * meanwhile and shares its memory (vfork): only system calls here. */
static void become_command(char *const argv[], const struct signals *signals,
			   pid_t parent, bool lend, int failure)
{
	int errnum;

	setpgid(0, 0);
	/* The kernel forgets this when a set-uid program is executed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(STATUS_INTERNAL); /* it died before we asked */
	if (lend)
		tcsetpgrp(0, getpid()); /* TTOU is blocked */
	signals_restore(signals);
	execvp(argv[0], argv);
	errnum = errno;
	while (write(failure, &errnum, sizeof(errnum)) < 0 && errno == EINTR)
		;
	_exit(STATUS_NOT_FOUND);
}

static pid_t spawn(char *const argv[], const struct signals *signals, bool lend,
		   int failure)
{
	pid_t parent = getpid();
	pid_t pid = vfork();

	if (pid == 0)
		become_command(argv, signals, parent, lend, failure);
	return pid;
}

pid_t child_start(char *const argv[], const struct signals *signals, bool lend)
{
	int failure[2];
	int errnum = 0;
	pid_t pid;

	if (pipe2(failure, O_CLOEXEC))
		return -1;
	pid = spawn(argv, signals, lend, failure[1]);
	if (pid < 0)
		errnum = errno;
	close(failure[1]);
	/* Close-on-exec ends the pipe when the command runs. */
	while (pid > 0 && read(failure[0], &errnum, sizeof(errnum)) < 0 &&
	       errno == EINTR)
		;
	if (pid > 0 && errnum) {
		waitpid(pid, NULL, 0);
		pid = 0;
	}
	close(failure[0]);
	errno = errnum;
	return pid;
}

bool child_become(char *const argv[], const struct signals *signals,
		  struct error *err)
{
	signals_restore(signals);
	execvp(argv[0], argv);
	return child_cannot_execute(argv[0], errno, err);
}

bool child_cannot_execute(const char *file, int errnum, struct error *err)
{
	char shown[300];

	escape_display(shown, sizeof(shown), file, strlen(file));
	return error_errno(err,
			   errnum == ENOENT ? STATUS_NOT_FOUND
					    : STATUS_CANNOT_EXECUTE,
			   errnum, "cannot execute '%s'", shown);
}

void child_reap_others(pid_t keep)
{
	siginfo_t info = { .si_pid = 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0 && info.si_pid != keep) {
		waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}

int child_exit_status(int status)
{
	if (WIFSIGNALED(status))
		return STATUS_SIGNAL + WTERMSIG(status);
	return WEXITSTATUS(status);
}

int child_share_death(int status, bool had_terminal)
{
	int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (signo != SIGINT && signo != SIGQUIT)
		return 0;
	if (had_terminal)
		kill(0, signo);
	return signo;
}
