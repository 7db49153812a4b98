# shells.bats - a script that did not get its lock does not go on, in any shell

load ../lib/common

setup() {
  fresh
  cli SET "$K.held" other
}

# What makes an acquisition fail, and its status: a held lock, a server that is
# away, wrong usage.
FAILURES=('75 -n' '69 -u unix:///nowhere' '64 --ttl never' '64 -w -5'
  '64 --no-such-option' '77 -u unix://:wrong@SOCKET')

# No script that takes a lock so goes on without it: stops SCRIPT SHELL...
# $@ in SCRIPT are the options and the name.
stops() {
  local script=$1 failure status words
  shift
  for failure in "${FAILURES[@]}"; do
    failure=${failure/SOCKET/"$BATS_FILE_TMPDIR/s"}
    read -r status words <<<"$failure"
    # shellcheck disable=SC2086 # options
    run -"$status" --separate-stderr "$@" "$script"'
      echo went on' sh $words "$K.held"
    [ -z "$output" ]
    [[ $stderr == rlock:* ]]
  done
}

# The same script goes on with it: goes_on SCRIPT SHELL...
goes_on() {
  local script=$1
  shift
  run -0 --separate-stderr "$@" "$script"'
    echo went on' sh -t 1m "$K"
  [ "$output" = 'went on' ]
  [ -z "$stderr" ]
  cli DEL "$K"
}

TOKEN='TOKEN=$("$RLOCK" acquire "$@") || exit'
BARE_TOKEN='TOKEN=$("$RLOCK" acquire "$@")'
EVAL='eval "$("$RLOCK" acquire --export "$@")"'
EVAL_OR_EXIT='eval "$("$RLOCK" acquire --export "$@")" || exit'
ENV='env=$("$RLOCK" acquire --export "$@") || exit; eval "$env"'

# in_shell SHELL...: all of these are safe there.
in_shell() {
  local script
  for script in "$TOKEN" "$EVAL_OR_EXIT" "$ENV"; do
    stops "$script" "$@" -c
    stops "$script" "$@" -euc
    goes_on "$script" "$@" -euc
  done
  for script in "$BARE_TOKEN" "$EVAL"; do
    stops "$script" "$@" -euc
    goes_on "$script" "$@" -euc
  done
}

@test "[5] a dash script without its lock does not go on" { in_shell dash; }
@test "[5] a bash script without its lock does not go on" { in_shell bash; }
@test "[5] a script of bash as sh without its lock does not go on" { in_shell bash --posix; }
@test "[5] a busybox sh script without its lock does not go on" { in_shell busybox sh; }

@test "[5] what an acquisition without a lock exports is a failure of its own status" {
  local failure status words
  for failure in "${FAILURES[@]}"; do
    failure=${failure/SOCKET/"$BATS_FILE_TMPDIR/s"}
    read -r status words <<<"$failure"
    # shellcheck disable=SC2086 # options
    run -"$status" --separate-stderr "$RLOCK" acquire --export $words "$K.held"
    [ "$output" = "(exit $status)" ]
  done
}
