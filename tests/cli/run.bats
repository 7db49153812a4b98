# run.bats - a lock around a command: under which name, with what in its
# environment, and which exit status comes out

load ../lib/common

teardown() {
  kill -CONT "$(server_pid)"
  stop_jobs
}

# --- the command -----------------------------------------------------------

@test "[1] run exits with the command's own status" {
  local status_wanted
  for status_wanted in 0 1 2 3 64 75 79 126 255; do
    run -"$status_wanted" "$RLOCK" run "$K" sh -c "exit $status_wanted"
    [ -z "$output" ]
  done
  is_free "$K"
}

@test "run holds the lock while the command runs and frees it afterwards" {
  run -0 "$RLOCK" run "$K" "$CLI" \
    -s "$BATS_FILE_TMPDIR/s" GET "$K"

  [[ $output == rlock1:* ]]
  is_free "$K"
}

@test "[1] arguments reach the command untouched" {
  run -0 "$RLOCK" run "$K" printf '%s|' 'a b' c '' '*' $'d\ne' -- -n --ttl=0 -h

  [ "$output" = $'a b|c||*|d\ne|--|-n|--ttl=0|-h|' ]
}

@test "[1] the command reads what run was given on stdin" {
  run -0 bash -c "echo hi | '$RLOCK' run '$K' cat"

  [ "$output" = hi ]
}

@test "bytes pass unchanged from stdin to stdout" {
  head -c 200000 /dev/urandom >in

  "$RLOCK" run "$K" cat <in >out

  cmp in out
}

@test "[4] run writes nothing on stdout, and by itself nothing on stderr" {
  run -0 --separate-stderr "$RLOCK" run "$K" true
  [ -z "$output" ]
  [ -z "$stderr" ]

  run -0 --separate-stderr "$RLOCK" run -v "$K" true
  [ -z "$output" ]
  [ -n "$stderr" ]
}

@test "the command's stderr is run's own" {
  run -4 --separate-stderr "$RLOCK" run "$K" sh -c 'echo oops >&2; exit 4'

  [ -z "$output" ]
  [ "$stderr" = oops ]
}

# --- environment -----------------------------------------------------------

@test "the command gets RLOCK_NAME, RLOCK_TOKEN and RLOCK_FENCE" {
  run -0 "$RLOCK" run "$K" sh -c 'echo "$RLOCK_NAME"; echo "$RLOCK_TOKEN"
    echo "$RLOCK_FENCE"; "$0" -s "$1" GET "$2"; "$0" -s "$1" GET "$3"' \
    "$CLI" "$BATS_FILE_TMPDIR/s" "$K" "rlock:{$K}:fence"

  [ "${lines[0]}" = "$K" ]
  [ "${lines[1]}" = "${lines[3]}" ]
  [ "${lines[2]} ${lines[1]}" = "${lines[4]}" ]
}

@test "inherited RLOCK_NAME, RLOCK_TOKEN and RLOCK_FENCE are replaced" {
  RLOCK_NAME=old RLOCK_TOKEN=stale RLOCK_FENCE=1 \
    run -0 "$RLOCK" run "$K" env

  [ "$(grep -c '^RLOCK_NAME=' <<<"$output")" = 1 ]
  [ "$(grep -c '^RLOCK_TOKEN=' <<<"$output")" = 1 ]
  [ "$(grep -c '^RLOCK_FENCE=' <<<"$output")" = 1 ]
  grep -qx "RLOCK_NAME=$K" <<<"$output"
  grep -q '^RLOCK_TOKEN=rlock1:' <<<"$output"
  grep -Eq '^RLOCK_FENCE=[0-9]{15,}$' <<<"$output"
}

@test "the token names rlock's own process and the TTL" {
  run -0 "$RLOCK" run -t 7s --owner me@here -m why "$K" \
    sh -c 'sed -n "s/^PPid:.//p" "/proc/$PPID/status"; echo "$RLOCK_TOKEN"'

  [[ ${lines[1]} == "rlock1:me@here:${lines[0]}:7000:"*":why:"* ]]
}

@test "a token that does not own the lock does not make a run nested" {
  RLOCK_NAME=$K RLOCK_TOKEN=stale run -0 "$RLOCK" run "$K" \
    sh -c 'echo "$RLOCK_TOKEN"'
  [[ $output == rlock1:* ]]

  cli SET "$K" somebody
  RLOCK_NAME=$K RLOCK_TOKEN=stale run -75 "$RLOCK" run -n "$K" touch started
  [ ! -e started ]
}

# --- the name --------------------------------------------------------------

@test "the first operand is the name, with or without -- before the command" {
  run -0 "$RLOCK" run "$K" printenv RLOCK_NAME
  [ "$output" = "$K" ]

  run -0 "$RLOCK" run "$K" -- printenv RLOCK_NAME
  [ "$output" = "$K" ]
}

@test "--name gives the name, and every operand belongs to the command" {
  run -0 "$RLOCK" run --name "$K" printenv RLOCK_NAME
  [ "$output" = "$K" ]

  run -0 "$RLOCK" run --name="$K" -- printenv RLOCK_NAME
  [ "$output" = "$K" ]

  run -0 "$RLOCK" run --name "$K" -c 'echo "$RLOCK_NAME"'
  [ "$output" = "$K" ]
}

@test "options may stand between NAME and COMMAND" {
  run -0 "$RLOCK" run "$K" -n -t 5s sh -c 'echo "$RLOCK_TOKEN"'

  [[ $output == rlock1:*:5000:* ]]
}

@test "after -- options belong to the command even right behind NAME" {
  run -127 env PATH="$PWD" "$RLOCK" run "$K" -- -n

  [ "$output" = "rlock: '$K': cannot execute '-n': No such file or directory" ]
}

@test "without a name the lock is named after the command line" {
  local hash
  hash=$("$PYTHON" - printenv RLOCK_NAME <<'END'
import os, sys
h = 0xcbf29ce484222325
for byte in b"".join(os.fsencode(a) + b"\0" for a in sys.argv[1:]):
    h = (h ^ byte) * 0x100000001b3 % 2**64
print(format(h, "016x"))
END
  )

  run -0 "$RLOCK" run -- printenv RLOCK_NAME

  [ "$output" = "run:printenv:$hash" ]
}

@test "where one argument ends and the next begins is part of the made name" {
  local a b c
  a=$("$RLOCK" run -- sh -c 'echo "$RLOCK_NAME"' ab c)
  b=$("$RLOCK" run -- sh -c 'echo "$RLOCK_NAME"' a bc)
  c=$("$RLOCK" run -- sh -c 'echo "$RLOCK_NAME"' ab c)

  [ "$a" != "$b" ]
  [ "$a" = "$c" ]
  [[ $a =~ ^run:sh:[0-9a-f]{16}$ ]]
}

@test "the made name has the command's last path component and no working directory" {
  local a b
  mkdir one two
  printf '#!/bin/sh\necho "$RLOCK_NAME"\n' >one/job.sh
  chmod +x one/job.sh
  cp -p one/job.sh two/job.sh

  a=$(cd one && "$RLOCK" run -- ./job.sh)
  b=$(cd two && "$RLOCK" run -- ./job.sh)

  [[ $a =~ ^run:job\.sh:[0-9a-f]{16}$ ]]
  [ "$a" = "$b" ]
}

@test "the command's name is cut to 64 bytes in the made name" {
  local long
  long=$(printf 'x%.0s' {1..100})
  printf '#!/bin/sh\necho "$RLOCK_NAME"\n' >"$long"
  chmod +x "$long"

  run -0 "$RLOCK" run -- "./$long"

  [[ $output =~ ^run:x{64}:[0-9a-f]{16}$ ]]
}

@test "the same command line does not run twice at once" {
  mkfifo gate
  start_job "$RLOCK" run -- sh -c ': >started; read -r _ <gate'
  wait_until 10 'the command to start' [ -e started ]

  run -75 "$RLOCK" run -n -- sh -c ': >started; read -r _ <gate'
  run -0 "$RLOCK" run -n -- sh -c 'true; : >started'

  echo >gate
  job_ends 0
}

@test "one operand alone is an error with a hint" {
  run -64 --separate-stderr "$RLOCK" run ./job.sh

  [ -z "$output" ]
  [ "$stderr" = 'rlock: no command (to name the lock after the command: rlock run -- ./job.sh)' ]
}

@test "no operand at all is an error" {
  run -64 "$RLOCK" run
  [ "$output" = "rlock: no lock and no command (try 'rlock run --help')" ]

  run -64 "$RLOCK" run --
  [ "$output" = 'rlock: no command (to name the lock after the command: rlock run -- ./job.sh)' ]

  run -64 "$RLOCK" run --name "$K"
  [ "$output" = 'rlock: no command (to name the lock after the command: rlock run -- ./job.sh)' ]
}

# --- -c --------------------------------------------------------------------

@test "-c runs a string with the shell" {
  run -3 "$RLOCK" run "$K" -c 'echo "$RLOCK_NAME" | tr k K; exit 3'
  [ "$output" = "${K/k/K}" ]

  run -3 "$RLOCK" run -c 'echo "$RLOCK_NAME"; exit 3' "$K"
  [ "$output" = "$K" ]

  run -0 "$RLOCK" run --command='echo "$RLOCK_NAME"' "$K"
  [ "$output" = "$K" ]
}

@test "-c uses \$SHELL, and /bin/sh where that is unset or empty" {
  printf '#!/bin/sh\nprintf "%%s|" "$@"\n' >shell
  chmod +x shell

  SHELL=$PWD/shell run -0 "$RLOCK" run -c 'a  b' "$K"
  [ "$output" = '-c|a  b|' ]

  SHELL='' run -0 "$RLOCK" run -c 'echo "$0"' "$K"
  [ "$output" = /bin/sh ]

  run -0 env -u SHELL "$RLOCK" run -c 'echo "$0"' "$K"
  [ "$output" = /bin/sh ]
}

@test "-c without a name locks the string, whatever \$SHELL is" {
  mkfifo gate
  SHELL=$(command -v bash) start_job "$RLOCK" run -c ': >started; read -r _ <gate'
  wait_until 10 'the command to start' [ -e started ]

  SHELL=/bin/sh run -75 "$RLOCK" run -n -c ': >started; read -r _ <gate'
  run -0 "$RLOCK" run -n -c 'true'

  echo >gate
  job_ends 0
}

@test "-c takes no operand but NAME" {
  run -64 "$RLOCK" run -c true "$K" more
  [ "$output" = 'rlock: -c takes the whole command: no operand but NAME can stand beside it' ]

  run -64 "$RLOCK" run --name "$K" -c true more
  [ "$output" = 'rlock: -c takes the whole command: no operand but NAME can stand beside it' ]
}

# --- not obtained ----------------------------------------------------------

@test "[3] while somebody else holds the lock the command is not started" {
  cli SET "$K" somebody

  run -75 "$RLOCK" run -n "$K" touch started
  [ "$output" = "rlock: '$K' is held by foreign token somebody, never expires" ]
  run -75 "$RLOCK" run -w 0 "$K" touch started
  run -75 "$RLOCK" run -w 150ms "$K" touch started
  run -75 --separate-stderr "$RLOCK" run -q -n "$K" touch started
  [ -z "$stderr" ]

  [ ! -e started ]
  [ "$(cli GET "$K")" = somebody ]
}

@test "-E replaces the status of a held lock and starts no command either" {
  cli SET "$K" somebody

  run -5 "$RLOCK" run -n -E 5 "$K" touch started
  run -255 "$RLOCK" run -n --conflict-exit-code=255 "$K" touch started
  run -0 "$RLOCK" run -n -E 0 "$K" touch started
  run -0 "$RLOCK" run -w 150ms -E 0 "$K" touch started

  [ ! -e started ]
  [ "$(cli GET "$K")" = somebody ]
}

@test "-E leaves every other status alone" {
  run -75 "$RLOCK" run -n -E 5 "$K" sh -c 'exit 75'
  run -127 "$RLOCK" run -n -E 5 "$K" ./missing
}

@test "a lock that becomes free is taken and the command started" {
  cli SET "$K" somebody PX 300

  run -6 "$RLOCK" run -w 20s "$K" sh -c 'exit 6'

  is_free "$K"
}

# --- failures to execute ---------------------------------------------------

@test "[2] a missing command gives 127" {
  run -127 --separate-stderr "$RLOCK" run "$K" ./missing

  [ "$stderr" = "rlock: '$K': cannot execute './missing': No such file or directory" ]
  is_free "$K"
}

@test "[2] a command that is not executable gives 126" {
  touch plain

  run -126 --separate-stderr "$RLOCK" run "$K" ./plain

  [ "$stderr" = "rlock: '$K': cannot execute './plain': Permission denied" ]
  is_free "$K"
}

@test "[2] a directory gives 126" {
  mkdir dir

  run -126 --separate-stderr "$RLOCK" run "$K" ./dir

  [ "$stderr" = "rlock: '$K': cannot execute './dir': Permission denied" ]
  is_free "$K"
}

@test "[2] a command killed by a signal gives 128 and the signal's number" {
  run -137 "$RLOCK" run "$K" sh -c 'kill -KILL $$'
  is_free "$K"

  run -143 "$RLOCK" run "$K" sh -c 'kill -TERM $$'
  is_free "$K"
}

# --- releasing -------------------------------------------------------------

@test "a command that releases its own lock makes run exit with 79" {
  run -79 --separate-stderr "$RLOCK" run "$K" "$RLOCK" release

  [ -z "$output" ]
  # A command that takes its time is found to have lost the lock meanwhile.
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ] ||
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' was lost: it expired, or was deleted; the command is stopped" ]
  is_free "$K"
}

@test "a lock that another has by the end makes run exit with 79" {
  run -79 --separate-stderr "$RLOCK" run "$K" \
    "$CLI" -s "$BATS_FILE_TMPDIR/s" SET "$K" somebody

  # A command that takes its time is found to have lost the lock meanwhile.
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token somebody" ] ||
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' was lost: it is held by foreign token somebody; the command is stopped" ]
  [ "$(cli GET "$K")" = somebody ]
}

@test "a connection that was cut while the command ran does not keep the lock" {
  run -5 --separate-stderr "$RLOCK" run "$K" sh -c '
    "$1" -s "$2" CLIENT KILL TYPE normal >killed; exit 5' \
    sh "$CLI" "$BATS_FILE_TMPDIR/s"

  (($(<killed) >= 1))
  is_free "$K"
}

@test "[31] a server that does not answer at the end costs a warning, not the status" {
  run -5 --separate-stderr "$RLOCK" run --timeout 200ms "$K" \
    sh -c 'kill -STOP "$0"; exit 5' "$(server_pid)"

  [[ $stderr =~ ^"rlock: '$K': cannot release: no answer in time from '$RLOCK_URL'; it frees itself within "(29|30)s$ ]]
  kill -CONT "$(server_pid)"
  [ "$(cli PTTL "$K")" -le 30000 ]
}

@test "[31] a server that is gone at the end costs a warning, not the status" {
  run -5 --separate-stderr "$RLOCK" run --timeout 200ms "$K" \
    sh -c 'kill -KILL "$0"; exit 5' "$(server_pid)"
  stop_server
  start_server

  [ "$(wc -l <<<"$stderr")" = 1 ]
  [[ $stderr =~ ^"rlock: '$K': cannot release: ".*"; it frees itself within "(29|30)s$ ]]
}

@test "[31] a server that refuses the release costs a warning, not the status" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  run -5 --separate-stderr "$RLOCK" run "$K" sh -c '
    "$0" -s "$1" REPLICAOF 127.0.0.1 1 >replies; exit 5' \
    "$CLI" "$BATS_TEST_TMPDIR/own"

  [ "$(wc -l <<<"$stderr")" = 1 ]
  [[ $stderr == "rlock: '$K': cannot release: server '$RLOCK_URL' refuses: READONLY "*"; it frees itself within "* ]]
  [[ $(own_cli own GET "$K") == rlock1:* ]]
}

@test "[31] a release that fails costs a warning and not the status, when a signal ended the command" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  run -137 --separate-stderr "$RLOCK" run --timeout 300ms "$K" sh -c '
    kill -STOP "$0"; kill -KILL $$' "$JOB"

  [ "$(wc -l <<<"$stderr")" = 1 ]
  [[ $stderr == "rlock: '$K': cannot release: "*"; it frees itself within "* ]]
}

# --- options that do not fit -----------------------------------------------

@test "run wants a TTL that ends, of 500ms or more" {
  run -64 "$RLOCK" run -u redis://127.0.0.1:1 -t none "$K" touch started
  [ "$output" = "rlock: --ttl 'none' is too short, or none: run wants 500ms or more" ]

  run -64 "$RLOCK" run -u redis://127.0.0.1:1 -t 499ms "$K" touch started
  [ "$output" = "rlock: --ttl '499ms' is too short, or none: run wants 500ms or more" ]

  [ ! -e started ]
  run -0 "$RLOCK" run -t 500ms "$K" true
}

@test "--renew is at most half of what TTL leaves before -k" {
  run -64 "$RLOCK" run --renew 13s "$K" touch started
  [ "$output" = "rlock: --renew '13s' is more than half of TTL less -k" ]
  run -64 "$RLOCK" run -t 10s -k 2s --renew 4001ms "$K" touch started
  [ "$output" = "rlock: --renew '4001ms' is more than half of TTL less -k" ]
  run -64 "$RLOCK" run --renew 0 "$K" touch started

  [ ! -e started ]
  run -0 "$RLOCK" run --renew 12.5s "$K" true
  run -0 "$RLOCK" run -t 10s -k 2s --renew 4s "$K" true
}

@test "-k counts for no more than a third of the TTL" {
  run -0 "$RLOCK" run -t 9s -k 8s --renew 3s "$K" true
  run -64 "$RLOCK" run -t 9s -k 8s --renew 3001ms "$K" true

  [ "$output" = "rlock: --renew '3001ms' is more than half of TTL less -k" ]
}

@test "options of run that make no sense are refused before the lock is taken" {
  run -64 "$RLOCK" run -s NOSUCH "$K" touch started
  [ "$output" = "rlock: --signal 'NOSUCH' is no signal" ]
  run -64 "$RLOCK" run --on-lost perhaps "$K" touch started
  [ "$output" = "rlock: --on-lost 'perhaps' is neither stop nor continue" ]
  run -64 "$RLOCK" run -E 256 "$K" touch started
  [ "$output" = "rlock: --conflict-exit-code '256' is no number from 0 to 255" ]
  run -64 "$RLOCK" run --min-hold 1h30 "$K" touch started
  [ "$output" = "rlock: --min-hold '1h30' is no duration (500ms, 1.5s, 10m, 2h, 1d)" ]

  [ ! -e started ]
}

# --- nested ----------------------------------------------------------------

@test "run inside run of the same lock executes the command in its own place" {
  run -0 "$RLOCK" run "$K" sh -c '
    echo "$$ $RLOCK_TOKEN $RLOCK_FENCE"
    exec "$1" run "$2" sh -c '\''echo "$$ $RLOCK_TOKEN $RLOCK_FENCE"'\' \
    sh "$RLOCK" "$K"

  [ "${#lines[@]}" = 2 ]
  [ "${lines[0]}" = "${lines[1]}" ]
  is_free "$K"
}

@test "the inner run of the same lock does not release it" {
  run -3 "$RLOCK" run "$K" sh -c '
    "$1" run "$2" sh -c "exit 3"
    echo "$?"
    "$3" -s "$4" GET "$2"
    echo "$RLOCK_TOKEN"
    exit 3' sh "$RLOCK" "$K" "$CLI" "$BATS_FILE_TMPDIR/s"

  [ "${lines[0]}" = 3 ]
  [ "${lines[1]}" = "${lines[2]}" ]
  is_free "$K"
}

@test "a nested run that cannot execute its command says so" {
  run -127 "$RLOCK" run "$K" "$RLOCK" run "$K" ./missing

  [ "$output" = "rlock: '$K': cannot execute './missing': No such file or directory" ]
}

@test "run inside run of another lock holds both" {
  run -4 "$RLOCK" run "$K" "$RLOCK" run "$K-b" sh -c '
    echo "$RLOCK_NAME"; "$1" -s "$2" EXISTS "$3" "$3-b"; exit 4' \
    sh "$CLI" "$BATS_FILE_TMPDIR/s" "$K"

  [ "${lines[0]}" = "$K-b" ]
  [ "${lines[1]}" = 2 ]
  is_free "$K"
  is_free "$K-b"
}

@test "the same name in another db is another lock" {
  run -0 "$RLOCK" run "$K" sh -c '
    "$1" run -n -u "$2?db=1" "$3" printenv RLOCK_TOKEN; echo "$RLOCK_TOKEN"' \
    sh "$RLOCK" "$RLOCK_URL" "$K"

  [[ ${lines[0]} == rlock1:* ]]
  [ "${lines[0]}" != "${lines[1]}" ]
}

@test "waiting for a lock of an enclosing run is 75 at once, and is told" {
  run -75 timeout -k 1 10 "$RLOCK" run "$K" \
    "$RLOCK" run "$K-b" "$RLOCK" run "$K" touch started
  [ "$output" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]

  run -75 timeout -k 1 10 "$RLOCK" run "$K" "$RLOCK" acquire "$K"
  [ "$output" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]

  [ ! -e started ]
  is_free "$K"
  is_free "$K-b"
}

# --- --min-hold ------------------------------------------------------------

@test "--min-hold keeps the lock for the rest of its time" {
  run -0 "$RLOCK" run -n --min-hold 20s "$K" sh -c 'echo "$RLOCK_TOKEN"'

  local left
  left=$(cli PTTL "$K")
  ((left > 10000 && left < 20000))
  [ "$(cli GET "$K")" = "$output" ]
  run -75 "$RLOCK" run -n --min-hold 20s "$K" touch started
  [ ! -e started ]
}

@test "--min-hold may be longer than the TTL" {
  run -0 "$RLOCK" run -n -t 2s --min-hold 1h "$K" true

  local left
  left=$(cli PTTL "$K")
  ((left > 3500000 && left < 3600000))
}

@test "--min-hold counts whatever the command's status" {
  run -3 "$RLOCK" run -n --min-hold 20s "$K" sh -c 'exit 3'
  is_held "$K"

  run -143 "$RLOCK" run -n --min-hold 20s "$K-b" sh -c 'kill -TERM $$'
  is_held "$K-b"
}

@test "--min-hold frees the lock of a command that ran longer" {
  run -0 "$RLOCK" run -n --min-hold 20ms "$K" sleep 0.1

  is_free "$K"
}

@test "--min-hold does not hold the lock of a command that was never started" {
  touch plain

  run -127 "$RLOCK" run -n --min-hold 20s "$K" ./missing
  is_free "$K"
  run -126 "$RLOCK" run -n --min-hold 20s "$K" ./plain
  is_free "$K"
  # A shell that finds no command says so in the same way.
  run -127 "$RLOCK" run -n --min-hold 20s -c ./missing "$K"
  is_free "$K"
}

@test "--min-hold touches no lock that is not ours any more" {
  run -79 "$RLOCK" run -n --min-hold 20s "$K" \
    "$CLI" -s "$BATS_FILE_TMPDIR/s" SET "$K" somebody
  [ "$(cli GET "$K")" = somebody ]
  [ "$(cli PTTL "$K")" = -1 ]

  run -79 "$RLOCK" run -n --min-hold 20s "$K-b" "$RLOCK" release
  is_free "$K-b"
}

@test "--min-hold without -n or -w is warned of" {
  run -0 --separate-stderr "$RLOCK" run --min-hold 1ms "$K" true
  [ "$stderr" = 'rlock: --min-hold without -n or -w: a host that waits runs the command after all' ]

  run -0 --separate-stderr "$RLOCK" run -w 5s --min-hold 1ms "$K-b" true
  [ -z "$stderr" ]
  run -0 --separate-stderr "$RLOCK" run -n --min-hold 1ms "$K-c" true
  [ -z "$stderr" ]
  run -0 --separate-stderr "$RLOCK" run -q --min-hold 1ms "$K-d" true
  [ -z "$stderr" ]
}

@test "a lock that is named twice is a usage error" {
  run -64 "$RLOCK" run "$K" --name "$K.b" touch started

  [ "$output" = 'rlock: the lock is named twice: by --name and by an operand' ]
  [ ! -e started ]
}
