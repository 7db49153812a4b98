# run_lease.bats - the lease of a running command: renewed, lost, run out

load ../lib/common
load ../lib/lag

setup_file() {
  start_server

  # A command and a child in its group that note in "ticks" that they live, and
  # the signals they get, until there is a file "end":
  #   tick obedient   both end when they get TERM or USR1
  #   tick stubborn   neither does
  #   tick mixed      the command does, the child does not
  #   tick alone      stubborn, without a child
  cat >"$BATS_FILE_TMPDIR/tick" <<'END'
import os, signal, sys, time

def tell(what):
    line = f"{what} {time.time_ns() // 1000000} {os.getpid()}\n"
    os.write(ticks, line.encode())

def take(signo, frame):
    tell(signal.Signals(signo).name)
    if obedient:
        os._exit(0)

ticks = os.open("ticks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
kind = sys.argv[1]
obedient = kind in ("obedient", "mixed")
signal.signal(signal.SIGTERM, take)
signal.signal(signal.SIGUSR1, take)
if kind != "alone" and os.fork() == 0:
    obedient = kind == "obedient"
tell("ready")
while not os.path.exists("end"):
    tell("tick")
    time.sleep(0.01)
END
}

setup() {
  fresh
  note_lag
}

teardown() {
  kill -CONT "$(server_pid)"
  touch end
  stop_jobs
}

# Starts a command that ticks: start_ticking KIND OPTION...
start_ticking() {
  local kind=$1 processes=2
  shift
  [ "$kind" != alone ] || processes=1
  start_job "$RLOCK" run "$@" "$K" "$PYTHON" "$BATS_FILE_TMPDIR/tick" "$kind"
  wait_until 10 'the command' told ready "$processes"
}

pids() { sed -n 's/^ready [0-9]* //p' ticks; }
told() { [ "$(grep -c "^$1 " ticks)" = "${2-1}" ]; }

# When the first of the two got SIG, and when the last of them lived.
time_of() { sed -n "s/^$1 \([0-9]*\) .*/\1/p" ticks | head -n 1; }
last_tick() { sed -n 's/^tick \([0-9]*\) .*/\1/p' ticks | sort -n | tail -n 1; }

# No process that ticked is left.
all_dead() {
  local pid
  while read -r pid; do
    is_dead "$pid" || return 1
  done < <(pids)
}

# The lock was lost HOW, and the command and its child got TERM within TTL/3
# of 1.5 s and 0.2 s, counted from the time $lost_at: stopped_because HOW
stopped_because() {
  job_ends 79
  all_dead
  told SIGTERM 2
  [ "$(<"$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: $1; the command is stopped" ]
  in_time 700 "${lost_at}000" "$(time_of SIGTERM)000"
}

# --- renewed ---------------------------------------------------------------

@test "[9] a command of five TTLs keeps its lock, and PTTL never exceeds TTL" {
  local left most=0 looks=0
  start_job "$RLOCK" run -t 1s -k 20ms "$K" sh -c ': >started; sleep 5'
  wait_until 10 'the command' [ -e started ]
  cli GET "$K" >before

  while ! is_gone "$JOB"; do
    left=$(cli PTTL "$K")
    ((left <= most)) || most=$left
    ((looks += 1))
    [ "$looks" != 20 ] || cli GET "$K" >later
  done

  job_ends 0
  [ ! -s "$JOB_ERR" ]
  cmp before later
  ((looks > 20 && most <= 1000 && most > 600))
  is_free "$K"
}

@test "a cut connection is replaced without a word" {
  start_ticking obedient -t 1500ms
  # Two of the keeper's, and the one that took the lock.
  wait_until 10 'the keeper to connect' connections 3

  cli CLIENT KILL TYPE normal
  wait_until 10 'the keeper to connect again' connections 2
  touch end

  job_ends 0
  [ "$(<"$JOB_ERR")" = '' ]
  is_free "$K"
}

connections() { [ "$(cli CLIENT LIST | grep -c ' name=rlock ')" = "$1" ]; }

@test "[27] a server that is silent for less than the lease is told of once" {
  start_ticking obedient -v -t 3s -k 100ms --timeout 100ms

  kill -STOP "$(server_pid)"
  wait_until 10 'two renewals to fail' failures 2
  kill -CONT "$(server_pid)"
  wait_until 10 'a renewal' grep -q 'renewed for 3000 ms' "$JOB_ERR"
  touch end

  job_ends 0
  [ "$(grep cannot "$JOB_ERR")" = "rlock: '$K': cannot renew: no answer in time from '$RLOCK_URL'; trying again" ]
  told SIGTERM 0
  is_free "$K"
}

failures() {
  (($(grep -c "^rlock: no answer in time from" "$JOB_ERR") >= $1))
}

@test "-q silences what is said about renewals" {
  start_ticking obedient -q -t 3s -k 100ms --timeout 100ms

  kill -STOP "$(server_pid)"
  # The first renewal is due 1 s after the start, and fails 0.1 s later.
  sleep 1.3
  kill -CONT "$(server_pid)"
  touch end

  job_ends 0
  [ ! -s "$JOB_ERR" ]
}

# --- lost ------------------------------------------------------------------

@test "[26] a deleted lock stops the command and its children" {
  start_ticking obedient -t 1500ms

  local lost_at
  lost_at=$(wall_ms)
  cli DEL "$K"

  stopped_because 'it expired, or was deleted'
  is_free "$K"
}

@test "[26] a lock that another has stops the command, and stays the other's" {
  start_ticking obedient -t 1500ms

  local lost_at
  lost_at=$(wall_ms)
  cli SET "$K" somebody PX 60000

  stopped_because 'it is held by foreign token somebody'
  [ "$(cli GET "$K")" = somebody ]
  (($(cli PTTL "$K") > 40000))
}

@test "[25] FLUSHALL stops the command, and the lock is not made anew" {
  start_ticking obedient -t 1500ms

  local lost_at
  lost_at=$(wall_ms)
  cli FLUSHALL

  stopped_because 'it expired, or was deleted'
  [ "$(cli DBSIZE)" = 0 ]
}

@test "[25] a server that comes back empty stops the command, and the lock is not made anew" {
  start_ticking obedient -t 3s

  stop_server
  start_server

  job_ends 79
  told SIGTERM 2
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: it expired, or was deleted; the command is stopped" ]
  [ "$(cli DBSIZE)" = 0 ]
}

@test "a stopped command is continued so that it can end" {
  start_ticking obedient -t 1500ms
  pids | xargs kill -STOP

  cli DEL "$K"

  job_ends 79
  told SIGTERM 2
}

@test "[26] a command that ignores TERM is killed -k later" {
  start_ticking stubborn -t 1500ms -k 300ms

  cli DEL "$K"

  job_ends 79
  all_dead
  told SIGTERM 2
  (($(last_tick) - $(time_of SIGTERM) > 200))
  in_time 500 "$(time_of SIGTERM)000" "$(last_tick)000"
}

@test "[26] a child that ignores TERM is killed although the command has ended" {
  start_ticking mixed -t 1500ms -k 300ms

  cli DEL "$K"

  job_ends 79
  all_dead
  (($(last_tick) - $(time_of SIGTERM) > 200))
  in_time 500 "$(time_of SIGTERM)000" "$(last_tick)000"
  [ "$(wc -l <"$JOB_ERR")" = 1 ]
}

@test "-s chooses the signal" {
  start_ticking obedient -t 1500ms -s USR1

  cli DEL "$K"

  job_ends 79
  told SIGUSR1 2
  told SIGTERM 0
}

@test "with --on-lost continue the command is warned of and finishes, and run exits with 79" {
  start_ticking obedient -t 1500ms --on-lost continue

  cli SET "$K" somebody
  wait_until 10 'the warning' [ -s "$JOB_ERR" ]
  touch end

  job_ends 79
  [ "$(<"$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: it is held by foreign token somebody; the command goes on without it" ]
  told SIGTERM 0
  [ "$(cli GET "$K")" = somebody ]
}

@test "[27] a lease that runs out unconfirmed ends the command before the lock can be another's" {
  start_job "$RLOCK" run -t 1500ms "$K" sh -c '
    kill -STOP "$1"; echo "$RLOCK_TOKEN" >token; exec "$2" "$3" stubborn' \
    sh "$(server_pid)" "$PYTHON" "$BATS_FILE_TMPDIR/tick"

  job_ends 79
  all_dead
  kill -CONT "$(server_pid)"
  grep -qxF "rlock: '$K' on '$RLOCK_URL' was lost: no renewal was confirmed in time; the command is stopped" "$JOB_ERR"
  # The key expires no sooner than 1500 ms after the attempt that took it.
  local begin
  begin=$(cut -d : -f 5 token)
  (($(last_tick) < begin + 1500))
  (($(last_tick) > begin + 1200))
  (($(time_of SIGTERM) >= begin + 900))
  (($(time_of SIGTERM) < begin + 1200))
}

@test "[28] run that slept through its lease touches nothing of the next holder's" {
  start_ticking obedient -t 1s

  kill -STOP "$JOB"
  wait_until 10 'the lock to expire' is_free "$K"
  cli SET "$K" somebody PX 60000
  kill -CONT "$JOB"

  job_ends 79
  all_dead
  [ "$(cli GET "$K")" = somebody ]
  (($(cli PTTL "$K") > 40000))
}

# --- run itself ------------------------------------------------------------

@test "[29] when run is killed its command dies, and the lock expires" {
  start_ticking alone -t 1500ms

  local killed_at
  killed_at=$(wall_ms)
  kill -KILL "$JOB"

  job_ends 137
  (($(cli PTTL "$K") <= 1500))
  wait_until 10 'the command to die' all_dead
  (($(last_tick) - killed_at < 1000))
  wait_until 2 'the lock to expire' is_free "$K"
}

@test "[29] without a thread for the renewals the command is stopped and the lock released" {
  # No address space has room for a stack of this many KB; but a limit like
  # that moves everything in it, and ThreadSanitizer bears only so much.
  local stack=100000000000 fixed=()
  if grep -q __tsan_init "$RLOCK"; then
    stack=1000000000
    fixed=(setarch -R)
  fi

  run -71 timeout -k 1 10 "${fixed[@]}" \
    bash -c 'ulimit -S -s "$1" && exec "${@:2}"' bash \
    "$stack" "$RLOCK" run "$K" sleep 60

  [ "$output" = "rlock: '$K': cannot start the keeper: Resource temporarily unavailable" ]
  is_free "$K"
}

@test "[30] many short runs leave no lock behind" {
  seq 300 | xargs -P 8 -I '{}' "$RLOCK" run -t 1s --renew 1ms "$K-{}" true
  seq 300 | xargs -P 8 -I '{}' "$RLOCK" run -t 1s "$K-{}" true

  [ -z "$(cli --scan --pattern "$K-*")" ]
  # A renewal that came after the release would have made it anew by now.
  sleep 0.5
  [ -z "$(cli --scan --pattern "$K-*")" ]
}

# --- what must not go on ---------------------------------------------------

# Runs a command over TCP, during which the connection that took the lock is
# closed and "$@" is said to the server.
closed_meanwhile() {
  "$RLOCK" run -u "redis://127.0.0.1:$PORT" "$K" sh -c '
    "$0" -s own CLIENT KILL TYPE normal
    "$0" -s own "$@"' "$CLI" "$@"
}

@test "a lock that was deleted after its connection was closed is not ours: 79" {
  PORT=$(free_port)
  own_server own --port "$PORT"
  run -79 --separate-stderr closed_meanwhile DEL "$K"

  # Whoever notices first, the keeper or the release.
  [[ $stderr == "rlock: '$K' on 'redis://127.0.0.1:$PORT/0' "*": it expired, or was "* ]]
}

@test "a lock that was stolen after its connection was closed is not ours: 79" {
  PORT=$(free_port)
  own_server own --port "$PORT"
  run -79 --separate-stderr closed_meanwhile SET "$K" thief

  [[ $stderr == "rlock: '$K' on 'redis://127.0.0.1:$PORT/0' "*" by foreign token thief"* ]]
  [ "$(own_cli own GET "$K")" = thief ]
}

@test "a key that became a hash is not ours: the command is stopped, 79" {
  lost_at=$(wall_ms)
  start_ticking obedient -t 1500ms

  cli EVAL 'redis.call("DEL", KEYS[1]) redis.call("HSET", KEYS[1], "field", "value")' 1 "$K"

  job_ends 79
  all_dead
  [ "$(<"$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: the key on '$RLOCK_URL' is a hash, not a lock; the command is stopped" ]
  [ "$(cli HGET "$K" field)" = value ]
}

@test "a key that is a hash by the end is not ours: 79" {
  cli PING
  run -79 --separate-stderr "$RLOCK" run "$K" \
    "$CLI" -s "$BATS_FILE_TMPDIR/s" EVAL \
    "redis.call('DEL', KEYS[1]); redis.call('HSET', KEYS[1], 'f', 'v')" 1 "$K"

  # A command that takes its time is found to have lost the lock meanwhile.
  [ "$stderr" = "rlock: '$K': the key on '$RLOCK_URL' is a hash, not a lock" ] ||
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' was lost: the key on '$RLOCK_URL' is a hash, not a lock; the command is stopped" ]
}

@test "a stderr that nobody reads does not keep the command from being stopped" {
  mkfifo pipe
  start_job "$PYTHON" -c '
import os, sys
fd = os.open("pipe", os.O_RDWR)
os.set_blocking(fd, False)
try:
    while True:
        os.write(fd, b"x" * 4096)
except BlockingIOError:
    pass
os.set_blocking(fd, True)
os.dup2(fd, 2)
os.execv(sys.argv[1], sys.argv[1:])' \
    "$RLOCK" run -t 1500ms "$K" "$PYTHON" "$BATS_FILE_TMPDIR/tick" obedient
  wait_until 10 'the command' told ready 2

  lost_at=$(wall_ms)
  cli SET "$K" thief

  job_ends 79
  all_dead
  in_time 700 "${lost_at}000" "$(time_of SIGTERM)000"
}

@test "[43] a command that may not be signalled is named, and the status is 79" {
  # What the kernel says of a command that has become another user's.
  ASAN_OPTIONS=detect_leaks=0 start_job strace -f -qq -o trace -e trace=kill \
    -e inject=kill:error=EPERM "$RLOCK" run -t 600ms "$K" \
    sh -c 'echo $$ >pid; exec sleep 60'
  wait_until 10 'the command' [ -s pid ]

  cli SET "$K" somebody

  job_ends 79
  grep -qx "rlock: '$K': cannot stop pid $(<pid): Operation not permitted" "$JOB_ERR"
  [ "$(cli GET "$K")" = somebody ]
}

@test "a command is not started when the lease has run out before it could be" {
  # rlock sleeps in the system call that widens its signals, past the lease.
  ASAN_OPTIONS=detect_leaks=0 run -69 --separate-stderr \
    strace -qq -o trace -e trace=signalfd4 \
    -e inject=signalfd4:delay_exit=900000:when=2 \
    "$RLOCK" run -t 600ms "$K" touch started

  [ "$stderr" = "rlock: '$K': the lease ran out before the command could start" ]
  [ ! -e started ]
  is_free "$K"
}
