/* clock.c - clocks, deadlines and timers */
#include "base/clock.h"

#include "test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

static msec read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (msec)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is the descriptor readable within so many ms? */
static bool fires(int timer, int within)
{
	struct pollfd fd = { .fd = timer, .events = POLLIN };

	return poll(&fd, 1, within) == 1 && fd.revents == POLLIN;
}

static void test_now(void)
{
	msec before = read_clock(CLOCK_BOOTTIME);
	msec now = clock_now();
	msec after = read_clock(CLOCK_BOOTTIME);

	check(before <= now && now <= after, "clock_now is CLOCK_BOOTTIME");
	before = read_clock(CLOCK_REALTIME);
	now = clock_wall();
	after = read_clock(CLOCK_REALTIME);
	check(before <= now && now <= after, "clock_wall is CLOCK_REALTIME");
}

static void test_after(void)
{
	static const struct {
		msec now;
		msec span;
		msec sum;
	} sums[] = {
		{ 0, 0, 0 },
		{ 5, 7, 12 },
		{ 1000, -1, 999 },
		{ CLOCK_NEVER, 0, CLOCK_NEVER },
		{ CLOCK_NEVER, 1, CLOCK_NEVER },
		{ CLOCK_NEVER, -1, CLOCK_NEVER },
		{ 0, CLOCK_NEVER, CLOCK_NEVER },
		{ 1, CLOCK_NEVER, CLOCK_NEVER },
		{ CLOCK_NEVER, CLOCK_NEVER, CLOCK_NEVER },
		{ 1, CLOCK_NEVER - 1, CLOCK_NEVER },
		{ 2, CLOCK_NEVER - 1, CLOCK_NEVER },
		{ CLOCK_NEVER - 1, 5, CLOCK_NEVER },
		{ 1, CLOCK_NEVER - 2, CLOCK_NEVER - 1 },
	};
	size_t i;

	for (i = 0; i < COUNT(sums); i++) {
		msec sum = clock_after(sums[i].now, sums[i].span);

		check(sum == sums[i].sum,
		      "%" PRId64 " after %" PRId64 " is %" PRId64 " (%" PRId64
		      ")",
		      sums[i].span, sums[i].now, sums[i].sum, sum);
	}
}

static void test_poll_timeout(void)
{
	msec now;
	int timeout;
	int i;

	check(clock_poll_timeout(CLOCK_NEVER) == -1, "never is -1");
	check(clock_poll_timeout(0) == 0, "what is long past is 0");
	check(clock_poll_timeout(-5) == 0, "what was before the boot is 0");
	check(clock_poll_timeout(clock_now()) == 0, "now is 0");
	check(clock_poll_timeout(CLOCK_NEVER - 1) == INT_MAX,
	      "what is too far for an int is the largest int");
	now = clock_now();
	timeout = clock_poll_timeout(now + 10000);
	check(timeout <= 10000 && timeout > 10000 - 1000,
	      "ten seconds from now is nearly 10000 (%d)", timeout);
	for (i = 0; i < 20; i++) {
		msec deadline = clock_now() + 3;

		poll(NULL, 0, clock_poll_timeout(deadline));
		if (clock_now() < deadline)
			break;
	}
	check(i == 20, "poll does not return before the deadline");
}

static void test_timer(void)
{
	struct error err = { .status = STATUS_OK };
	int timer = clock_timer_open(&err);
	msec deadline;

	check(timer >= 0, "there is a timer");
	check(fcntl(timer, F_GETFD) & FD_CLOEXEC, "it closes on exec");
	check(fcntl(timer, F_GETFL) & O_NONBLOCK, "it does not block");
	check(!fires(timer, 0), "it does not fire before it is set");

	deadline = clock_now() + 30;
	check(clock_timer_set(timer, deadline), "it can be set");
	check(fires(timer, 5000), "it fires");
	check(clock_now() >= deadline, "it does not fire early");
	check(fires(timer, 0), "it stays fired");
	check(clock_timer_set(timer, clock_now() + 60000) && !fires(timer, 0),
	      "setting it forgets that it fired");
	check(clock_timer_set(timer, clock_now()) && fires(timer, 1000),
	      "set to now, it fires at once");
	check(clock_timer_set(timer, CLOCK_NEVER) && !fires(timer, 20),
	      "set to never, it does not fire, though it had");
	check(clock_timer_set(timer, 1) && fires(timer, 1000),
	      "set to the past, it fires at once");
	clock_timer_set(timer, CLOCK_NEVER);
	check(clock_timer_set(timer, 0) && fires(timer, 1000),
	      "set to 0, it fires at once instead of never");
	clock_timer_set(timer, CLOCK_NEVER);
	check(clock_timer_set(timer, -1000) && fires(timer, 1000),
	      "set to before the boot, it fires at once");
	check(clock_timer_set(timer, CLOCK_NEVER - 1) && !fires(timer, 0),
	      "set to the far end of time, it does not fire");
	close(timer);
	check(!clock_timer_set(-1, 5), "no timer cannot be set");
}

int main(void)
{
	test_now();
	test_after();
	test_poll_timeout();
	test_timer();
	return test_end();
}
