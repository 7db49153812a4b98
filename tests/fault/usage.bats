# usage.bats - what is wrong on a command line reaches no server, and a lock
# that was not obtained is no success

load ../lib/common

setup_file() {
  # Connections are counted.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
}
setup() {
  fresh
  # A key whose expiry every accepted option would change.
  cli SET "$K" t PX 600000
}

connections() { cli INFO stats | tr -d '\r' | sed -n 's/^total_connections_received://p'; }

# Each bad value of an option is 64 and reaches no server, whichever the
# command: refused OPTION "COMMAND WORD..." VALUE...
refused() {
  local option=$1 command=$2 bad before
  shift 2
  before=$(connections)
  for bad; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr timeout 10 "$RLOCK" $command "$option" "$bad" \
      "$K" touch started
    [[ -z $output && $stderr == "rlock: --"*"'$bad' is "* ]]
  done
  # Only that look itself.
  [ "$(($(connections) - before))" = 1 ]
  [ ! -e started ]
}

BAD_DURATIONS=(-5 1h30 ' 5' nan 1e18 9223372036854775807ms '' 5x 36500d1)

@test "[3] a bad wait limit is 64 for run, and no command reaches a server" {
  refused --wait run "${BAD_DURATIONS[@]}"
  refused -w run "${BAD_DURATIONS[@]}"
}

@test "[3] a bad TTL is 64 for run, and no command reaches a server" {
  refused --ttl run 0 0s 0.5ms "${BAD_DURATIONS[@]}"
}

@test "[3] a bad duration of any other option is 64 for run, and no command reaches a server" {
  refused --timeout run 0 "${BAD_DURATIONS[@]}"
  refused --renew run 0 "${BAD_DURATIONS[@]}"
  refused --kill-after run "${BAD_DURATIONS[@]}"
  refused --min-hold run "${BAD_DURATIONS[@]}"
}

@test "[3] a bad status for a held lock is 64 for run, and no command reaches a server" {
  refused -E run 256 abc -1 '' ' 75' 1e2 99999999999999999999
}

# The same for commands that take one operand.
refused_alone() {
  local option=$1 command=$2 bad before
  shift 2
  before=$(connections)
  for bad; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr timeout 10 "$RLOCK" $command "$option" "$bad" "$K"
    [[ -z $output && $stderr == "rlock: --"*"'$bad' is "* ]]
  done
  [ "$(($(connections) - before))" = 1 ]
  [ "$(cli GET "$K")" = t ]
  (($(cli PTTL "$K") > 500000))
}

@test "[3] a bad duration or status is 64 for acquire, and no command reaches a server" {
  refused_alone --wait acquire "${BAD_DURATIONS[@]}"
  refused_alone -w acquire "${BAD_DURATIONS[@]}"
  refused_alone --ttl 'acquire --token t' 0 "${BAD_DURATIONS[@]}"
  refused_alone -E acquire 256 abc -1 ''
}

@test "[3] a bad duration is 64 for extend and reacquire, and the key is untouched" {
  refused_alone --by 'extend --token t' 0 "${BAD_DURATIONS[@]}"
  refused_alone --to 'extend --token t' 0 "${BAD_DURATIONS[@]}"
  refused_alone --ttl 'reacquire --token t' 0 "${BAD_DURATIONS[@]}"
}

# --- not obtained ---------------------------------------------------------

@test "[3] run with -n on a held lock is 75 and never 0, whatever would be silent" {
  local options
  for options in -n '-w 0' '-w 0s' '-n -q' '-q -w 0' '-n --on-lost continue'; do
    # shellcheck disable=SC2086 # options
    run -75 timeout 10 "$RLOCK" run $options "$K" touch started
    # shellcheck disable=SC2086 # options
    [ "${options#*lost}" != "$options" ] ||
      run -75 timeout 10 "$RLOCK" acquire $options "$K"
  done
  [ ! -e started ]
  [ "$(cli GET "$K")" = t ]
}

@test "[3] run with -w 0 returns at once" {
  begin=$(now_ms)
  run -75 "$RLOCK" run -w 0 "$K" touch started

  (($(now_ms) - begin < 2000))
  [ ! -e started ]
}

# --- what the command's arguments and status become ----------------------

@test "[1] a command needs no -- before it, whatever its options are" {
  cli DEL "$K"
  run -3 "$RLOCK" run "$K" sh -c 'exit 3'
  run -0 "$RLOCK" run "$K" printf '%s|' 'a b' c
  [ "$output" = 'a b|c|' ]
  run -0 bash -c 'echo hi | "$1" run "$2" cat' bash "$RLOCK" "$K"
  [ "$output" = hi ]
  is_free "$K"
}

@test "[2] after a command that was killed, missing or not executable the lock is free" {
  cli DEL "$K"
  touch plain
  mkdir dir
  run -137 "$RLOCK" run "$K" sh -c 'kill -KILL $$'
  is_free "$K"
  run -127 "$RLOCK" run "$K" no-such-command
  is_free "$K"
  run -127 "$RLOCK" run "$K" ./missing
  is_free "$K"
  run -126 "$RLOCK" run "$K" ./plain
  is_free "$K"
  run -126 "$RLOCK" run "$K" ./dir
  is_free "$K"
  run -126 "$RLOCK" run "$K" /
  is_free "$K"
}

# --- stdout ---------------------------------------------------------------

@test "[4] stdout holds the token and nothing else, after a wait with -v too" {
  cli PEXPIRE "$K" 2500
  run -0 --separate-stderr "$RLOCK" acquire -v "$K"

  [ "$output" = "$(cli GET "$K")" ]
  [[ $stderr == *"is held by"* ]]
}

@test "[4] what fails or has nothing to print writes nothing on stdout" {
  run -75 --separate-stderr "$RLOCK" acquire -v -n "$K"
  [ -z "$output" ]
  run -75 --separate-stderr "$RLOCK" acquire -v -n --json "$K"
  [ -z "$output" ]
  run -0 --separate-stderr "$RLOCK" extend -v --token t --by 5s "$K"
  [ -z "$output" ]
  run -0 --separate-stderr "$RLOCK" reacquire -v --token t --ttl 1h "$K"
  [ -z "$output" ]
  run -79 --separate-stderr "$RLOCK" release -v --token x "$K"
  [ -z "$output" ]
  run -0 --separate-stderr "$RLOCK" release -v --token t "$K"
  [ -z "$output" ]
  run -69 --separate-stderr "$RLOCK" acquire -v -u unix:///nowhere "$K"
  [ -z "$output" ]
}

@test "[4] a token file that cannot be made is 73, and the lock is not taken" {
  cli DEL "$K"
  run -73 "$RLOCK" acquire -f missing/token "$K"
  is_free "$K"
  run -73 "$RLOCK" acquire -f /proc/token "$K"
  is_free "$K"
  run -73 "$RLOCK" acquire -f . "$K"
  is_free "$K"
}
