/* child.c - the command under the lock: start it, signal it, see how it ends */
#include "process/child.h"

#include "base/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Are stdin, stdout and stderr one terminal, and our group in front of it? */
static bool terminal_is_ours(void)
{
	struct stat st[3];
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (fstat(fd, &st[fd]) || !S_ISCHR(st[fd].st_mode) ||
		    st[fd].st_rdev != st[0].st_rdev)
			return false;
	return isatty(0) && tcgetpgrp(0) == getpgrp();
}

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
	if (write(failure, &errnum, sizeof(errnum)) < 0)
		_exit(STATUS_SYSTEM);
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

static bool cannot_execute(const char *file, int errnum, struct error *err)
{
	char shown[300];

	escape_display(shown, sizeof(shown), file, strlen(file));
	return error_errno(err,
			   errnum == ENOENT ? STATUS_NOT_FOUND
					    : STATUS_CANNOT_EXECUTE,
			   errnum, "cannot execute '%s'", shown);
}

bool child_start(struct child *child, char *const argv[],
		 const struct signals *signals, struct error *err)
{
	bool lend = terminal_is_ours();
	int failure[2];
	int errnum = 0;
	ssize_t n;

	if (pipe2(failure, O_CLOEXEC))
		return error_errno(err, STATUS_SYSTEM, errno,
				   "cannot make a pipe");
	/* What the command leaves behind becomes ours to reap, so that a group
	 * of nothing but the dead is seen to be empty. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child->pid = spawn(argv, signals, lend, failure[1]);
	child->lent = lend && child->pid > 0;
	child->was_lent = false;
	if (child->pid < 0)
		error_errno(err, STATUS_SYSTEM, errno, "cannot fork");
	close(failure[1]);
	/* Close-on-exec ends the pipe when the command runs. */
	n = child->pid < 0 ? -1 : read(failure[0], &errnum, sizeof(errnum));
	close(failure[0]);
	if (child->pid > 0 && n == (ssize_t)sizeof(errnum)) {
		waitpid(child->pid, &child->status, 0);
		child_take_terminal(child);
		return cannot_execute(argv[0], errnum, err);
	}
	return child->pid > 0;
}

bool child_become(char *const argv[], const struct signals *signals,
		  struct error *err)
{
	signals_restore(signals);
	execvp(argv[0], argv);
	return cannot_execute(argv[0], errno, err);
}

bool child_signal(const struct child *child, int signo)
{
	return kill(-child->pid, signo) == 0;
}

void child_kill(struct child *child)
{
	child_signal(child, SIGKILL);
	waitpid(child->pid, &child->status, 0);
	child_take_terminal(child);
}

enum child_event child_next(struct child *child)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != child->pid)
			continue;
		child->status = status;
		if (WIFSTOPPED(status))
			return CHILD_STOPPED;
		child->was_lent = child->lent;
		return CHILD_ENDED;
	}
	return CHILD_NOTHING;
}

bool child_group_is_gone(const struct child *child, msec deadline)
{
	static const struct timespec nap = { .tv_nsec = 2000000 };

	/* The number stays taken as long as the group has a member, so it
	 * cannot meanwhile be somebody else's. */
	while (kill(-child->pid, 0) == 0 || errno == EPERM) {
		if (clock_now() >= deadline)
			return false;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			; /* members that are ours by adoption */
		nanosleep(&nap, NULL);
	}
	return true;
}

int child_exit_status(int status)
{
	if (WIFSIGNALED(status))
		return STATUS_SIGNAL + WTERMSIG(status);
	return WEXITSTATUS(status);
}

/* The terminal itself, whatever stdin is; the caller closes it. */
static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool child_lend_terminal(struct child *child)
{
	int tty = open_terminal();

	if (tty < 0)
		return false;
	child->lent =
		tcgetpgrp(tty) == getpgrp() && tcsetpgrp(tty, child->pid) == 0;
	close(tty);
	return child->lent;
}

int child_share_death(const struct child *child)
{
	int signo = WIFSIGNALED(child->status) ? WTERMSIG(child->status) : 0;

	if (signo != SIGINT && signo != SIGQUIT)
		return 0;
	if (child->was_lent)
		kill(0, signo);
	return signo;
}

void child_take_terminal(struct child *child)
{
	int tty = child->lent ? open_terminal() : -1;

	/* A shell under the lock may have lent it on to a job of its own. */
	if (tty >= 0 && tcgetpgrp(tty) != getpgrp())
		tcsetpgrp(tty, getpgrp());
	if (tty >= 0)
		close(tty);
	child->lent = false;
}
