# many.bats - nothing is left behind by very many runs
#
# $RUNS and $PAIRS are how many; `make soak-runs` has more of them than CI.

load ../lib/common

setup_file() {
  start_server
  export RUNS=${RUNS:-1000} PAIRS=${PAIRS:-20000}
}

# Keys other than fences, and keys that never expire.
left_behind() {
  cli EVAL "
    local left = {}
    for _, key in ipairs(redis.call('KEYS', '*')) do
      if not key:find(':fence$') or redis.call('PTTL', key) < 0 then
        left[#left + 1] = key
      end
    end
    return left" 0
}

# Runs so many commands under a lock, one after the other, and counts those that
# find it held or fail: runs COUNT OPTION... NAME COMMAND...
runs() {
  local count=$1 bad=0 n
  shift
  for ((n = 0; n < count; n++)); do
    "$RLOCK" run -q -n -t 1s "$@" || bad=$((bad + 1))
  done
  echo "$bad"
}

@test "[30] thousands of short runs, some ending in a renewal, leave no key" {
  local n
  for n in 1 2; do
    runs $((RUNS * 3 / 8)) "short$n" true >"bad$n" 3>&- &
    # The keeper begins after 20 ms, and renews when the command ends.
    runs $((RUNS / 8)) --renew 5ms "long$n" sleep 0.025 >"bad$((n + 2))" 3>&- &
  done
  wait
  [ "$(left_behind)" = '' ]
  sleep 1.5 # a late renewal would have come
  [ "$(left_behind)" = '' ]
  [ "$(cat bad1 bad2 bad3 bad4)" = $'0\n0\n0\n0' ]
  [ "$(cli DBSIZE)" = 4 ]
}

@test "[30] thousands of acquisitions by one process leave nothing open" {
  cli FLUSHALL
  run -0 "$(dirname "$RLOCK")/soak/pairs" "$RLOCK_URL" "$PAIRS"
  grep '^#' <<<"$output" >&3
  [[ $output != *"not ok"* ]]
  [ "$(left_behind)" = '' ]
  [ "$(cli DBSIZE)" = 16 ]
}

@test "[30] hundreds of acquire and release leave no key and no file" {
  local n
  cli FLUSHALL
  for ((n = 0; n < PAIRS / 100; n++)); do
    "$RLOCK" acquire -n -f token "$K"
    "$RLOCK" release -f token "$K"
  done
  [ "$(left_behind)" = '' ]
  [ "$(ls -A)" = '' ]
}
