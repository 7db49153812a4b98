/* clock.c - the clocks rlock lives by */
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/timerfd.h>
#include <time.h>

static msec read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (msec)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

msec clock_now(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

msec clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

msec clock_after(msec now, msec span)
{
	if (now == CLOCK_NEVER || span >= CLOCK_NEVER - now)
		return CLOCK_NEVER;
	return now + span;
}

msec clock_earlier(msec a, msec b)
{
	return a < b ? a : b;
}

msec clock_later(msec a, msec b)
{
	return a > b ? a : b;
}

void clock_advance(_Atomic(msec) *number, msec to)
{
	msec was = atomic_load(number);

	while (to > was && !atomic_compare_exchange_weak(number, &was, to))
		;
}

int clock_poll_timeout(msec deadline)
{
	msec left;

	if (deadline == CLOCK_NEVER)
		return -1;
	left = deadline - clock_now();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int clock_timer_open(struct error *err)
{
	int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (timer < 0)
		error_errno(err, STATUS_SYSTEM, errno, "cannot make a timer");
	return timer;
}

bool clock_timer_set(int timer, msec deadline)
{
	struct itimerspec at = { .it_value = { 0 } };

	if (deadline != CLOCK_NEVER) {
		/* All zero would disarm it, so 1 ns stands for "long ago". */
		if (deadline <= 0)
			at.it_value.tv_nsec = 1;
		else {
			at.it_value.tv_sec = deadline / 1000;
			at.it_value.tv_nsec = deadline % 1000 * 1000000;
		}
	}
	return timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL) == 0;
}
