# clocks.bats - clocks that jump, stand still, or disagree
#
# Needs $(BUILD)/tests/clocks.so, which the Makefile makes for the tests.

load ../lib/common
load ../lib/syscalls

DAY=86400000

setup() {
  fresh
  export CLOCKS=$BATS_TEST_TMPDIR/clocks
  SHIFTED=(env "LD_PRELOAD=$(dirname "$RLOCK")/tests/clocks.so"
    "ASAN_OPTIONS=verify_asan_link_order=0:$ASAN_OPTIONS")
  clocks 0 0
}

teardown() {
  kill -CONT "$(server_pid)"
  : >end
  stop_jobs
}

# Sets the clocks of what is started with $SHIFTED: clocks WALL BOOT [STANDS],
# see clocks.c.
clocks() {
  echo "$1 $2 ${3-0}" >"$CLOCKS.new"
  mv "$CLOCKS.new" "$CLOCKS"
}

# Waits for the job started last, which may hang if it is wrong.
ends() {
  wait_until 30 'rlock to end' is_gone "$JOB"
  job_ends "$1"
}

# rlock with these clocks.
shifted() { "${SHIFTED[@]}" "$RLOCK" "$@"; }

in_line() { [ "$(cli ZCARD "rlock:{$K}:queue")" = 1 ]; }
asks_for_nothing_more() { [ "$(proxy held replies)" -gt 0 ]; }

# The number between the fifth and the sixth colon of a token, in ms.
since_in() { cut -d : -f 5 <<<"$1"; }

@test "a clock that jumps is seen by rlock" {
  clocks $((10 * DAY)) 0
  run -0 shifted acquire "$K"

  (($(since_in "$output") - $(wall_ms) > 9 * DAY))
}

# --- a clock that stands still ----------------------------------------------

@test "[37] two acquisitions of one process in the same millisecond have different tokens" {
  local first second
  clocks 0 0 1700000000000
  bash -c 'for k in a b; do "$@" acquire "$0-$k"; done' "$K" \
    "${SHIFTED[@]}" "$RLOCK" >tokens
  { read -r first && read -r second; } <tokens

  [ "${first%:*}" = "${second%:*}" ]
  [ "$(since_in "$first")" = 1700000000000 ]
  [ "$first" != "$second" ]
}

@test "[37] of those who start in the same millisecond one has the lock" {
  local i
  clocks 0 0 1700000000000
  for i in 1 2 3 4 5 6; do
    start_job "${SHIFTED[@]}" "$RLOCK" acquire -n "$K"
  done
  for i in "${JOBS[@]}"; do wait "$i" || true; done

  [ "$(cat job*.out)" = "$(cli GET "$K")" ]
}

# --- the wall clock jumps ----------------------------------------------------

# A wait of 1.5 s during which the wall clock jumps lasts 1.5 s.
waits_on() {
  local begin
  cli SET "$K" other
  begin=$(now_ms)
  start_job "${SHIFTED[@]}" "$RLOCK" acquire -w 1.5s "$K"
  wait_until 10 'rlock to be in line' in_line
  clocks "$1" 0

  ends 75
  (($(now_ms) - begin >= 1490))
  (($(now_ms) - begin <= 6000))
}

@test "[38] a wall clock that jumps ahead by a day does not shorten a wait" { waits_on "$DAY"; }
@test "[38] a wall clock that jumps back by a day does not prolong a wait" { waits_on "-$DAY"; }

@test "[38] a waiter has the lock although the wall clock jumps" {
  cli SET "$K" other
  start_job "${SHIFTED[@]}" "$RLOCK" acquire "$K"
  wait_until 10 'rlock to be in line' in_line
  clocks "$DAY" 0
  clocks "-$DAY" 0
  cli DEL "$K"

  ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

# Runs a command of two TTLs, during which the wall clock jumps.
keeps_lock() {
  start_job "${SHIFTED[@]}" "$RLOCK" run -t 2s "$K" sh -c ': >started
    i=0; while [ ! -e end ]; do sleep 0.02; done'
  wait_until 10 'the command' [ -e started ]
  cli GET "$K" >before
  clocks "$1" 0
  sleep 4 # two TTLs: without renewals it would be gone
  is_held "$K"
  cli GET "$K" >after
  : >end

  ends 0
  cmp before after
  [ ! -s "$JOB_ERR" ]
  is_free "$K"
}

@test "[38] a wall clock that jumps ahead by a day does not disturb a command" { keeps_lock "$DAY"; }
@test "[38] a wall clock that jumps back by a day does not disturb a command" { keeps_lock "-$DAY"; }

@test "[38] a wall clock that jumps does not change how long a lock lives" {
  clocks "$DAY" 0
  shifted acquire --token t -t 100s "$K"
  (($(cli PTTL "$K") > 50000 && $(cli PTTL "$K") <= 100000))

  clocks "-$DAY" 0
  shifted extend --token t --to 200s "$K"
  (($(cli PTTL "$K") > 150000 && $(cli PTTL "$K") <= 200000))
}

@test "[38] a wall clock before 1970 makes a token all the same" {
  clocks 0 0 -1000
  run -0 shifted acquire "$K"

  [ "$(since_in "$output")" = 0 ]
  run -0 "$RLOCK" release --token "$output" "$K"
}

# --- a suspend ---------------------------------------------------------------

# Starts a command under a lease of 20 s, whose next renewal is in 6 s: what
# follows is not due to that one.
start_command() {
  start_job "${SHIFTED[@]}" "$RLOCK" run -t 20s -k 1s --renew 6s "$@" "$K" \
    sh -c 'echo $$ >pid; while [ ! -e end ]; do sleep 0.02; done'
  wait_until 10 'the command' [ -s pid ]
}

# Nobody renews first when it wakes up, as nobody could during a suspend.
suspend() {
  kill -STOP "$(server_pid)"
  clocks 0 3600000
}

# The command was stopped at once: its lease was over when the machine woke.
stopped_after_suspend() {
  local begin
  begin=$(now_ms)
  suspend
  wait_until 10 'the command to be stopped' is_dead "$(<pid)"
  (($(now_ms) - begin <= 4000))
  [ "${1-}" = silent ] || kill -CONT "$(server_pid)"

  ends 79
  [ "$(head -n 1 "$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: no renewal was confirmed in time; the command is stopped" ]
}

@test "[38] after a suspend longer than the lease the command is stopped, 79" {
  start_command
  stopped_after_suspend
  is_free "$K"
}

@test "[38] after a suspend the command is stopped although the server is silent" {
  start_command
  stopped_after_suspend silent
}

@test "[28] [38] after a suspend what another holds meanwhile is left alone" {
  start_proxy
  RLOCK_URL=$PROXY_URL start_command
  # Nobody hears of it, as during a suspend.
  proxy hold
  cli SET "$K" other
  clocks 0 3600000
  wait_until 10 'the command to be stopped' is_dead "$(<pid)"
  proxy go

  ends 79
  [ "$(cli GET "$K")" = other ]
}

@test "[38] a suspend shorter than the lease does not disturb a command" {
  start_command
  clocks 0 5000
  sleep 0.5 # many times what stopping takes
  is_held "$K"
  : >end

  ends 0
  [ ! -s "$JOB_ERR" ]
}

@test "[38] with --on-lost continue the command goes on after a suspend, and is 79" {
  start_command --on-lost continue
  suspend
  wait_until 10 'the loss to be told' grep -q 'goes on without it' "$JOB_ERR"
  kill -CONT "$(server_pid)"
  : >end

  ends 79
}

@test "[19] [38] an answer that comes after a suspend longer than the lease is no success" {
  start_proxy
  proxy hold replies
  RLOCK_URL=$PROXY_URL start_job "${SHIFTED[@]}" "$RLOCK" acquire --timeout 60s \
    -t 30s "$K"
  wait_until 10 'the answer to be held' asks_for_nothing_more
  is_held "$K"
  clocks 0 3600000
  proxy go

  ends 69
  [ ! -s "$JOB_OUT" ]
  [ "$(<"$JOB_ERR")" = "rlock: '$K': '$PROXY_URL' answered after the lease had ended" ]
  is_free "$K"
}

@test "[38] an answer that comes after a suspend shorter than the lease is one" {
  start_proxy
  proxy hold replies
  RLOCK_URL=$PROXY_URL start_job "${SHIFTED[@]}" "$RLOCK" acquire --timeout 60s \
    -t 30s "$K"
  wait_until 10 'the answer to be held' asks_for_nothing_more
  clocks 0 15000
  proxy go

  ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[17] [38] a wait whose limit passes during a suspend ends soon after" {
  cli SET "$K" other
  start_job "${SHIFTED[@]}" "$RLOCK" acquire -w 1h "$K"
  wait_until 10 'rlock to be in line' in_line
  clocks 0 7200000

  ends 75
}

@test "[17] [38] a lock that is free after a suspend longer than the wait is taken" {
  cli SET "$K" other
  start_proxy
  RLOCK_URL=$PROXY_URL start_job "${SHIFTED[@]}" "$RLOCK" acquire -w 1h "$K"
  wait_until 10 'rlock to be in line' in_line
  # Nobody hears of it, as during a suspend.
  proxy hold
  cli DEL "$K"
  clocks 0 7200000
  proxy go

  ends 0
}

# --- the server's clock ------------------------------------------------------

# A server whose clock is the one that clocks sets.
start_shifted_server() {
  local server=$SERVER
  printf '#!/bin/sh\nexec env LD_PRELOAD=%s %s "$@"\n' \
    "$(dirname "$RLOCK")/tests/clocks.so" "$server" >shifted-server
  chmod +x shifted-server
  SERVER=$PWD/shifted-server
  own_server apart
  SERVER=$server
  RLOCK_URL=unix://$BATS_TEST_TMPDIR/apart
}

# Takes the lock and frees it; prints its fence.
one_fence() {
  "$RLOCK" run "$K" sh -c 'echo "$RLOCK_FENCE"'
}

@test "[39] the fence grows while the server's clock stands still" {
  local i last=0 fence
  start_shifted_server
  clocks 0 0 1700000000000
  wait_until 10 'the clock to stand' \
    eval '[ "$(own_cli apart TIME | head -n 1)" = 1700000000 ]'

  for i in 1 2 3 4; do
    fence=$(one_fence)
    ((fence > last))
    last=$fence
  done
  [ "$last" = 1700000000000003 ]
}

@test "[39] the fence grows when the server's clock steps back" {
  local step last=0 fence
  start_shifted_server
  for step in 0 -1000 -3600000 $((-10 * DAY)) 0 -5000; do
    clocks "$step" 0
    fence=$(one_fence)
    ((fence > last))
    last=$fence
  done
}

@test "[39] the fence grows when the lock expires and the server's clock steps back" {
  local last
  start_shifted_server
  "$RLOCK" acquire "$K"
  own_cli apart PEXPIRE "$K" 50
  last=$(own_cli apart GET "rlock:{$K}:fence" | cut -d ' ' -f 1)
  clocks 3600000 0
  wait_until 10 'the lock to expire' \
    eval '[ "$(own_cli apart EXISTS "$K")" = 0 ]'
  clocks -3600000 0

  (($(one_fence) > last))
}

@test "[38] a server's clock that steps back does not disturb a command" {
  start_shifted_server
  start_job "$RLOCK" run -t 2s "$K" sh -c ': >started
    while [ ! -e end ]; do sleep 0.02; done'
  wait_until 10 'the command' [ -e started ]
  clocks "-$DAY" 0
  sleep 3 # more than the TTL
  : >end

  ends 0
  [ ! -s "$JOB_ERR" ]
  # A renewal sets what is left anew, so nothing of the day is added.
  [ "$(own_cli apart EXISTS "$K")" = 0 ]
}

@test "[25] [38] a server's clock that steps ahead past the TTL loses the lock, 79" {
  start_shifted_server
  start_job "$RLOCK" run -t 20s -k 1s "$K" sh -c 'echo $$ >pid
    while [ ! -e end ]; do sleep 0.02; done'
  wait_until 10 'the command' [ -s pid ]
  clocks "$DAY" 0

  ends 79
  is_dead "$(<pid)"
  grep -q "'$K' on '$RLOCK_URL' was lost: it expired, or was deleted" "$JOB_ERR"
}

@test "[38] a line is kept when the server's clock steps back" {
  start_shifted_server
  own_cli apart SET "$K" other
  start_job "$RLOCK" acquire -w 30s "$K"
  wait_until 10 'rlock to be in line' \
    eval '[ "$(own_cli apart ZCARD "rlock:{$K}:queue")" = 1 ]'
  clocks "-$DAY" 0
  own_cli apart DEL "$K"

  ends 0
}

# --- clocks apart ------------------------------------------------------------

@test "[44] a holder whose clock is ahead has held the lock for 0s, not for less" {
  clocks "$DAY" 0
  shifted acquire -t 1h --owner bob "$K"
  run -75 "$RLOCK" acquire -n "$K"

  [[ $output == "rlock: '$K' is held by bob (pid "*") for 0s, expires in "* ]]
}

@test "[44] status shows nothing negative to one whose clock is behind" {
  "$RLOCK" acquire -t 1h --owner bob "$K"
  clocks "-$DAY" 0
  run -0 shifted status --json "$K"
  [ "$(json "$output" held_ms)" = 0 ]

  run -0 shifted status "$K"
  [[ $output != *' -'[0-9]* ]]
}

@test "[44] a waiter of two hours holds the lock for no time when it gets it" {
  cli SET "$K" other
  start_job "${SHIFTED[@]}" "$RLOCK" acquire -t 5h --owner bob "$K"
  wait_until 10 'rlock to be in line' in_line
  clocks 7200000 7200000
  cli DEL "$K"
  ends 0

  run -75 shifted acquire -n "$K"
  [[ $output =~ "is held by bob (pid "[0-9]+") for "[0-9]+m?"s, expires in" ]]
  run -0 shifted status --json "$K"
  (($(json "$output" held_ms) < 60000))
}
