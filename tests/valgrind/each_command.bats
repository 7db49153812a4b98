# each_command.bats - the unit tests, and each command once, under valgrind
#
# No leak, no invalid access, no descriptor left open.

load ../lib/common

setup_file() {
  start_server
  export RLOCK_PROGRAM=$RLOCK
  RLOCK=$BATS_FILE_TMPDIR/rlock
  export RLOCK
  # Descriptors 0 to 2, and what bats itself leaves open, are inherited.
  cat >"$RLOCK" <<END
#!/bin/sh
exec valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all \
  --errors-for-leak-kinds=all --track-fds=yes --child-silent-after-fork=yes \
  --log-file='$BATS_FILE_TMPDIR/valgrind.%p' '$RLOCK_PROGRAM' "\$@"
END
  chmod +x "$RLOCK"
}
setup() {
  fresh
  rm -f "$BATS_FILE_TMPDIR"/valgrind.*
}

# What valgrind found in the processes of this test; inherited descriptors are
# not ours.
findings() {
  cat "$BATS_FILE_TMPDIR"/valgrind.* |
    sed 's/^==[0-9]*== *//' |
    awk '/^Open file descriptor/ { held = $0; next }
         /<inherited from parent>/ { held = ""; next }
         held { print held; held = "" }
         NF && !/FILE DESCRIPTORS/ { print }'
}

@test "acquire, extend, reacquire, status and release are clean" {
  run -0 --separate-stderr "$RLOCK" acquire -m why "$K"
  token=$output

  run -0 "$RLOCK" extend --by 1s --token "$token" "$K"
  run -0 "$RLOCK" reacquire --token "$token" "$K"
  run -0 "$RLOCK" status
  run -0 "$RLOCK" status --json "$K"
  run -0 "$RLOCK" release --token "$token" "$K"

  [ -z "$(findings)" ]
}

@test "a token file and --export are clean" {
  run -0 "$RLOCK" acquire -f token "$K"
  run -0 "$RLOCK" release -f token "$K"
  run -0 "$RLOCK" acquire --export "$K"
  run -0 "$RLOCK" release --force --yes "$K"

  [ -z "$(findings)" ]
}

@test "waiting in vain is clean" {
  cli SET "$K" somebody

  run -75 "$RLOCK" acquire -w 0.5s "$K"

  [ -z "$(findings)" ]
}

@test "run is clean, with renewals" {
  run -3 "$RLOCK" run -t 3s --renew 100ms "$K" sh -c 'sleep 1; exit 3'

  [ -z "$(findings)" ]
}

@test "a run that loses its lock, and one whose warden is killed, are clean" {
  run -79 "$RLOCK" run -t 3s -k 100ms "$K" sh -c 'trap "" TERM
    setsid sleep 60 & "$0" -s "$1" DEL "$2"; wait' \
    "$CLI" "$BATS_FILE_TMPDIR/s" "$K"
  [ -z "$(findings)" ]

  run -79 "$RLOCK" run -t 3s "$K" \
    sh -c 'sleep 2; kill -KILL "$PPID"; sleep 60'
  [ -z "$(findings)" ]
}

@test "errors are clean" {
  cli LPUSH "$K" x

  run -65 "$RLOCK" acquire "$K"
  run -64 "$RLOCK" acquire
  run -69 "$RLOCK" acquire -u unix:///nowhere "$K"
  run -127 "$RLOCK" run "$K.run" no-such-command

  [ -z "$(findings)" ]
}

@test "the unit tests are clean" {
  local test
  for test in "${RLOCK_PROGRAM%/*}"/unit/*; do
    [ -x "$test" ] || continue
    run -0 valgrind -q --error-exitcode=99 --leak-check=full "$test"
  done
}
