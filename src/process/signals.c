/* signals.c - which signals rlock takes, and how it gives them on */
#include "process/signals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const int stopping[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
};

static const int running[] = { SIGCHLD, SIGCONT, SIGWINCH, SIGTSTP };

static const struct {
	const char *name;
	int number;
} names[] = {
	{ "HUP", SIGHUP },	 { "INT", SIGINT },   { "QUIT", SIGQUIT },
	{ "ILL", SIGILL },	 { "TRAP", SIGTRAP }, { "ABRT", SIGABRT },
	{ "BUS", SIGBUS },	 { "FPE", SIGFPE },   { "KILL", SIGKILL },
	{ "USR1", SIGUSR1 },	 { "SEGV", SIGSEGV }, { "USR2", SIGUSR2 },
	{ "PIPE", SIGPIPE },	 { "ALRM", SIGALRM }, { "TERM", SIGTERM },
	{ "CHLD", SIGCHLD },	 { "CONT", SIGCONT }, { "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP },	 { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU },
	{ "URG", SIGURG },	 { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
	{ "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH },
	{ "IO", SIGIO },	 { "PWR", SIGPWR },   { "SYS", SIGSYS },
};

/* Adds those that were neither ignored nor blocked when we started: they are
 * ours to take. */
static void add_ours(const struct signals *signals, sigset_t *set,
		     const int *list, size_t count)
{
	struct sigaction action;
	size_t i;

	for (i = 0; i < count; i++) {
		bool ignored = !sigaction(list[i], NULL, &action) &&
			       action.sa_handler == SIG_IGN;

		if (!ignored && !sigismember(&signals->old_mask, list[i]))
			sigaddset(set, list[i]);
	}
}

bool signals_open(struct signals *signals, struct error *err)
{
	sigset_t set;
	sigset_t block;

	sigprocmask(SIG_SETMASK, NULL, &signals->old_mask);
	sigaction(SIGCHLD, NULL, &signals->old_child);
	sigemptyset(&set);
	add_ours(signals, &set, stopping,
		 sizeof(stopping) / sizeof(stopping[0]));
	block = set;
	sigaddset(&block, SIGPIPE);
	sigprocmask(SIG_BLOCK, &block, NULL);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd >= 0)
		return true;
	return error_errno(err, STATUS_SYSTEM, errno,
			   "cannot make a descriptor for signals");
}

void signals_close(struct signals *signals)
{
	close(signals->fd);
	signals->fd = -1;
}

bool signals_widen(struct signals *signals, struct error *err)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t set;
	sigset_t block;

	sigemptyset(&set);
	add_ours(signals, &set, stopping,
		 sizeof(stopping) / sizeof(stopping[0]));
	add_ours(signals, &set, running, sizeof(running) / sizeof(running[0]));
	/* The command's end must be seen, whatever our parent thought of
	 * SIGCHLD. */
	sigaction(SIGCHLD, &normal, NULL);
	sigaddset(&set, SIGCHLD);
	/* The mask blocks more than is taken: nothing shall interrupt. */
	sigfillset(&block);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGFPE);
	sigdelset(&block, SIGILL);
	sigdelset(&block, SIGABRT);
	sigdelset(&block, SIGTRAP);
	sigdelset(&block, SIGSYS);
	sigprocmask(SIG_BLOCK, &block, NULL);
	if (signalfd(signals->fd, &set, 0) >= 0)
		return true;
	return error_errno(err, STATUS_SYSTEM, errno,
			   "cannot make a descriptor for signals");
}

bool signals_narrow(struct signals *signals, const struct signals *old,
		    struct error *err)
{
	sigset_t set;

	*signals = *old;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd >= 0)
		return true;
	return error_errno(err, STATUS_SYSTEM, errno,
			   "cannot make a descriptor for signals");
}

int signals_next(struct signals *signals)
{
	struct signalfd_siginfo info;

	if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

void signals_restore(const struct signals *signals)
{
	sigaction(SIGCHLD, &signals->old_child, NULL);
	sigprocmask(SIG_SETMASK, &signals->old_mask, NULL);
}

/* Gives signo its default action, sends it to to (as kill(2) has it), and lets
 * it through. */
static void deliver(pid_t to, int signo)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signo);
	sigaction(signo, &action, NULL);
	kill(to, signo);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

void signals_raise(int signo)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	deliver(getpid(), signo);
}

bool signals_pause(int signo, bool with_group)
{
	bool stopped = false;
	static const struct timespec now;
	struct sigaction old;
	sigset_t mask;
	sigset_t cont;

	sigaction(signo, NULL, &old);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	deliver(with_group ? 0 : getpid(), signo);
	/* The CONT that woke us was for us.  Passed on to the command later, it
	 * could undo the next Ctrl-Z. */
	sigemptyset(&cont);
	sigaddset(&cont, SIGCONT);
	while (sigtimedwait(&cont, NULL, &now) == SIGCONT)
		stopped = true;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(signo, &old, NULL);
	return stopped;
}

int signals_parse(const char *text)
{
	char *end = NULL;
	long number;
	size_t i;

	if (*text >= '0' && *text <= '9') {
		number = strtol(text, &end, 10);
		return *end || number < 1 || number >= NSIG ? 0 : (int)number;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(text, names[i].name))
			return names[i].number;
	return 0;
}

const char *signals_name(int signo, char buf[static 16])
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == signo)
			return names[i].name;
	snprintf(buf, 16, "%d", signo);
	return buf;
}
