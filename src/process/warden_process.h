/* warden_process.h - what the warden does, in its own process
 *
 * What it is for stands in warden.h.  It never returns: it ends when the command
 * has, or when it can do no more, and each time says so in its last report.
 */
#ifndef RLOCK_WARDEN_PROCESS_H
#define RLOCK_WARDEN_PROCESS_H

#include "base/clock.h"
#include "process/signals.h"
#include "process/warden.h"

/* What rlock tells it to do. */
enum warden_order_kind {
	WARDEN_ORDER_SIGNAL,   /* signo, to the command's group */
	WARDEN_ORDER_STOP,     /* the lock is lost */
	WARDEN_ORDER_CONTINUE, /* after PAUSED */
};

struct warden_order {
	enum warden_order_kind kind;
	int signo;
};

/* How long a side that kills goes on killing, and how often. */
#define KILL_AGAIN    ((msec)2)	   /* until nothing is left */
#define KILL_PATIENCE ((msec)2000) /* then it is told that it does not end */

/* For a process just forked from one with a single thread: starts argv and
 * watches over it.  orders and reports are this side's ends of two pipes, all
 * else is as rlock has it. */
_Noreturn void warden_process(const struct warden *warden, int orders,
			      int reports, char *const argv[],
			      const struct signals *signals);

#endif
