# python.bats - redis-py's and valkey-py's locks against rlock, on one server
#
# Each behaviour is shown with every lock there is: redis.lock.Lock,
# redis.asyncio.lock.Lock, and valkey-py's two where it is installed.

load ../lib/common

setup_file() {
  "$PYTHON" -c 'import redis' || {
    echo "$PYTHON has no redis: install python3-redis" >&2
    return 1
  }
  export LIBRARIES='redis redis.asyncio'
  if "$PYTHON" -c 'import valkey' 2>/dev/null; then
    LIBRARIES+=' valkey valkey.asyncio'
  fi
  start_server
}

# py LIBRARY NAME STEP...: a lock of Python's; see locks.py
py() {
  "$PYTHON" "$BATS_TEST_DIRNAME/locks.py" "$@"
}

# take STEP...: each library acquires a lock of its own, $K with its name behind
take() {
  py "${LIBRARIES// /,}" "$K" "$@" acquire
}

# lines LINE...: these and no others are the output
lines() {
  local want
  want=$(printf '%s\n' "$@")
  [ "$output" = "$want" ] || {
    printf 'output:\n%s\nwanted:\n%s\n' "$output" "$want" >&2
    return 1
  }
}

# left_between NAME LOW HIGH: the key's remaining ms
left_between() {
  local left
  left=$(cli PTTL "$1")
  ((left > $2 && left <= $3)) || {
    echo "$left ms are left, not $2 to $3" >&2
    return 1
  }
}

@test "[8] a lock that Python took is held, foreign, and never parsed" {
  take timeout=60
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -0 "$RLOCK" status --json "$K$library"

    [ "$(json "$output" state)" = held ]
    [ "$(json "$output" format)" = foreign ]
    [ "$(json "$output" token)" = "$token" ]
    [ "$(json "$output" owner)" = None ]
    [ "$(json "$output" fence)" = None ]
    ((50000 < $(json "$output" expires_in_ms)))
  done
}

@test "a lock that Python took shows only its token's first characters to people" {
  take timeout=60
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -0 "$RLOCK" status "$K$library"

    [[ $output = *"foreign token ${token:0:8}..."* ]]
    [[ $output != *"${token:0:9}"* ]]
  done
}

@test "[8] acquire -n exits 75 while Python holds the lock, and leaves it alone" {
  take timeout=60
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -75 --separate-stderr "$RLOCK" acquire -n "$K$library"

    [ -z "$output" ]
    [[ $stderr = "rlock: '$K$library' is held by foreign token ${token:0:8}..., expires in "* ]]
    [ "$(cli GET "$K$library")" = "$token" ]
    left_between "$K$library" 30000 60000
  done
}

@test "[8] status with Python's token tells that the lock is held with it" {
  token=$(py redis "$K" timeout=60 acquire token | sed 1d)

  run -0 "$RLOCK" status --json --token "$token" "$K"

  [ "$(json "$output" mine)" = True ]
}

@test "[8] extend adds to and sets the time that Python's lock has left" {
  take timeout=600
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -0 "$RLOCK" extend --token "$token" --by 10m "$K$library"
    left_between "$K$library" 1140000 1200000
    run -0 "$RLOCK" extend --token "$token" --to 5m "$K$library"
    left_between "$K$library" 240000 300000
    run -0 py "$library" "$K$library" own="$token" timeout=600 \
      owned extend=600 left

    lines True True 15
  done
}

@test "[8] reacquire needs --ttl for Python's token, and then sets it" {
  take timeout=600
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -64 "$RLOCK" reacquire --token "$token" "$K$library"
    left_between "$K$library" 540000 600000
    run -0 "$RLOCK" reacquire --token "$token" --ttl 30m "$K$library"
    run -0 py "$library" "$K$library" own="$token" owned left

    lines True 30
  done
}

@test "[8] release frees Python's lock, and Python finds that it lost it" {
  take timeout=60
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -0 "$RLOCK" release --token "$token" "$K$library"
    run -0 py "$library" "$K$library" own="$token" timeout=60 \
      owned locked extend=1 replace=1 reacquire release

    lines False False LockNotOwnedError LockNotOwnedError \
      LockNotOwnedError LockNotOwnedError
  done
}

@test "a token that is not Python's changes nothing about its lock" {
  take timeout=600
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -79 "$RLOCK" release --token "${token}0" "$K$library"
    run -79 "$RLOCK" extend --token "${token%?}" --by 1h "$K$library"
    run -79 "$RLOCK" extend --token "${token^^}" --to 1h "$K$library"
    run -79 "$RLOCK" reacquire --token x --ttl 1h "$K$library"

    [[ $output = *"is not held with this token, but by foreign token ${token:0:8}..." ]]
    [ "$(cli GET "$K$library")" = "$token" ]
    left_between "$K$library" 540000 600000
  done
}

@test "release --force --holder breaks Python's lock" {
  take timeout=60
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -0 "$RLOCK" release --force --holder "$token" "$K$library"
    run -0 py "$library" "$K$library" own="$token" release locked

    lines LockNotOwnedError False
  done
}

@test "[8] a lock that rlock holds is locked for Python, which does not get it" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire "$K$library")

    run -0 py "$library" "$K$library" locked owned try wait=0.1

    lines True False False False
    [ "$(cli GET "$K$library")" = "$token" ]
  done
}

@test "[8] Python extends and reacquires rlock's lock with rlock's token" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire -t 10m "$K$library")

    run -0 py "$library" "$K$library" own="$token" timeout=1800 \
      owned extend=600 left replace=2400 left reacquire left

    lines True True 20 True 40 True 30
    run -0 "$RLOCK" extend --token "$token" --by 10m "$K$library"
    left_between "$K$library" 2340000 2400000
    run -0 "$RLOCK" reacquire --token "$token" "$K$library"
    left_between "$K$library" 540000 600000
  done
}

@test "[8] Python releases rlock's lock, and rlock finds that it is gone" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire "$K$library")

    run -0 py "$library" "$K$library" own="$token" release locked

    lines None False
    run -1 "$RLOCK" status "$K$library"
    run -79 "$RLOCK" extend --token "$token" --to 1m "$K$library"
    run -79 "$RLOCK" release --token "$token" "$K$library"
    [[ $output = *"is not held: it expired, or was released already" ]]
  done
}

@test "[8] Python without the token cannot touch rlock's lock" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire -t 10m "$K$library")

    run -0 py "$library" "$K$library" own="${token}0" timeout=60 \
      owned extend=1 reacquire release left

    lines False LockNotOwnedError LockNotOwnedError LockNotOwnedError 10
  done
}

@test "[8] status knows who holds a lock that Python extended" {
  token=$("$RLOCK" acquire --owner alice@web3 -m v1.2 -t 10m "$K")
  py redis "$K" own="$token" timeout=60 extend=600

  run -0 "$RLOCK" status --json "$K"

  [ "$(json "$output" format)" = rlock1 ]
  [ "$(json "$output" owner)" = alice@web3 ]
  [ "$(json "$output" message)" = v1.2 ]
  ((1140000 < $(json "$output" expires_in_ms)))
}

@test "[8] Python's wait ends when rlock releases" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire "$K$library")
    start_job py "$library" "$K$library" timeout=60 try wait=20 token
    wait_until 10 'Python to try' grep -q False "$JOB_OUT"

    "$RLOCK" release --token "$token" "$K$library"
    wait "$JOB"

    output=$(cat "$JOB_OUT")
    lines False True "$(cli GET "$K$library")"
  done
}

@test "[8] Python's wait ends when a command of rlock run ends" {
  for library in $LIBRARIES; do
    mkfifo "end.$library"
    start_job "$RLOCK" run "$K$library" timeout 20 cat "end.$library"
    wait_until 10 'the command to start' is_held "$K$library"
    start_job py "$library" "$K$library" timeout=60 try wait=20 token
    wait_until 10 'Python to try' grep -q False "$JOB_OUT"

    timeout 10 sh -c ': >"$1"' - "end.$library"
    wait "$JOB"

    output=$(cat "$JOB_OUT")
    lines False True "$(cli GET "$K$library")"
  done
}

@test "[8] rlock's wait ends when Python releases" {
  declare -A jobs outs errs
  take
  for library in $LIBRARIES; do
    start_job "$RLOCK" acquire -w 20s "$K$library"
    jobs[$library]=$JOB outs[$library]=$JOB_OUT errs[$library]=$JOB_ERR
  done

  for library in $LIBRARIES; do
    wait_until 10 'rlock to say that it waits' \
      grep -q 'is held by foreign token' "${errs[$library]}"
    py "$library" "$K$library" own="$(cli GET "$K$library")" release
    wait "${jobs[$library]}"

    [ "$(cat "${outs[$library]}")" = "$(cli GET "$K$library")" ]
  done
}

@test "[8] rlock's wait ends when Python's lock expires" {
  for library in $LIBRARIES; do
    py "$library" "$K$library" timeout=0.4 acquire
    before=$(now_ms)

    run -0 "$RLOCK" acquire -w 20s "$K$library"

    [ "$output" = "$(cli GET "$K$library")" ]
    (($(now_ms) - before < 3000))
  done
}

@test "[8] [26] run gives up a lock that Python deleted and took, and leaves it to Python" {
  for library in $LIBRARIES; do
    start_job "$RLOCK" run -t 1s "$K$library" sleep 60
    wait_until 10 'the command to start' is_held "$K$library"

    run -0 py "$library" "$K$library" timeout=60 delete try token
    lost=0
    wait "$JOB" || lost=$?

    [ "$lost" = 79 ]
    lines 1 True "$(cli GET "$K$library")"
    # It may be noticed between the two.
    grep -qE "was lost: it (is held by foreign token ${lines[2]:0:8}\.\.\.|expired, or was deleted);" \
      "$JOB_ERR"
    left_between "$K$library" 30000 60000
  done
}

@test "[10] extend exits 65 for a lock of Python's that never expires" {
  take
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")

    run -65 "$RLOCK" extend --token "$token" --to 1m "$K$library"
    run -65 "$RLOCK" extend --token "$token" --by 1m "$K$library"

    [[ $output = *"never expires: there is nothing to extend"* ]]
    run -0 py "$library" "$K$library" own="$token" owned left
    lines True None
  done
}

@test "[10] reacquire --ttl gives a lock of Python's that never expires a TTL" {
  take
  for library in $LIBRARIES; do
    token=$(cli GET "$K$library")
    run -0 "$RLOCK" status --json "$K$library"
    [ "$(json "$output" expires_in_ms)" = None ]

    run -0 "$RLOCK" reacquire --token "$token" --ttl 10m "$K$library"
    run -0 py "$library" "$K$library" own="$token" timeout=600 \
      owned left extend=600 left

    lines True 10 True 20
  done
}

@test "a lock that rlock took for ever has no TTL until Python sets one" {
  for library in $LIBRARIES; do
    token=$("$RLOCK" acquire -t none "$K$library")

    run -0 py "$library" "$K$library" own="$token" timeout=600 \
      left extend=600 reacquire left

    lines None LockNotOwnedError True 10
    run -0 "$RLOCK" reacquire --token "$token" "$K$library"
    [ "$(cli PTTL "$K$library")" = -1 ]
  done
}

@test "[6] a name of any bytes is the same lock for both" {
  for library in $LIBRARIES; do
    name=$(printf ' a b:"*{\303\274}\377\n%s' "$library")
    token=$("$RLOCK" acquire -t 10m -- "$name")

    run -0 py "$library" "$name" own="$token" owned left release

    lines True 10 None
    token=$(py "$library" "$name" timeout=60 acquire token | sed 1d)
    run -0 "$RLOCK" release --token "$token" "$name"
  done
}

@test "[8] Python and rlock never hold the lock at the same time" {
  echo 0 >number
  start_job "$PYTHON" "$BATS_TEST_DIRNAME/count.py" redis "$K" number stop
  wait_until 10 'Python to count' grep -q '[1-9]' number

  for _ in {1..10}; do
    "$RLOCK" run "$K" sh -c 'read -r n <number; echo $((n + 1)) >number'
  done
  touch stop
  wait "$JOB"

  [ "$(cat number)" = $(($(cat "$JOB_OUT") + 10)) ]
  is_free "$K"
}
