/* lag.c - notes how late processes are let run
 *
 *	lag FILE
 *
 * On each processor one process sleeps 2 ms at a time, and appends to FILE,
 * when it woke up more than 1 ms late:
 *	WHEN LATE	both in us; when it woke up, by the wall clock
 * What has to react at once was late by about so much without being to blame.
 * All of it ends with the process that started it.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SLEEP 2000 /* us */
#define NOTED 1000

static long long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static _Noreturn void watch(int cpu, int file)
{
	static const struct timespec nap = { .tv_nsec = SLEEP * 1000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (;;) {
		long long begin = now(CLOCK_MONOTONIC);
		long long late;

		nanosleep(&nap, NULL);
		late = now(CLOCK_MONOTONIC) - begin - SLEEP;
		if (late > NOTED)
			dprintf(file, "%lld %lld\n", now(CLOCK_REALTIME), late);
	}
}

/* Dies with its parent. */
static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

int main(int argc, char **argv)
{
	cpu_set_t set;
	int file;
	int cpu;

	if (argc != 2 || sched_getaffinity(0, sizeof(set), &set))
		return 2;
	file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (file < 0)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && start() == 0)
			watch(cpu, file);
	pause();
	return 0;
}
