/* section.c - a critical section that tells in a log who is in it, and when
 *
 *   section [-d] [-u] [-w] [-o LOG] LOG MS STATUS [COMMAND [ARG...]]
 *
 * Writes a line to LOG when it enters, one about every 10 ms while it is in,
 * and one when it leaves after MS ms; then exits with STATUS.  COMMAND runs
 * meanwhile, as a part of the section: it leaves when that has ended too.
 *
 *   -d      deaf: ignores TERM, INT and HUP.  Otherwise it ends COMMAND when
 *           it is told to, waits for it, and dies of the signal
 *   -u      untidy: dies of the signal at once and leaves COMMAND behind
 *   -w      only a witness: a part of somebody else's section, which writes
 *           neither the first nor the last line
 *   -o LOG  a section inside another one, whose log is this: writes to both
 *
 * A line: KIND RUN FENCE PID TIME LATE.  TIME is CLOCK_BOOTTIME in us, LATE how
 * much longer than 10 ms it was kept from running before it.  Each line is one
 * write at the end of the file: their order is the order in which it happened.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE  10000 /* us between two lines */
#define BROKEN 99    /* exit status: the test itself does not work */

struct log {
	int fd;
	const char *run;
	const char *fence;
};

static volatile sig_atomic_t told; /* the signal */

static void on_signal(int signo)
{
	told = signo;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_BOOTTIME, &time);
	return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void broken(const char *what)
{
	perror(what);
	exit(BROKEN);
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		fprintf(stderr, "section: no %s\n", name);
		exit(BROKEN);
	}
	return value;
}

static void log_open(struct log *log, const char *path, const char *run,
		     const char *fence)
{
	log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log->fd < 0)
		broken(path);
	log->run = variable(run);
	log->fence = variable(fence);
}

static void log_line(const struct log *log, const char *kind, long long late)
{
	char line[200];
	int len;

	if (log->fd < 0)
		return;
	len = snprintf(line, sizeof(line), "%s %s %s %ld %lld %lld\n", kind,
		       log->run, log->fence, (long)getpid(), now(), late);
	if (write(log->fd, line, (size_t)len) != len)
		broken("write");
}

static void listen_to(void (*handler)(int))
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction action = { .sa_handler = handler };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

static pid_t start(char *argv[], const struct log *log)
{
	pid_t pid;

	setenv("SOAK_OUTER", log->fence, 1);
	pid = fork();
	if (pid < 0)
		broken("fork");
	if (pid)
		return pid;
	listen_to(SIG_DFL);
	execvp(argv[0], argv);
	_exit(BROKEN);
}

/* Writes lines until the time has come and the command has ended; sooner if it
 * is told to. */
static void be_in(const struct log logs[2], long long until, pid_t child)
{
	static const struct timespec pause = { .tv_nsec = PAUSE * 1000L };
	bool passed_on = false;

	while (child || (now() < until && !told)) {
		long long before = now();
		long long late;

		if (told && child && !passed_on) {
			passed_on = true;
			kill(child, SIGTERM);
		}
		nanosleep(&pause, NULL);
		late = now() - before - PAUSE;
		log_line(&logs[0], "in", late);
		log_line(&logs[1], "in", late);
		if (child && waitpid(child, NULL, WNOHANG) == child)
			child = 0;
	}
}

int main(int argc, char *argv[])
{
	struct log logs[2] = { { .fd = -1 }, { .fd = -1 } };
	bool witness = false;
	bool untidy = false;
	bool deaf = false;
	const char *outer = NULL;
	pid_t child = 0;
	int opt;

	while ((opt = getopt(argc, argv, "+duwo:")) != -1) {
		if (opt == 'd')
			deaf = true;
		else if (opt == 'u')
			untidy = true;
		else if (opt == 'w')
			witness = true;
		else if (opt == 'o')
			outer = optarg;
		else
			return BROKEN;
	}
	if (argc - optind < 3)
		return BROKEN;
	listen_to(deaf ? SIG_IGN : untidy ? SIG_DFL : on_signal);
	log_open(&logs[0], argv[optind], outer ? "SOAK_INNER" : "SOAK_RUN",
		 witness ? "SOAK_OUTER" : "RLOCK_FENCE");
	if (outer)
		log_open(&logs[1], outer, "SOAK_RUN", "SOAK_OUTER");
	if (!witness)
		log_line(&logs[0], "enter", 0);
	log_line(&logs[1], "in", 0);
	if (argv[optind + 3])
		child = start(argv + optind + 3, &logs[0]);
	be_in(logs, now() + atoll(argv[optind + 1]) * 1000, child);
	if (told) {
		listen_to(SIG_DFL);
		raise(told);
	}
	if (!witness)
		log_line(&logs[0], "leave", 0);
	return atoi(argv[optind + 2]);
}
