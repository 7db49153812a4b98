/* clocks.c - clocks that jump: preloaded, it shifts what a program reads
 *
 * The file that $CLOCKS names has three numbers, read anew at each look at a
 * clock: the milliseconds by which CLOCK_REALTIME and CLOCK_BOOTTIME are ahead,
 * and, unless it is 0, the time in ms at which CLOCK_REALTIME stands still.
 *
 * CLOCK_BOOTTIME that jumps ahead is what a program sees after a suspend: a
 * timer on it fires at once, a time-out of poll(2) slept through.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMERS 64
#define SLICE  5 /* ms until a jump is noticed in poll */

struct clocks {
	long long wall;
	long long boot;
	long long stands;
};

/* The timers on CLOCK_BOOTTIME, as they were set. */
static struct timer {
	int used;
	struct itimerspec at;
	long long boot; /* the shift that it was set with */
} timers[TIMERS];

/* Only system calls here: the program may be a child after vfork. */
static struct clocks look(void)
{
	static struct clocks last;
	const char *name = getenv("CLOCKS");
	char text[128] = "";
	struct clocks now;
	int kept = errno;
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 &&
	    sscanf(text, "%lld %lld %lld", &now.wall, &now.boot, &now.stands) ==
		    3)
		last = now;
	if (fd >= 0)
		close(fd);
	errno = kept;
	return last;
}

static void shift(struct timespec *time, long long ms)
{
	long long ns = time->tv_nsec + ms % 1000 * 1000000;

	time->tv_sec += ms / 1000 + ns / 1000000000;
	time->tv_nsec = ns % 1000000000;
	if (time->tv_nsec < 0) {
		time->tv_nsec += 1000000000;
		time->tv_sec--;
	}
}

int clock_gettime(clockid_t id, struct timespec *time)
{
	int result = (int)syscall(SYS_clock_gettime, id, time);
	struct clocks clocks;

	if (result || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME &&
		       id != CLOCK_REALTIME_COARSE))
		return result;
	clocks = look();
	if (id == CLOCK_BOOTTIME) {
		shift(time, clocks.boot);
	} else if (clocks.stands) {
		*time = (struct timespec){ 0 };
		shift(time, clocks.stands);
	} else {
		shift(time, clocks.wall);
	}
	return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *copy)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (copy)
		*copy = now.tv_sec;
	return now.tv_sec;
}

int timerfd_create(int clock, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, clock, flags);

	if (fd >= 0 && fd < TIMERS)
		timers[fd] = (struct timer){ .used = clock == CLOCK_BOOTTIME };
	return fd;
}

/* The kernel's clock knows of no shift. */
static int arm(int fd, int flags, const struct itimerspec *at, long long boot,
	       struct itimerspec *old)
{
	struct itimerspec real = *at;

	if (real.it_value.tv_sec || real.it_value.tv_nsec) {
		shift(&real.it_value, -boot);
		if (real.it_value.tv_sec < 0 ||
		    (!real.it_value.tv_sec && !real.it_value.tv_nsec))
			real.it_value = (struct timespec){ .tv_nsec = 1 };
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, &real, old);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *at,
		    struct itimerspec *old)
{
	struct timer *timer = fd >= 0 && fd < TIMERS ? &timers[fd] : NULL;

	if (!timer || !timer->used || !(flags & TFD_TIMER_ABSTIME))
		return (int)syscall(SYS_timerfd_settime, fd, flags, at, old);
	timer->at = *at;
	timer->boot = look().boot;
	return arm(fd, flags, at, timer->boot, old);
}

/* Sets those of the timers anew that were set before a jump.  Is there any
 * timer? */
static int follow(const struct pollfd *fds, nfds_t count)
{
	long long boot = look().boot;
	int any = 0;
	nfds_t i;

	for (i = 0; i < count; i++) {
		int fd = fds[i].fd;

		if (fd < 0 || fd >= TIMERS || !timers[fd].used)
			continue;
		any = 1;
		if (timers[fd].boot != boot)
			arm(fd, TFD_TIMER_ABSTIME, &timers[fd].at, boot, NULL);
		timers[fd].boot = boot;
	}
	return any;
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
	  const sigset_t *mask)
{
	long long left = limit ? limit->tv_sec * 1000LL +
					 (limit->tv_nsec + 999999) / 1000000
			       : -1;
	int n = 0;

	do {
		long long slice = left;
		struct timespec time;

		if (follow(fds, count) && (left < 0 || left > SLICE))
			slice = SLICE;
		time = (struct timespec){ .tv_sec = slice / 1000,
					  .tv_nsec = slice % 1000 * 1000000 };
		n = (int)syscall(SYS_ppoll, fds, count,
				 slice < 0 ? NULL : &time, mask, NSIG / 8);
		if (left > 0)
			left -= slice;
		else if (slice == left)
			break;
	} while (n == 0 && left);
	return n;
}

int poll(struct pollfd *fds, nfds_t count, int limit)
{
	struct timespec time = { .tv_sec = limit / 1000,
				 .tv_nsec = limit % 1000 * 1000000L };

	return ppoll(fds, count, limit < 0 ? NULL : &time, NULL);
}
