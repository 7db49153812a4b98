/* tick.c - a process that says all the time that it is still there
 *
 *	tick FILE WHO [obedient|stubborn|relay]
 *
 * Appends to FILE, in one write each:
 *	ready MS PID WHO
 *	tick MS PID WHO		about every 3 ms
 *	got MS PID WHO SIGNAL	for TERM, CONT and USR1
 *
 * As a set-uid program it becomes altogether that user, as sudo(8) does.
 * MS is the wall clock's.  TERM ends it, unless it is stubborn.  A relay hands on
 * to a child of its own after each tick, and does not obey either.  It ends by
 * itself when FILE has been removed, or after a minute.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int file;
static const char *who;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void say(const char *what, const char *more)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "%s %ld %d %s%s\n", what, now(),
			 (int)getpid(), who, more);

	if (write(file, line, (size_t)n) != n)
		_exit(74);
}

int main(int argc, char **argv)
{
	static const struct timespec nap = { .tv_nsec = 3000000 };
	struct stat st;
	sigset_t set;
	long start = now();
	int stubborn;
	int relay;

	if (argc < 3)
		return 64;
	relay = argc > 3 && !strcmp(argv[3], "relay");
	stubborn = relay || (argc > 3 && !strcmp(argv[3], "stubborn"));
	if (setreuid(geteuid(), geteuid()))
		return 71;
	file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	who = argv[2];
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say("ready", "");
	while (now() - start < 60000) {
		int signo = sigtimedwait(&set, NULL, &nap);

		if (signo > 0)
			say("got", signo == SIGTERM   ? " TERM"
				   : signo == SIGCONT ? " CONT"
						      : " USR1");
		if (signo == SIGTERM && !stubborn)
			return 0;
		if (fstat(file, &st) || st.st_nlink == 0)
			return 0;
		say("tick", "");
		if (relay && fork() > 0)
			return 0;
	}
	return 0;
}
