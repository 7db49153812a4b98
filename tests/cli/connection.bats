# connection.bats - the way to a server, and what may stand in it

load ../lib/common
load ../lib/lag

setup_file() {
  # Some tests look at all clients, others measure times.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  PORT=$(free_port)
  export PORT
  start_server --port "$PORT" --bind 127.0.0.1 -::1
  cli ACL SETUSER alice on '>secret' '~*' '&*' +@all
}
setup() {
  fresh
  note_lag
}
teardown() {
  chmod 777 "$BATS_FILE_TMPDIR/s"
  stop_jobs
}

# at URL: rlock goes there, and the file's server has the lock.
at() {
  run -0 --separate-stderr "$RLOCK" acquire -u "$1" "$K"
  [ "$output" = "$(cli GET "$K")" ]
  [ -z "$stderr" ]
  run -0 "$RLOCK" status --json -u "$1" "$K"
  [ "$(json "$output" server)" = "$2" ]
  run -0 "$RLOCK" release -u "$1" --token "$(cli GET "$K")" "$K"
  is_free "$K"
}

# A server that wants a password, and has no other test's keys.
own_server_with_password() {
  own_server own --requirepass secret
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
}

own_is_empty() {
  ! REDISCLI_AUTH=secret own_cli own INFO keyspace 2>/dev/null | grep ^db
}

# --- addresses ------------------------------------------------------------

@test "redis:// with an IPv4 address" {
  at "redis://127.0.0.1:$PORT" "redis://127.0.0.1:$PORT/0"
}

@test "redis:// with an IPv6 address in brackets" {
  at "redis://[::1]:$PORT/0" "redis://[::1]:$PORT/0"
}

@test "redis:// with a host's name" {
  at "redis://localhost:$PORT/" "redis://localhost:$PORT/0"
}

@test "unix:// with a socket's path" {
  at "unix://$BATS_FILE_TMPDIR/s" "unix://$BATS_FILE_TMPDIR/s"
}

@test "unix:// with a path that is percent-encoded" {
  ln -s "$BATS_FILE_TMPDIR/s" "$BATS_TEST_TMPDIR/a b%c"
  at "unix://$BATS_TEST_TMPDIR/a%20b%25c" "unix://$BATS_TEST_TMPDIR/a b%c"
}

# --- db -------------------------------------------------------------------

# in_db_3 URL: lock and fence are there, and nowhere else.
in_db_3() {
  run -0 "$RLOCK" acquire -u "$1" -t 60s --token t "$K"
  [ "$(cli -n 3 GET "$K")" = t ]
  [ "$(cli -n 3 EXISTS "rlock:{$K}:fence")" = 1 ]
  [ "$(cli EXISTS "$K" "rlock:{$K}:fence")" = 0 ]
  run -0 "$RLOCK" extend -u "$1" --to 5m --token t "$K"
  (($(cli -n 3 PTTL "$K") > 200000))
  run -0 "$RLOCK" reacquire -u "$1" --ttl 60s --token t "$K"
  (($(cli -n 3 PTTL "$K") <= 60000))
  run -0 "$RLOCK" status -u "$1" --json "$K"
  [ "$(json "$output" server)" = "$2" ]
  run -0 "$RLOCK" status -u "$1" --json
  [ "$(json "$output" name)" = "$K" ]
  run -0 "$RLOCK" release -u "$1" --token t "$K"
  [ "$(cli -n 3 EXISTS "$K")" = 0 ]
}

@test "?db=3 on a socket is db 3, for every command" {
  in_db_3 "unix://$BATS_FILE_TMPDIR/s?db=3" "unix://$BATS_FILE_TMPDIR/s?db=3"
}

@test "/3 on a host is db 3, for every command" {
  in_db_3 "redis://127.0.0.1:$PORT/3" "redis://127.0.0.1:$PORT/3"
}

@test "the same name in another db is another lock" {
  "$RLOCK" acquire -u "$RLOCK_URL?db=4" "$K"

  run -0 "$RLOCK" acquire -n -u "$RLOCK_URL?db=5" "$K"
  run -75 "$RLOCK" acquire -n -u "$RLOCK_URL?db=4" "$K"
}

@test "[22] a db that the server does not have is 64 and leaves no key in any db" {
  own_server own
  url="unix://$BATS_TEST_TMPDIR/own?db=99"
  for command in acquire 'release --token t' 'extend --to 5s --token t' status \
    'reacquire --ttl 5s --retake --token t'; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr "$RLOCK" $command -u "$url" "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': server '$url' refuses: ERR DB index is out of range (the server has no such db)" ]
  done

  own_is_empty
}

# --- logging in -----------------------------------------------------------

@test "user and password of the URL" {
  at "redis://alice:secret@127.0.0.1:$PORT/0" "redis://127.0.0.1:$PORT/0"
}

@test "user and password of the URL of a socket" {
  at "unix://alice:secret@$BATS_FILE_TMPDIR/s" "unix://$BATS_FILE_TMPDIR/s"
}

@test "the password of the URL alone is the default user's" {
  own_server_with_password
  run -0 "$RLOCK" acquire -u "unix://:secret@$BATS_TEST_TMPDIR/own" "$K"
}

@test "user and password may be percent-encoded" {
  cli ACL SETUSER 'al:i@ce' on '>p@ss:w/rd%?#é' '~*' '&*' +@all
  at "redis://al%3ai%40ce:p%40ss%3Aw%2Frd%25%3F%23%C3%A9@127.0.0.1:$PORT/0" \
    "redis://127.0.0.1:$PORT/0"
}

@test "[22] a wrong password is 77 and leaves no key" {
  run -77 --separate-stderr "$RLOCK" acquire \
    -u "unix://alice:guess@$BATS_FILE_TMPDIR/s" "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': server '$RLOCK_URL' refuses: WRONGPASS invalid username-password pair or user is disabled. (check user and password)" ]
  [ "$(cli EXISTS "$K" "rlock:{$K}:fence")" = 0 ]
}

@test "[22] a wrong password is 77 for every command" {
  "$RLOCK" acquire --token t "$K"
  for command in 'release --token t' 'extend --to 5s --token t' status \
    'reacquire --ttl 5s --token t' 'release --force --yes'; do
    # shellcheck disable=SC2086 # a command and its options
    run -77 "$RLOCK" $command -u "unix://alice:guess@$BATS_FILE_TMPDIR/s" "$K"
    [[ $output == "rlock: '$K': server '$RLOCK_URL' refuses: WRONGPASS "* ]]
  done
}

@test "[22] a wrong password is 77 on a server that wants one" {
  own_server_with_password
  run -77 "$RLOCK" acquire -u "unix://:guess@$BATS_TEST_TMPDIR/own" "$K"

  [[ $output == "rlock: '$K': server '$RLOCK_URL' refuses: WRONGPASS "*"(check user and password)" ]]
  own_is_empty
}

@test "[22] a password on a server that wants none is 77 and leaves no key in any db" {
  own_server own
  for db in 0 3; do
    url="unix://$BATS_TEST_TMPDIR/own?db=$db"
    run -77 --separate-stderr "$RLOCK" acquire \
      -u "unix://:secret@$BATS_TEST_TMPDIR/own?db=$db" "$K"

    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': server '${url%\?db=0}' refuses: ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct? (leave the password out)" ]
    [ "$(own_cli own -n "$db" EXISTS "$K")" = 0 ]
    own_is_empty
  done
}

@test "[22] no password on a server that wants one is 77" {
  own_server_with_password
  for command in acquire 'release --token t' 'extend --to 5s --token t' status; do
    # shellcheck disable=SC2086 # a command and its options
    run -77 --separate-stderr "$RLOCK" $command "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': server '$RLOCK_URL' refuses: NOAUTH Authentication required. (give a password)" ]
  done
  own_is_empty
}

@test "[22] a refused login is not waited out" {
  begin=$(now_us)
  run -77 "$RLOCK" acquire -w 10s \
    -u "unix://alice:guess@$BATS_FILE_TMPDIR/s" "$K"

  passed 0 1000 "$begin"
}

# --- where the password comes from ----------------------------------------

@test "--password-file gives the password, its first line" {
  own_server_with_password
  (umask 077 && printf 'secret\nnot this\n' >password)

  run -0 "$RLOCK" acquire --password-file password "$K"
}

@test "--password-file without a newline at its end will do" {
  own_server_with_password
  (umask 077 && printf secret >password)

  run -0 "$RLOCK" acquire --password-file password "$K"
}

@test "--password-file goes with the user of the URL" {
  (umask 077 && echo secret >password)
  run -0 "$RLOCK" acquire --password-file password \
    -u "unix://alice@$BATS_FILE_TMPDIR/s" "$K"
}

@test "a password file that others can read is 78, and no command reaches a server" {
  echo secret >password
  chmod 644 password
  run -78 --separate-stderr "$RLOCK" acquire -u unix:///nowhere \
    --password-file password "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: password file 'password': others can read it (chmod o-r)" ]
}

@test "a password file that does not exist is 78" {
  run -78 "$RLOCK" acquire --password-file nosuch "$K"

  [ "$output" = "rlock: password file 'nosuch': No such file or directory" ]
}

@test "a password file that is empty is 78" {
  (umask 077 && : >password)
  run -78 "$RLOCK" acquire --password-file password "$K"

  [ "$output" = "rlock: password file 'password': it is empty" ]
}

@test "REDISCLI_AUTH gives the password when nothing else does" {
  own_server_with_password
  REDISCLI_AUTH=secret run -0 "$RLOCK" acquire "$K"
}

@test "the password of the URL beats REDISCLI_AUTH" {
  own_server_with_password
  REDISCLI_AUTH=wrong run -0 "$RLOCK" acquire \
    -u "unix://:secret@$BATS_TEST_TMPDIR/own" "$K"
}

@test "--password-file beats REDISCLI_AUTH" {
  own_server_with_password
  (umask 077 && echo secret >password)
  REDISCLI_AUTH=wrong run -0 "$RLOCK" acquire --password-file password "$K"
}

@test "--password-file beats the password of RLOCK_URL" {
  own_server_with_password
  (umask 077 && echo secret >password)
  RLOCK_URL=unix://:wrong@$BATS_TEST_TMPDIR/own \
    run -0 "$RLOCK" acquire --password-file password "$K"
}

@test "the password of --url beats RLOCK_PASSWORD_FILE" {
  own_server_with_password
  (umask 077 && echo wrong >password)
  RLOCK_PASSWORD_FILE=password run -0 "$RLOCK" acquire \
    -u "unix://:secret@$BATS_TEST_TMPDIR/own" "$K"
}

# --- the password is nowhere to be seen -----------------------------------

@test "[40] the password of --url is not in the command line of a waiting rlock" {
  cli SET "$K" other
  for form in -u --url -uURL --url=URL; do
    url=unix://alice:secret@$BATS_FILE_TMPDIR/s
    arguments=("$form" "$url")
    [[ $form == *URL ]] && arguments=("${form%URL}$url")
    start_job "$RLOCK" acquire "${arguments[@]}" "$K"
    wait_until 5 'rlock to wait' waits_at_server

    tr '\0' ' ' <"/proc/$JOB/cmdline" >cmdline
    run -1 grep secret cmdline
    run -0 grep alice cmdline
    kill -TERM "$JOB"
    job_ends 143
    wait_until 5 'the connection to end' eval '! waits_at_server'
  done
}

@test "[40] no failure shows a password" {
  (umask 077 && echo secret >password)
  cli ACL SETUSER bob on '>secret' '~*' '&*' +@all -eval

  run -77 "$RLOCK" acquire -v -u "unix://bob:secret@$BATS_FILE_TMPDIR/s" "$K"
  [[ $output != *secret* ]]
  run -77 "$RLOCK" acquire -v -u "unix://nobody:secret@$BATS_FILE_TMPDIR/s" "$K"
  [[ $output != *secret* ]]
  run -69 "$RLOCK" acquire -v -u 'unix://alice:secret@/nowhere' "$K"
  [[ $output != *secret* ]]
  run -69 "$RLOCK" acquire -v -u 'redis://alice:secret@127.0.0.1:1/0' "$K"
  [[ $output != *secret* ]]
  run -64 "$RLOCK" acquire -v -u 'redis://alice:secret@127.0.0.1:x/0' "$K"
  [[ $output != *secret* ]]
  run -64 "$RLOCK" acquire -v -u 'redis://alice:se/cret@127.0.0.1/0' "$K"
  [[ $output != *cret* ]]
  REDISCLI_AUTH=secret run -69 "$RLOCK" acquire -v -u unix:///nowhere "$K"
  [[ $output != *secret* ]]
  run -69 "$RLOCK" acquire -v --password-file password -u unix:///nowhere "$K"
  [[ $output != *secret* ]]
}

@test "[40] neither -v nor status --json shows a password" {
  run -0 "$RLOCK" acquire -v -u "unix://alice:secret@$BATS_FILE_TMPDIR/s" "$K"
  [[ $output != *secret* ]]

  run -0 "$RLOCK" status -v --json \
    -u "unix://alice:secret@$BATS_FILE_TMPDIR/s" "$K"
  [[ $output != *secret* ]]
}

@test "[40] -v shows no token" {
  run -0 --separate-stderr "$RLOCK" acquire -v --token top-secret "$K"
  [[ -n $stderr && $stderr != *top-secret* ]]

  run -0 --separate-stderr "$RLOCK" release -v --token top-secret "$K"
  [[ -n $stderr && $stderr != *top-secret* ]]
}

# --- a server that is away ------------------------------------------------

@test "a socket that is not there is 69, in one line, for every command" {
  for command in acquire 'acquire -n' 'acquire -w 5s' 'release --token t' \
    'extend --to 5s --token t' status 'reacquire --ttl 5s --token t' \
    'release --force --yes'; do
    # shellcheck disable=SC2086 # a command and its options
    run -69 --separate-stderr "$RLOCK" $command -u unix:///nowhere "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': cannot connect to 'unix:///nowhere': No such file or directory" ]
  done
}

@test "a socket that nobody listens on is 69" {
  /usr/bin/python3 -c '
import socket
socket.socket(socket.AF_UNIX).bind("dead")'
  run -69 "$RLOCK" acquire -u "unix://$PWD/dead" "$K"

  [ "$output" = "rlock: '$K': cannot connect to 'unix://$PWD/dead': Connection refused" ]
}

@test "a port that nobody listens on is 69" {
  port=$(free_port)
  run -69 "$RLOCK" acquire -u "redis://127.0.0.1:$port" "$K"
  [ "$output" = "rlock: '$K': cannot connect to 'redis://127.0.0.1:$port/0': Connection refused" ]

  run -69 "$RLOCK" acquire -u "redis://[::1]:$port/2" "$K"
  [ "$output" = "rlock: '$K': cannot connect to 'redis://[::1]:$port/2': Connection refused" ]
}

@test "a server that was never reached is not waited for" {
  begin=$(now_us)
  run -69 "$RLOCK" acquire -w 10s -u unix:///nowhere "$K"

  passed 0 1000 "$begin"
}

@test "a server that goes away during a wait is waited for, within the limit" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  pid=$JOB
  own_cli own SET "$K" other
  begin=$(now_us)
  start_job "$RLOCK" acquire -v -w 700ms "$K"
  # Killed in the middle of an attempt, the server would leave it in doubt.
  wait_until 5 'rlock to have nothing left to ask' eval \
    'grep -A 1 "told of changes" "$JOB_ERR" | grep "^rlock: held;"'
  kill -KILL "$pid"

  job_ends 69
  passed 650 1600 "$begin"
  run -0 tail -n 1 "$JOB_ERR"
  [ "$output" = "rlock: '$K': cannot connect to '$RLOCK_URL': Connection refused" ]
}

@test "a server that closes the connection is 69" {
  start_job /usr/bin/python3 -c '
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("closer")
server.listen()
while True:
    server.accept()[0].close()'
  disown "$JOB"
  wait_until 5 'the server to listen' [ -S closer ]
  run -69 --separate-stderr "$RLOCK" status -u "unix://$PWD/closer" \
    --timeout 300ms "$K"

  [ -z "$output" ]
  [[ $stderr == "rlock: '$K': "*"'unix://$PWD/closer'"* ]]
  [ "${#stderr_lines[@]}" = 1 ]
}

# --- a server that stalls -------------------------------------------------

# A server that accepts connections and says nothing.
stalled_server() {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  kill -STOP "$JOB"
}

@test "[21] a server that stalls is 69 after --timeout" {
  stalled_server
  for command in status 'release --token t' 'extend --by 5s --token t'; do
    begin=$(now_us)
    # shellcheck disable=SC2086 # a command and its options
    run -69 --separate-stderr "$RLOCK" $command --timeout 300ms "$K"

    passed 290 1000 "$begin"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': no answer in time from '$RLOCK_URL'" ]
  done
}

@test "[21] an acquisition that a server does not answer is 69 after --timeout" {
  stalled_server
  begin=$(now_us)
  run -69 --separate-stderr "$RLOCK" acquire --timeout 300ms -t 60s --token t "$K"

  passed 290 1000 "$begin"
  [ -z "$output" ]
}

@test "[18] an acquisition of unknown fate names the token and when the lock frees itself" {
  stalled_server
  run -69 --separate-stderr "$RLOCK" acquire -n --timeout 200ms -t 60s --token t "$K"

  [ "${#stderr_lines[@]}" = 2 ]
  [ "${stderr_lines[0]}" = "rlock: '$K': no answer in time from '$RLOCK_URL'" ]
  [[ ${stderr_lines[1]} =~ ^"rlock: '$K' may have been taken on '$RLOCK_URL': it frees itself within 1m0s, or release it with token t"$ ]]
}

@test "[21] a server that stalls is 69 never later than -w" {
  stalled_server
  begin=$(now_us)
  run -69 --separate-stderr "$RLOCK" acquire -w 400ms -t 60s "$K"

  passed 390 1100 "$begin"
  [ -z "$output" ]
}

@test "[21] a server that stalls during a wait is 69 never later than -w" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  pid=$JOB
  own_cli own SET "$K" other
  begin=$(now_us)
  start_job "$RLOCK" acquire -q -w 700ms "$K"
  wait_until 5 'rlock to wait' eval 'own_cli own CLIENT LIST | grep name=rlock'
  kill -STOP "$pid"

  job_ends 69
  passed 690 1400 "$begin"
}

@test "[32] TERM ends rlock although the server stalls" {
  stalled_server
  start_job "$RLOCK" acquire -q --timeout 10s "$K"
  wait_until 5 'rlock to be connected' eval \
    'ls -l /proc/$JOB/fd | grep socket: && grep -q "^State:.S" /proc/$JOB/status'
  begin=$(now_us)
  kill -TERM "$JOB"

  job_ends 143
  passed 0 1500 "$begin"
}

# --- rights ---------------------------------------------------------------

# A user who may do everything but for these rules is refused the lock: one line
# says so, and nothing is left.  denied RULE...
denied() {
  cli ACL SETUSER "$K" on '>secret' '&*' +@all "$@"
  run -77 --separate-stderr "$RLOCK" acquire \
    -u "unix://$K:secret@$BATS_FILE_TMPDIR/s" "$K"
  [ -z "$output" ]
  [[ $stderr == "rlock: '$K': server '$RLOCK_URL' refuses: "*" (the user lacks a right)" ]]
  [ "${#stderr_lines[@]}" = 1 ]
  is_free "$K"
}

@test "[22] a user who may not EVAL is refused: 77" { denied '~*' -eval; }
@test "[22] a user who may not touch the key is refused: 77" { denied '~other:*' '~rlock:*'; }
@test "[22] a user who may not touch the helper key is refused: 77" { denied '~k*'; }
@test "[22] a user who may not SET in the script is refused: 77" { denied '~*' -set; }
@test "[22] a user who may not GET in the script is refused: 77" { denied '~*' -get; }
@test "[23] a user who may not release is refused the lock: 77" { denied '~*' -del -unlink; }
@test "[23] a user who may not renew is refused the lock: 77" { denied '~*' -pexpire; }

@test "a user who may not set a client's name does without" {
  cli ACL SETUSER noname on '>secret' '~*' '&*' +@all -client
  run -0 --separate-stderr "$RLOCK" acquire \
    -u "unix://noname:secret@$BATS_FILE_TMPDIR/s" "$K"

  [ -z "$stderr" ]
}

@test "a socket that this user may not open is 77, one that is no socket 69" {
  echo >file
  run -69 "$RLOCK" acquire -u "unix://$PWD/file" "$K"
  [ "$output" = "rlock: '$K': cannot connect to 'unix://$PWD/file': Connection refused" ]

  # Root may open any: who runs this as root becomes nobody for it.
  chmod 000 "$BATS_FILE_TMPDIR/s"
  if [ "$(id -u)" = 0 ]; then
    cp "$RLOCK" "$BATS_FILE_TMPDIR/rlock"
    chmod 755 "$BATS_FILE_TMPDIR/rlock" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
    run -77 setpriv --reuid 65534 --regid 65534 --clear-groups \
      "$BATS_FILE_TMPDIR/rlock" status "$K"
  else
    run -77 "$RLOCK" status "$K"
  fi
  [ "$output" = "rlock: '$K': cannot connect to '$RLOCK_URL': Permission denied" ]
}

# --- no memory --------------------------------------------------------------

@test "[22] [23] a server without memory refuses the lock, and lets one that is held go: 69" {
  own_server own
  local url=unix://$BATS_TEST_TMPDIR/own
  "$RLOCK" acquire -u "$url" -f token "$K.held"
  own_cli own CONFIG SET maxmemory 1

  run -69 "$RLOCK" acquire -n -u "$url" "$K"
  [[ $output == "rlock: '$K': server '$url' refuses: OOM command not allowed"* ]]
  run -0 "$RLOCK" extend --by 10s -u "$url" -f token "$K.held"
  run -0 "$RLOCK" release -u "$url" -f token "$K.held"

  [ "$(own_cli own EXISTS "$K" "$K.held" "rlock:{$K}:fence")" = 0 ]
}

@test "[22] a server that takes no more clients says so: 69, over a socket and over TCP" {
  local port
  port=$(free_port)
  own_server own --port "$port" --maxclients 1
  # Who has the one place, until the end.
  start_job "$PYTHON" -c '
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"PING\r\n")
s.recv(7)
open("full", "w")
time.sleep(60)' "$port"
  wait_until 5 'the one client' [ -e full ]

  for url in "unix://$BATS_TEST_TMPDIR/own" "redis://127.0.0.1:$port/0"; do
    run -69 "$RLOCK" acquire -n -u "$url" "$K"
    [ "$output" = "rlock: '$K': server '$url' refuses: ERR max number of clients reached" ]
  done
}

@test "a user with the rights that the manual lists can do all that rlock does" {
  own_server own --enable-debug-command yes
  # shellcheck disable=SC2207 # words
  rights=($(sed -n '/^needs the commands/,/^without a name/p' \
    "$BATS_TEST_DIRNAME/../../man/rlock.1" | grep -oE '\b[A-Z]{3,}\b' |
    tr '[:upper:]' '[:lower:]' | sed 's/^/+/'))
  ((${#rights[@]} >= 18))
  own_cli own ACL SETUSER listed on '>secret' "~$K" '~rlock:*' '&__redis__:*' \
    '&rlock:*' "${rights[@]}" +client +publish +pubsub +subscribe
  url="unix://listed:secret@$BATS_TEST_TMPDIR/own?db=1"

  token=$("$RLOCK" acquire -n -u "$url" "$K")
  "$RLOCK" extend -u "$url" --by 5s --token "$token" "$K"
  "$RLOCK" reacquire -u "$url" --ttl none --token "$token" "$K"
  run -0 "$RLOCK" status -u "$url"
  start_job "$RLOCK" run -v -u "$url" "$K" sleep 0.1
  wait_until 5 'run to wait' grep -q '^rlock: told of changes' "$JOB_ERR"
  "$RLOCK" release -u "$url" --token "$token" "$K"
  job_ends 0
  ! grep 'refuses' "$JOB_ERR" || return 1
}
