# fences.bats - the fence grows, whatever happens to the lock and its server

load ../lib/common

setup_file() {
  # FLUSHALL takes the keys of all tests.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
}

# The fence of an acquisition in JSON, which has to succeed: takes OPTION...
takes() {
  local said
  said=$("$RLOCK" acquire -n --json "$@" "$K") || return
  json "$said" fence
}

# It is greater than the last one: grows FENCE
grows() {
  ((${1:-0} > ${LAST:-0})) || {
    echo "fence '$1' after '${LAST-}'" >&2
    return 1
  }
  LAST=$1
}

@test "[39] the fence grows whoever holds the lock in between, and however it ends" {
  grows "$(takes --token a)"
  "$RLOCK" release --token a "$K"
  grows "$(takes --token a)"
  # Taken by force, and by hand.
  "$RLOCK" release -q --force --yes "$K"
  grows "$(takes --token b)"
  cli DEL "$K"
  grows "$(takes --token c)"
  cli SET "$K" foreign
  cli DEL "$K"
  grows "$(takes --token d)"
  cli RENAME "$K" "$K.old"
  grows "$(takes --token e)"
  cli PEXPIRE "$K" 20
  wait_until 5 'the lock to expire' is_free "$K"
  grows "$(takes --token f)"
  "$RLOCK" release --token f "$K"
  # By run, and by a waiter.
  grows "$("$RLOCK" run "$K" sh -c 'echo "$RLOCK_FENCE"')"
  cli SET "$K" other PX 100
  grows "$(json "$("$RLOCK" acquire -q --json --token g "$K")" fence)"
  cli FLUSHALL
  grows "$(takes --token h)"
  "$RLOCK" release --token h "$K"
  # Taken again with the first of all tokens.
  grows "$(takes --token a)"
}

@test "[39] a random sequence of holders and endings has only growing fences" {
  local seed=${SEED:-$RANDOM} i
  # Said when the test fails.
  echo "SEED=$seed"
  RANDOM=$seed
  for i in {1..60}; do
    case $((RANDOM % 4)) in
    0) grows "$(takes --token "t$((RANDOM % 3))")" ;;
    1) grows "$(takes -t 1m)" ;;
    2) grows "$(takes --token "u$i" -t none)" ;;
    3)
      # A foreign holder has none.
      cli SET "$K" foreign
      run -0 "$RLOCK" status --json "$K"
      [ "$(json "$output" fence)" = None ]
      ;;
    esac
    case $((RANDOM % 6)) in
    0) cli DEL "$K" ;;
    1) "$RLOCK" release -q --force --yes "$K" ;;
    2)
      cli PEXPIRE "$K" 1
      wait_until 5 'the lock to expire' is_free "$K"
      ;;
    3) cli FLUSHALL ;;
    4) cli DEL "$K" "rlock:{$K}:fence" ;;
    5) "$RLOCK" release --token "$(cli GET "$K")" "$K" ;;
    esac
  done
}

@test "[39] an acquisition that is repeated has the same fence, and the lock's later ones a greater" {
  local fence
  grows "$(takes --token a)"
  fence=$LAST
  for _ in 1 2 3; do [ "$(takes --token a -t 1m)" = "$fence" ]; done
  "$RLOCK" extend --token a --by 5s "$K"
  "$RLOCK" reacquire --token a --ttl 30s "$K"
  [ "$(takes --token a)" = "$fence" ]
  run -0 "$RLOCK" status --json "$K"
  [ "$(json "$output" fence)" = "$fence" ]

  "$RLOCK" release --token a "$K"
  grows "$(takes --token a)"
}

@test "[39] after a failover to a replica that had heard of the lock the fence grows" {
  own_server first --port "$(free_port)" --bind 127.0.0.1 \
    --repl-diskless-sync-delay 0
  port=$(own_cli first CONFIG GET port | tail -n 1)
  own_server second --replicaof 127.0.0.1 "$port"
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/first
  grows "$(takes --token a)"
  wait_until 20 'the replica to have it' eval \
    '[ "$(own_cli second GET "$K")" = a ]'
  kill -KILL "${JOBS[0]}"
  own_cli second REPLICAOF NO ONE
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/second
  # Who holds it still does, with the fence it was given.
  run -0 "$RLOCK" status --json "$K"
  [ "$(json "$output" fence)" = "$LAST" ]
  [ "$(takes --token a)" = "$LAST" ]

  "$RLOCK" release --token a "$K"
  grows "$(takes --token b)"
}

@test "[39] after a failover to a server that never heard of the lock the fence grows" {
  own_server first
  own_server second
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/first
  grows "$(takes)"
  kill -KILL "${JOBS[0]}"
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/second

  grows "$(takes)"
}

@test "[39] fences of many that compete for the lock are all different, in the order in which they had it" {
  for _ in {1..12}; do
    start_job "$RLOCK" run -q "$K" sh -c 'echo "$RLOCK_FENCE" >>fences'
  done
  wait "${JOBS[@]}"

  [ "$(wc -l <fences)" = 12 ]
  run -0 sort -cnu fences
}

# --- held times -----------------------------------------------------------

# A lock of rlock's, taken at this Unix time in ms: taken_at MS
taken_at() {
  cli SET "$K" "rlock1:a@b:1:60000:$1::00112233445566778899aabbccddeeff"
}

@test "[44] held times are never negative, however far the holder's clock is ahead" {
  local ahead
  for ahead in 1 1000 3600000 86400000000; do
    taken_at $(($(wall_ms) + 600000 + ahead))
    run -0 "$RLOCK" status --json "$K"
    [ "$(json "$output" held_ms)" = 0 ]
    run -75 "$RLOCK" acquire -n "$K"
    [ "$output" = "rlock: '$K' is held by a@b (pid 1) for 0s, never expires" ]
    run -79 "$RLOCK" release --token x "$K"
    [[ $output != *' -'[0-9]* ]]
    run -0 "$RLOCK" status "$K"
    [[ $output != *' -'[0-9]* ]]
  done
}

@test "[44] who waited long and has the lock has held it for no time" {
  cli SET "$K" other
  start_job "$RLOCK" acquire -q "$K"
  wait_until 10 'the waiter to be in line' is_held "rlock:{$K}:queue"
  # What is waited is what must not be counted.
  sleep 2.5
  cli DEL "$K"
  job_ends 0

  run -0 "$RLOCK" status --json "$K"
  (($(json "$output" held_ms) < 2000))
  run -75 "$RLOCK" acquire -n "$K"
  [[ $output =~ \ for\ (0s|1s|[0-9]{1,3}ms), ]]
}
