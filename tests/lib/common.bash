# common.bash - what every bats file loads: a server of its own, waits, keys
#
# What a file does around its tests, unless it has functions of its own for it:
#
# setup_file:    start_server [OPTION...]   a redis-server or valkey-server on a
#                                           Unix socket in $BATS_FILE_TMPDIR
# setup:         fresh                      $K, a key of this test's own
# teardown:      stop_jobs
# teardown_file: stop_server
#
# The program under test is $RLOCK; $RLOCK_URL points at the file's server.

bats_require_minimum_version 1.5.0

: "${RLOCK:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build/rlock}"
: "${SERVER:=$(command -v redis-server || command -v valkey-server)}"
: "${CLI:=$(command -v redis-cli || command -v valkey-cli)}"
: "${PYTHON:=/usr/bin/python3}"
export RLOCK SERVER CLI PYTHON

# What the tests write with \u is UTF-8 wherever they run.
export LC_ALL=C.UTF-8

# A sanitizer's finding must not look like an exit status of rlock's.
export ASAN_OPTIONS=exitcode=99:${ASAN_OPTIONS-}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99
export TSAN_OPTIONS=exitcode=99:${TSAN_OPTIONS-}

# Waits until the command succeeds: wait_until SECONDS "what for" COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1 + 1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "waited in vain: $what" >&2
      return 1
    fi
    sleep 0.02
  done
}

# A client of the file's server.
cli() {
  "$CLI" -s "$BATS_FILE_TMPDIR/s" "$@"
}

# Starts a server at $BATS_FILE_TMPDIR/s; further options are the server's.
# shellcheck disable=SC2120 # some files have options
start_server() {
  # Closing 3 keeps bats from waiting for the server.
  "$SERVER" --port 0 --unixsocket "$BATS_FILE_TMPDIR/s" --save '' \
    --appendonly no --dir "$BATS_FILE_TMPDIR" --logfile server.log \
    --enable-debug-command yes "$@" >/dev/null 2>&1 3>&- &
  echo $! >"$BATS_FILE_TMPDIR/server.pid"
  wait_until 10 'the server to start' [ -S "$BATS_FILE_TMPDIR/s" ]
  # A password given to the server makes PING fail, but it does answer.
  wait_until 10 'the server to answer' answers
  unset "${!RLOCK_@}" REDISCLI_AUTH
  export RLOCK SERVER
  export RLOCK_URL="unix://$BATS_FILE_TMPDIR/s"
}

answers() {
  [[ $(cli PING 2>&1) =~ PONG|NOAUTH ]]
}

server_pid() {
  cat "$BATS_FILE_TMPDIR/server.pid"
}

stop_server() {
  local pid
  pid=$(server_pid)
  kill -CONT "$pid" 2>/dev/null || true
  kill -KILL "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
}

# shellcheck disable=SC2034 # the tests use K
fresh() {
  K=k$BATS_TEST_NUMBER
  JOBS=()
  cd "$BATS_TEST_TMPDIR" || return
}

# Starts a command in the background and remembers it: start_job COMMAND...
# Its pid is $JOB, its stdout and stderr go to $JOB_OUT and $JOB_ERR.
start_job() {
  JOB_OUT=$BATS_TEST_TMPDIR/job${#JOBS[@]}.out
  JOB_ERR=$BATS_TEST_TMPDIR/job${#JOBS[@]}.err
  "$@" >"$JOB_OUT" 2>"$JOB_ERR" 3>&- &
  JOB=$!
  JOBS+=("$JOB")
}

stop_jobs() {
  local pid
  for pid in "${JOBS[@]}"; do
    kill -CONT "$pid" 2>/dev/null || true
    kill -KILL "$pid" 2>/dev/null || true
  done
}

# True when nobody holds the lock, and when somebody does.
is_free() { [ "$(cli EXISTS "$1")" = 0 ]; }
is_held() { [ "$(cli EXISTS "$1")" = 1 ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }

# Has the process ended, whether its parent has waited for it or not?
is_dead() { ! grep -s '^State:' "/proc/$1/status" | grep -qv Z; }

# The fence that the server keeps for a lock, $K if none is named.
fence() { cli GET "rlock:{${1-$K}}:fence" | cut -d ' ' -f 1; }

# $K has between LEAST and MOST ms left: has_left LEAST MOST.
has_left() {
  local left
  left=$(cli PTTL "$K")
  ((left >= $1 && left <= $2)) || {
    echo "$left ms are left" >&2
    return 1
  }
}

# Milliseconds on a clock that only goes forward.
now_ms() {
  local up
  read -r up _ </proc/uptime
  echo $((10#${up/./} * 10))
}

# Milliseconds since 1970.
wall_ms() { date +%s%3N; }

# So many bytes of TEXT, again and again: bytes COUNT TEXT.
bytes() { head -c "$1" < <(yes "$2" | tr -d '\n'); }

# The value of a member of the JSON object in $1, as Python prints it.
json() {
  "$PYTHON" -c \
    'import json,sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"
}

# A server that belongs to one test: own_server NAME [OPTION...].  Its socket is
# $BATS_TEST_TMPDIR/NAME, its pid $JOB; stop_jobs ends it.  own_cli NAME asks it.
own_server() {
  local socket=$BATS_TEST_TMPDIR/$1
  shift
  "$SERVER" --port 0 --unixsocket "$socket" --save '' --appendonly no \
    --dir "$BATS_TEST_TMPDIR" "$@" >"$socket.log" 2>&1 3>&- &
  JOB=$!
  JOBS+=("$JOB")
  # The shell need not report how it was ended.
  disown "$JOB"
  wait_until 10 'the server to answer' answers_at "$socket"
}

answers_at() {
  [[ $(own_cli "${1##*/}" PING 2>&1) =~ PONG|NOAUTH ]]
}

own_cli() {
  local socket=$BATS_TEST_TMPDIR/$1
  shift
  # The last of two options -s counts.
  cli -s "$socket" "$@"
}

# Waits for the job started last and wants its exit status: job_ends STATUS.
job_ends() {
  local status=0
  wait "$JOB" || status=$?
  [ "$status" = "$1" ] || {
    echo "the job ended with $status instead of $1" >&2
    return 1
  }
}

# Is a client of rlock's connected to the file's server?
waits_at_server() { cli CLIENT LIST | grep -q 'name=rlock '; }

# A TCP port that nobody listens on.
free_port() {
  "$PYTHON" -c '
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Runs a command on a terminal of its own, types TEXT, and passes on what the
# terminal showed and the exit status: on_terminal TEXT COMMAND...
on_terminal() {
  "$PYTHON" -c '
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
os.write(fd, sys.argv[1].encode())
shown = b""
while True:
    try:
        some = os.read(fd, 4096)
    except OSError:
        break
    if not some:
        break
    shown += some
status = os.waitpid(pid, 0)[1]
sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status))' "$@"
}

# Starts a proxy to the file's server, or to the one at SOCKET, that can spoil
# what passes: start_proxy [SOCKET].  $PROXY_URL is the way through it, and
# `proxy COMMAND...` tells it what to do (proxy.py has the commands); stop_jobs
# ends it.
start_proxy() {
  local at=$BATS_TEST_TMPDIR/proxy
  mkfifo "$at.control" "$at.answer"
  start_between proxy "${1-$BATS_FILE_TMPDIR/s}" "$at.control" "$at.answer"
  # shellcheck disable=SC2034 # the tests use it
  PROXY_URL=unix://$at
}

# Starts lib/NAME.py, which listens at $BATS_TEST_TMPDIR/NAME: start_between NAME
# SERVER ARG...
start_between() {
  local at=$BATS_TEST_TMPDIR/$1
  "$PYTHON" -B "$BATS_TEST_DIRNAME/../lib/$1.py" "$at" "${@:2}" 3>&- &
  JOBS+=("$!")
  # The shell need not report how it was ended.
  disown "$!"
  wait_until 10 "the $1 to listen" [ -S "$at" ]
}

# Prints what the proxy answers, unless it is "ok".
proxy() {
  local answer
  # Opened for both, a FIFO keeps nobody waiting for the other side.
  echo "$*" 1<>"$BATS_TEST_TMPDIR/proxy.control"
  read -r -t 10 answer 0<>"$BATS_TEST_TMPDIR/proxy.answer" || {
    echo 'the proxy does not answer' >&2
    return 1
  }
  case $answer in
  ok) ;;
  error*)
    echo "proxy: $answer" >&2
    return 1
    ;;
  *) echo "$answer" ;;
  esac
}

# shellcheck disable=SC2119 # there are none
setup_file() { start_server; }
setup() { fresh; }
teardown() { stop_jobs; }
teardown_file() { stop_server; }
