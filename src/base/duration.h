/* duration.h - "1.5s", "10m": spans of time as people write and read them */
#ifndef RLOCK_DURATION_H
#define RLOCK_DURATION_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

/* A hundred years: far beyond any lease, and far enough from the end of the
 * server's 64 bits that sums of such spans cannot overflow. */
#define DURATION_MAX ((msec)36500 * 24 * 3600 * 1000)

/* Reads digits, optionally a point and more digits, then ms, s, m, h, d or
 * nothing (seconds); rounds down to whole milliseconds.  No sign, no blank, no
 * exponent, one unit.  False if the text is anything else or more than
 * DURATION_MAX; *span is then left alone. */
bool duration_parse(const char *text, msec *span);

#define DURATION_TEXT_MAX 32

/* Writes a span for people in at most two units: 450ms, 18s, 3m12s, 2h5m,
 * 4d3h.  A negative span reads as 0s.  Returns buf. */
const char *duration_format(char buf[static DURATION_TEXT_MAX], msec span);

#endif
