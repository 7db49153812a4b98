# wait.bats - waiting for a lock that somebody else holds

load ../lib/common
load ../lib/lag
load ../lib/terminal

setup_file() {
  # waits_at_server looks at all clients, and times are measured.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
}
setup() {
  fresh
  note_lag
}

# Starts `rlock acquire OPTION... $K` in the background; it waits when this
# returns.
start_waiter() {
  start_job "$RLOCK" acquire "$@" "$K"
  wait_until 5 'rlock to wait' waits_at_server
}

# --- how long -------------------------------------------------------------

@test "[3] -n makes one attempt: 75 at once, naming the holder" {
  "$RLOCK" acquire --owner alice@web3 -m 'v1.2' -t 30s "$K"
  pid=$(cli GET "$K" | cut -d: -f3)
  begin=$(now_us)
  run -75 --separate-stderr "$RLOCK" acquire -n "$K"

  passed 0 600 "$begin"
  [ -z "$output" ]
  [[ $stderr =~ ^"rlock: '$K' is held by alice@web3 (pid $pid) for "[0-9]+(ms|s)", expires in "(29|30)"s: \"v1.2\""$ ]]
}

@test "-n takes a lock that is free" {
  run -0 "$RLOCK" acquire -n "$K"
  is_held "$K"
}

@test "[3] -w 0 is -n" {
  cli SET "$K" other
  begin=$(now_us)
  run -75 "$RLOCK" acquire -w 0 "$K"

  passed 0 600 "$begin"
  [ "$output" = "rlock: '$K' is held by foreign token other, never expires" ]
}

@test "[12] -w 0.35s gives up after 0.35 s" {
  cli SET "$K" other
  begin=$(now_us)
  run -75 "$RLOCK" acquire -w 0.35s "$K"

  passed 340 700 "$begin"
  [ "$output" = "rlock: '$K' is held by foreign token other, never expires" ]
}

@test "[12] a lock that is free just before the wait ends is taken" {
  cli SET "$K" other PX 380
  run -0 --separate-stderr "$RLOCK" acquire -w 400ms "$K"

  [ "$output" = "$(cli GET "$K")" ]
}

@test "of -n and -w the last one counts" {
  cli SET "$K" other
  begin=$(now_us)
  run -75 "$RLOCK" acquire -n -w 0.3s "$K"
  passed 290 800 "$begin"

  begin=$(now_us)
  run -75 "$RLOCK" acquire -w 30s -n "$K"
  passed 0 600 "$begin"
}

@test "-E N replaces 75" {
  cli SET "$K" other

  run -9 "$RLOCK" acquire -n -E 9 "$K"
  run -0 "$RLOCK" acquire -n -E 0 "$K"
  run -255 "$RLOCK" acquire -n --conflict-exit-code 255 "$K"
  run -7 "$RLOCK" acquire -w 300ms -E 7 "$K"
}

@test "-E does not replace other failures" {
  run -69 "$RLOCK" acquire -n -E 9 -u unix:///nowhere "$K"
}

# --- what ends it ---------------------------------------------------------

# obtains_after COMMAND...: a waiter has the lock shortly after the command.
obtains_after() {
  local begin
  begin=$(now_us)
  "$@"
  job_ends 0
  passed 0 700 "$begin"
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "a waiter has the lock when rlock releases it" {
  "$RLOCK" acquire --token t "$K"
  start_waiter -w forever

  obtains_after "$RLOCK" release --token t "$K"
}

@test "a waiter waits for ever when nothing else is said" {
  cli SET "$K" other
  start_waiter

  obtains_after cli DEL "$K"
}

@test "[12] a waiter has the lock when its key is deleted" {
  cli SET "$K" other
  start_waiter -w 10s

  obtains_after cli DEL "$K"
}

@test "[12] a waiter has the lock when its key is renamed" {
  cli SET "$K" other
  start_waiter -w 10s

  obtains_after cli RENAME "$K" "$K.old"
}

@test "[12] a waiter has the lock when its key was overwritten and then deleted" {
  cli SET "$K" other
  start_waiter -w 10s
  cli SET "$K" another

  obtains_after cli DEL "$K"
}

@test "[12] a waiter has the lock when it expires" {
  begin=$(now_us)
  cli SET "$K" other PX 500
  "$RLOCK" acquire -w forever "$K" >token

  passed 480 1000 "$begin"
  cli GET "$K" | cmp - token
}

@test "a waiter has the lock when its holder's TTL was cut short" {
  cli SET "$K" other PX 600000
  start_waiter -w 10s

  obtains_after cli PEXPIRE "$K" 50
}

@test "a waiter goes on waiting when the holder renews" {
  cli SET "$K" other PX 1500
  start_waiter -w 2s
  cli PEXPIRE "$K" 60000

  job_ends 75
}

@test "two waiters never have the lock at once" {
  "$RLOCK" acquire --token t "$K"
  start_waiter -w 2s
  one=$JOB one_out=$JOB_OUT
  start_job "$RLOCK" acquire -w 2s "$K"
  two=$JOB two_out=$JOB_OUT
  "$RLOCK" release --token t "$K"

  one_status=0 two_status=0
  wait "$one" || one_status=$?
  wait "$two" || two_status=$?
  [ "$((one_status + two_status))" = 75 ]
  [ "$(cat "$one_out" "$two_out")" = "$(cli GET "$K")" ]
}

@test "[44] SINCE is the attempt that took the lock, not the start of the wait" {
  cli SET "$K" other PX 1500
  token=$("$RLOCK" acquire -q "$K")

  since=$(cut -d: -f5 <<<"$token")
  passed 0 500 "${since}000"
  run -75 "$RLOCK" acquire -n "$K"
  [[ $output =~ \ for\ (0s|[0-9]{1,3}ms),\  ]]
}

# --- what is said ---------------------------------------------------------

@test "a waiter names the holder once, after a second, and says nothing more when it has the lock" {
  "$RLOCK" acquire --token t --owner bob "$K"
  begin=$(now_us)
  start_waiter
  wait_until 5 'a word of the waiter' [ -s "$JOB_ERR" ]
  passed 950 1800 "$begin"
  # What follows the line is seen by the next attempts.
  "$RLOCK" extend --token t --to 5m "$K"
  run -75 "$RLOCK" acquire -n -w 300ms "$K"
  "$RLOCK" release --token t "$K"
  job_ends 0

  [ "$(wc -l <"$JOB_ERR")" = 1 ]
  [[ $(<"$JOB_ERR") == "rlock: 1st in line: '$K' is held by foreign token t, expires in 9m"*s ]]
}

@test "a wait of less than a second is silent until it ends" {
  cli SET "$K" other
  run -75 --separate-stderr "$RLOCK" acquire -w 200ms "$K"

  [ -z "$output" ]
  [ "${#stderr_lines[@]}" = 1 ]
}

@test "-q silences the line of a wait and the one at its end" {
  cli SET "$K" other
  run -75 --separate-stderr "$RLOCK" acquire -q -w 1.2s "$K"

  [ -z "$output" ]
  [ -z "$stderr" ]
}

@test "-q does not silence other failures" {
  run -69 "$RLOCK" acquire -q -u unix:///nowhere "$K"

  [ "$output" = "rlock: '$K': cannot connect to 'unix:///nowhere': No such file or directory" ]
}

# --- signals --------------------------------------------------------------

# A waiting rlock dies of SIGNAL, and leaves nothing behind: dies_of SIGNAL.
dies_of() {
  cli SET "$K" other
  run -0 /usr/bin/python3 - "$1" "$RLOCK" acquire "$K" <<'EOF'
import os, signal, subprocess, sys, time
number = getattr(signal, "SIG" + sys.argv[1])
# Whoever runs the tests may ignore INT and QUIT.
job = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
url = os.environ["RLOCK_URL"]
clients = [os.environ["CLI"], "-s", url[len("unix://"):], "CLIENT", "LIST"]
limit = time.monotonic() + 5
try:
    while b"name=rlock " not in subprocess.check_output(clients):
        assert time.monotonic() < limit, "rlock does not wait"
    begin = time.time()
    job.send_signal(number)
    out, err = job.communicate(timeout=5)
    end = time.time()
finally:
    job.kill()  # it would wait for ever, and keep other tests waiting
assert job.returncode == -number, job.returncode
print(*(round(t * 1e6) for t in (begin, end)))
assert out == b"", out
assert err == b"", err
EOF
  # shellcheck disable=SC2086 # begin and end
  in_time 100 $output
  [ "$(cli GET "$K")" = other ]
  cli DEL "$K"
  [ "$(cli EXISTS "$K" "rlock:{$K}:fence")" = 0 ]
  ! waits_at_server || return 1
}

@test "[32] INT ends a wait at once, with a death by INT" { dies_of INT; }
@test "[32] TERM ends a wait at once, with a death by TERM" { dies_of TERM; }
@test "[32] HUP ends a wait at once, with a death by HUP" { dies_of HUP; }
@test "[32] QUIT ends a wait at once, with a death by QUIT" { dies_of QUIT; }
@test "USR1 ends a wait at once, with a death by USR1" { dies_of USR1; }

@test "[15] [32] to a shell a death by TERM is 143" {
  cli SET "$K" other
  start_waiter
  kill -TERM "$JOB"

  job_ends 143
  [ ! -s "$JOB_ERR" ]
}

@test "[5] with --export a signal still leaves a failure for eval" {
  cli SET "$K" other
  start_waiter --export
  kill -TERM "$JOB"

  job_ends 143
  [ "$(<"$JOB_OUT")" = '(exit 143)' ]
}

@test "a loop in a shell ends when Ctrl-C ends a wait in it" {
  cli SET "$K" other
  at_terminal bash -c '
    for i in 1 2 3; do "$RLOCK" acquire -v "$1"; echo "next $i"; done' bash "$K" <<'END'
    expect connected
    key C
    ended -2
    times 0 next
END
}

@test "TERM that was ignored at the start does not end a wait" {
  cli SET "$K" other
  start_job sh -c 'trap "" TERM; exec "$RLOCK" acquire "$1"' sh "$K"
  wait_until 5 'rlock to wait' waits_at_server
  kill -TERM "$JOB"
  cli DEL "$K"

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "a waiter that was killed leaves nothing on the server" {
  cli SET "$K" other
  start_waiter
  kill -KILL "$JOB"
  job_ends 137
  wait_until 5 'the connection to end' eval '! waits_at_server'

  cli DEL "$K"
  [ "$(cli EXISTS "$K" "rlock:{$K}:fence")" = 0 ]
}

@test "[17] a waiter that was stopped for longer than its limit gives up when continued" {
  cli SET "$K" other
  start_waiter -w 1s
  kill -STOP "$JOB"
  # The limit passes; it cannot be waited for otherwise.
  sleep 1.2
  begin=$(now_us)
  kill -CONT "$JOB"

  job_ends 75
  passed 0 600 "$begin"
}

@test "[17] a waiter that was stopped for longer than its limit takes the lock if it is free" {
  cli SET "$K" other
  start_waiter -w 1s
  kill -STOP "$JOB"
  cli DEL "$K"
  sleep 1.2
  kill -CONT "$JOB"

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[17] a run that was stopped for longer than its limit starts nothing when continued" {
  cli SET "$K" other
  start_job "$RLOCK" run -q -w 1500ms "$K" touch started
  wait_until 5 'run to be in line' is_held "rlock:{$K}:queue"
  kill -STOP "$JOB"
  # The limit passes; it cannot be waited for otherwise.
  sleep 1.7
  begin=$(now_us)
  kill -CONT "$JOB"

  job_ends 75
  passed 0 600 "$begin"
  [ ! -e started ]
}

@test "[17] a run that was stopped for longer than its limit runs its command if the lock is free" {
  cli SET "$K" other
  start_job "$RLOCK" run -q -w 1500ms "$K" touch started
  wait_until 5 'run to be in line' is_held "rlock:{$K}:queue"
  kill -STOP "$JOB"
  cli DEL "$K"
  sleep 1.7
  kill -CONT "$JOB"

  job_ends 0
  [ -e started ]
  is_free "$K"
}

@test "a stderr that nobody reads does not keep a waiter from being ended" {
  cli SET "$K" other
  mkfifo stderr
  exec 7<>stderr
  # More than a pipe takes: who writes to it now is stuck.
  timeout 1 dd if=/dev/zero of=stderr bs=4096 2>/dev/null 3>&- || true
  "$RLOCK" acquire "$K" 2>stderr 3>&- 7>&- &
  JOB=$!
  JOBS+=("$JOB")
  wait_until 5 'rlock to wait' waits_at_server
  # The word that it waits is due, and nothing tells that it could not be said.
  sleep 1.2
  begin=$(now_us)
  kill -TERM "$JOB"

  job_ends 143
  exec 7>&-
  passed 0 600 "$begin"
}

# --- one's own lock -------------------------------------------------------

@test "waiting for the lock of the enclosing run is 75 at once" {
  begin=$(now_us)
  run -75 "$RLOCK" run "$K" "$RLOCK" acquire "$K"

  passed 0 500 "$begin"
  [ "$output" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]
}

@test "waiting for the lock of a run further out is 75 at once" {
  begin=$(now_us)
  run -75 "$RLOCK" run "$K" sh -c '
    "$RLOCK" run "$1.b" "$RLOCK" run "$1.c" "$RLOCK" acquire -w 30s "$1"
    exit $?' sh "$K"

  passed 0 500 "$begin"
  [ "$output" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]
}

@test "waiting for a lock that this shell exported is 75 at once" {
  run -75 --separate-stderr sh -c '
    eval "$("$RLOCK" acquire --export "$1")"
    "$RLOCK" acquire "$1"' sh "$K"

  [ "$stderr" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]
}

@test "-E replaces the 75 of the enclosing lock too" {
  run -9 "$RLOCK" run "$K" "$RLOCK" acquire -E 9 "$K"
}

@test "a lock that somebody else holds is waited for inside a run" {
  cli SET "$K.b" other PX 200
  run -0 --separate-stderr "$RLOCK" run "$K" "$RLOCK" acquire "$K.b"

  [ "$output" = "$(cli GET "$K.b")" ]
}

# --- inside a run -----------------------------------------------------------

@test "a lock that encloses the waiter is seen although a caller removed the variable" {
  begin=$(now_us)
  run -75 "$RLOCK" run "$K" \
    sh -c 'env -u RLOCK_TOKEN "$RLOCK" acquire -w 20s "$1"; exit $?' sh "$K"

  [ "$output" = "rlock: '$K' is held by a command that this one is part of: waiting for it would never end" ]
  passed 0 5000 "$begin"
}

@test "a server that stalls is 69 never later than -w inside a run either" {
  own_server own
  server=$JOB
  start_job "$RLOCK" run -u "unix://$BATS_TEST_TMPDIR/own" "$K" sh -c ':>started; sleep 60'
  wait_until 5 'the command' [ -e started ]
  token=$(own_cli own GET "$K")
  kill -STOP "$server"

  begin=$(now_us)
  RLOCK_NAME=$K RLOCK_TOKEN=$token run -69 "$RLOCK" run \
    -u "unix://$BATS_TEST_TMPDIR/own" -w 300ms "$K" touch no

  passed 290 1500 "$begin"
  [ ! -e no ]
}
