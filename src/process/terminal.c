/* terminal.c - the terminal is lent to the command, not given */
#include "process/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

bool terminal_is_ours(void)
{
	struct stat st[3];
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (fstat(fd, &st[fd]) || !S_ISCHR(st[fd].st_mode) ||
		    st[fd].st_rdev != st[0].st_rdev)
			return false;
	return isatty(0) && tcgetpgrp(0) == getpgrp();
}

/* The terminal itself, whatever stdin is; the caller closes it. */
static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

pid_t terminal_front(void)
{
	int tty = open_terminal();
	pid_t group = tty < 0 ? -1 : tcgetpgrp(tty);

	if (tty >= 0)
		close(tty);
	return group;
}

bool terminal_lend(pid_t group)
{
	int tty = open_terminal();
	bool lent;

	if (tty < 0)
		return false;
	lent = tcgetpgrp(tty) == getpgrp() && tcsetpgrp(tty, group) == 0;
	close(tty);
	return lent;
}

void terminal_take(void)
{
	int tty = open_terminal();

	/* A shell under the lock may have lent it on to a job of its own. */
	if (tty >= 0 && tcgetpgrp(tty) != getpgrp())
		tcsetpgrp(tty, getpgrp());
	if (tty >= 0)
		close(tty);
}

void terminal_return(pid_t borrower, pid_t owner)
{
	int tty = open_terminal();
	pid_t group = tty < 0 ? -1 : tcgetpgrp(tty);

	/* A shell that does job control takes it back by itself, and then it is
	 * not ours to give. */
	if (group > 0 &&
	    (group == borrower || (kill(-group, 0) && errno == ESRCH)) &&
	    tcsetpgrp(tty, owner) == 0)
		kill(-owner, SIGCONT);
	if (tty >= 0)
		close(tty);
}
