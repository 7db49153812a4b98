# line.bash - what the files about the line share: waiters, places, times
#
# A file that loads this, after common.bash, runs its tests one after another and
# begins each with fresh_line.

load ../lib/lag

# Times are measured, and what the server tells is looked at as a whole.
setup_file() {
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
}
setup() { fresh_line; }

# Nobody is in line, and the server tells nobody of any key.
fresh_line() {
  fresh
  note_lag
  declare -gA WAITERS=()
  cli FLUSHALL
}

# From here on the test has a server of its own, for itself and for rlock:
# move_to_own_server [OPTION...].  Its pid is $OWN.
move_to_own_server() {
  own_server own "$@"
  # shellcheck disable=SC2034 # the tests use it
  OWN=$JOB
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  # shellcheck disable=SC2317 # this one is called from here on
  cli() { "$CLI" -s "$BATS_TEST_TMPDIR/own" "$@"; }
}

# Starts a waiter, which is $JOB then, and nothing more: start_waiter OWNER
# OPTION...
start_waiter() {
  local owner=$1
  shift
  WAITERS[$owner]=${#JOBS[@]}
  # A shell starts its background jobs with INT and QUIT ignored.
  start_job env --default-signal "$RLOCK" acquire --owner "$owner" "$@" "$K"
}

# The same, and it is in line, as the last, when this returns.
enter() {
  local before
  before=$(cli ZCARD "rlock:{$K}:queue")
  start_waiter "$@"
  wait_until 5 'the waiter to be in line' line_has $((before + 1))
}

# The same for the first, which is told of changes when this returns.
enter_first() {
  enter "$@"
  wait_until 5 'the waiter to be told of changes' tells
}

# Can everybody in line be called?
all_hear() {
  ! cli ZRANGE "rlock:{$K}:seen" 0 -1 WITHSCORES | grep -q '\.5$'
}

# From here on $JOB is this waiter: turn_to OWNER.
turn_to() {
  local number=${WAITERS[$1]}
  JOB=${JOBS[number]}
  JOB_OUT=$BATS_TEST_TMPDIR/job$number.out
  JOB_ERR=$BATS_TEST_TMPDIR/job$number.err
}

# Sends the waiter a signal, and waits for its end: signal SIGNAL OWNER,
# ends OWNER STATUS.
signal() { kill "-$1" "${JOBS[${WAITERS[$2]}]}"; }
ends() {
  turn_to "$1"
  job_ends "$2"
}

# All of these are killed, and none of them finds out that another is dead:
# die OWNER...
die() {
  local owner
  for owner; do signal STOP "$owner"; done
  for owner; do wait_until 5 "$owner to be stopped" is_stopped "$owner"; done
  # The server has answered whatever they had asked.
  cli PING
  for owner; do
    signal KILL "$owner"
    ends "$owner" 137
  done
}
is_stopped() { grep -q '^State:.T' "/proc/${JOBS[${WAITERS[$1]}]}/status"; }

line_has() { [ "$(cli ZCARD "rlock:{$K}:queue")" = "$1" ]; }

# A number of the server's account of itself: info SECTION NAME.
info() {
  cli INFO "$1" | tr -d '\r' | sed -n "s/^$2:\([0-9]*\)$/\1/p"
}

# Does the server tell anybody of any key's changes?
tells() { (($(info stats tracking_total_keys))); }

# How often the server was asked to do it, scripts and clients alike:
# calls COMMAND.
calls() {
  local count
  count=$(cli INFO commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p")
  echo "${count:-0}"
}

# The owners in line, in order.
line() { cli ZRANGE "rlock:{$K}:queue" 0 -1 | cut -d: -f2 | xargs; }
line_is() { [ "$(line)" = "$1" ]; }

# The waiter's id, its ticket, and until when it is there: id_of OWNER.
id_of() { cli ZRANGE "rlock:{$K}:queue" 0 -1 | grep "^rlock1:$1:"; }
ticket_of() { cli ZSCORE "rlock:{$K}:queue" "$(id_of "$1")"; }
presence_of() { cli ZSCORE "rlock:{$K}:seen" "$(id_of "$1")"; }

# Starts to note what the server is asked to do, in $MONITOR.
start_monitor() {
  local job=$JOB out=$JOB_OUT err=$JOB_ERR
  start_job cli MONITOR
  disown "$JOB"
  MONITOR=$JOB_OUT
  wait_until 5 'MONITOR to begin' grep -q OK "$MONITOR"
  JOB=$job JOB_OUT=$out JOB_ERR=$err
}

# When the server was first asked for what matches, in us by its clock:
# asked_at PATTERN.
asked_at() {
  wait_until 5 "MONITOR to show $1" grep -q "$1" "$MONITOR"
  sed -n "/$1/s/^\([0-9]*\)\.\([0-9]*\) .*/\1\2/p" "$MONITOR" | head -n 1
}

# When a lock was taken last, in us by the server's clock: taken_at NAME.
taken_at() { cli GET "rlock:{$1}:fence" | cut -d' ' -f1; }

# The waiter has the lock at most so many ms after the time (in us, by the
# server's clock): takes_within MS OWNER TIME.
takes_within() {
  ends "$2" 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
  (($(taken_at "$K") >= $3))
  in_time "$1" "$3" "$(taken_at "$K")"
}

# The key is deleted, and the waiter has the lock at most so many ms after:
# deleted_takes_within MS OWNER.
deleted_takes_within() {
  start_monitor
  cli DEL "$K"
  takes_within "$1" "$2" "$(asked_at '"DEL"')"
}
