/* clock.h - the clocks rlock lives by
 *
 * Leases and deadlines are on CLOCK_BOOTTIME: it cannot be set, and unlike
 * CLOCK_MONOTONIC it goes on while the machine is suspended, as the server's
 * clock does.  A time-out given to poll(2) sleeps through a suspend, so who
 * must act on time uses a timer, and who polls looks at the clock again after.
 * The wall clock is for people and for the SINCE of a token, never for a
 * decision.
 */
#ifndef RLOCK_CLOCK_H
#define RLOCK_CLOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef int64_t msec;

#define CLOCK_NEVER INT64_MAX /* a deadline that does not come */

/* Milliseconds since boot, suspends included. */
msec clock_now(void);

/* Milliseconds since 1970, as the wall clock has it. */
msec clock_wall(void);

/* now + span, CLOCK_NEVER if either says so or the sum would overflow. */
msec clock_after(msec now, msec span);

/* Of two times. */
msec clock_earlier(msec a, msec b);
msec clock_later(msec a, msec b);

/* Sets a number that others read and write at the same time to a later time,
 * never back. */
void clock_advance(_Atomic(msec) *number, msec to);

/* A time-out for poll(2): what is left until the deadline, rounded so that
 * poll does not return early; -1 for CLOCK_NEVER. */
int clock_poll_timeout(msec deadline);

/* A timer on CLOCK_BOOTTIME as a descriptor that becomes readable; the caller
 * closes it.  -1 with err filled when there is none to be had. */
int clock_timer_open(struct error *err);

/* Sets the timer to fire at the deadline (at once if it has passed), or never.
 * Setting it also forgets that it fired before. */
bool clock_timer_set(int timer, msec deadline);

#endif
