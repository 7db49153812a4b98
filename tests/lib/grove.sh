#!/bin/sh
# grove.sh - a command of seven processes that are hard to stop
#
# grove.sh KIND: each ticks into ./ticks (tick.c), in a group, a session, or
# under a parent of its own; KIND "stubborn" ignores TERM. Wants $TICK, and
# $RLOCK, $RLOCK_URL and $K for a nested run of another lock, $K-inner.
kind=$1
"$TICK" "$PWD/ticks" group "$kind" &
sh -c "timeout 99 '$TICK' '$PWD/ticks' timeout $kind; true" &
setsid "$TICK" "$PWD/ticks" session "$kind" &
(setsid sh -c "'$TICK' '$PWD/ticks' daemon $kind & exit" &)
bash -mc "'$TICK' '$PWD/ticks' job $kind & wait" &
RLOCK_NAME='' RLOCK_TOKEN='' "$RLOCK" run -t 60s "$K-inner" -- \
  "$TICK" "$PWD/ticks" nested "$kind" &
exec "$TICK" "$PWD/ticks" command "$kind"
