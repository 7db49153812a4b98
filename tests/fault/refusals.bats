# refusals.bats - servers that cannot serve, or will not, or have forgotten

load ../lib/common
load ../lib/liar

setup() {
  fresh
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
}

teardown() {
  touch end
  stop_jobs
}

own() { own_cli own "$@"; }
is_alive() { ! is_gone "$JOB"; }

# Each of these commands ends at once with STATUS and one line that begins with
# the server's TEXT: refused STATUS TEXT COMMAND...
refused() {
  local status=$1 text=$2 command begin
  for command in "${@:3}"; do
    begin=$(now_ms)
    # shellcheck disable=SC2086 # a command and its options
    run -"$status" --separate-stderr "$RLOCK" $command
    (($(now_ms) - begin < 3000))
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" = 1 ]
    [[ $stderr == "rlock: '"*"': server '$RLOCK_URL' refuses: $text"* ]]
  done
}

# The commands that write, of a lock that is free and of $K.held, which is t's.
takes() { printf '%s\n' "acquire -n $K" "run -n $K touch started"; }
keeps() {
  printf '%s\n' "release --token t $K.held" "extend --by 5s --token t $K.held" \
    "extend --to 5s --token t $K.held" "reacquire --ttl 5s --token t $K.held" \
    "release --force --holder t $K.held"
}
hold() { "$RLOCK" acquire --token t -t 60s "$K.held"; }

# A user who may do all but this: user RULE...  Redis 6.0 knows no channels.
user() {
  own ACL SETUSER some on '>secret' '~*' +@all "$@"
  own ACL SETUSER some '&*'
}

# A wait bears the refusal TEXT, and has the lock when the server has been
# mended: comes_round TEXT COMMAND...
comes_round() {
  start_job "$RLOCK" acquire -v -w 60s --token t "$K"
  wait_until 10 'the waiter to be refused' grep -q "refuses: $1" "$JOB_ERR"
  is_alive
  "${@:2}"

  job_ends 0
  [ "$(own GET "$K")" = t ]
}

# A wait that is refused to its end is 69, with the reason: gives_up TEXT
gives_up() {
  local begin took
  begin=$(now_ms)
  run -69 --separate-stderr "$RLOCK" acquire -q -w 400ms "$K"
  took=$(($(now_ms) - begin))
  ((400 <= took && took < 3000)) || {
    echo "it took $took ms: $stderr" >&2
    return 1
  }
  [ "${#stderr_lines[@]}" = 1 ]
  [[ $stderr == "rlock: '$K': server '$RLOCK_URL' refuses: $1"* ]]
}

# --- not now ------------------------------------------------------------------

# A server that loads its keys for twenty seconds or more, and answers every few
# ms.  An answer that was not there at the end of a wait would be of another kind.
start_loading() {
  own_server own --enable-debug-command yes --key-load-delay 0 \
    --loading-process-events-interval-bytes 1024
  own DEBUG POPULATE 100000
  own SAVE
  own CONFIG SET key-load-delay 200
  start_job own_cli own DEBUG RELOAD NOSAVE
  disown "$JOB"
  wait_until 10 'the server to load' eval '[[ $(own PING) == LOADING* ]]'
}

@test "[22] a server that is loading is 69 for every command" {
  start_loading
  mapfile -t commands < <(takes; keeps)
  refused 69 LOADING "${commands[@]}" "status $K"
}

@test "[22] a server that is loading is waited for, within the limit" {
  start_loading
  gives_up LOADING
}

@test "[22] a server that has loaded grants the lock to who waits" {
  own_server own --enable-debug-command yes \
    --loading-process-events-interval-bytes 1024 --key-load-delay 1000
  own DEBUG POPULATE 2000
  start_job own_cli own DEBUG RELOAD
  disown "$JOB"
  wait_until 10 'the server to load' eval '[[ $(own PING) == LOADING* ]]'
  comes_round LOADING true
}

# A server that is busy with a script.
start_busy() {
  own_server own --lua-time-limit 50
  hold
  start_job own_cli own EVAL 'while true do end' 0
  disown "$JOB"
  wait_until 10 'the server to be busy' eval '[[ $(own PING) == BUSY* ]]'
}

@test "[22] a server that is busy with a script is 69 for every command" {
  start_busy
  mapfile -t commands < <(takes; keeps)
  refused 69 BUSY "${commands[@]}" "status $K"
}

@test "[22] a server that is busy with a script is waited for, within the limit" {
  start_busy
  gives_up BUSY
  comes_round BUSY own SCRIPT KILL
}

# A replica without its master.
start_replica() {
  own_server own --replicaof 127.0.0.1 "$(free_port)"
  own CONFIG SET replica-serve-stale-data no
}

@test "[22] a replica that shows nothing without its master is 69 for every command" {
  start_replica
  mapfile -t commands < <(takes; keeps)
  refused 69 MASTERDOWN "${commands[@]}" "status $K"
}

@test "[22] a replica without its master is waited for, within the limit" {
  start_replica
  gives_up MASTERDOWN
  comes_round MASTERDOWN own REPLICAOF NO ONE
}

# A cluster's node that has no slots.  Its second port is 10000 above the first.
start_node() {
  local port
  port=$(free_port)
  own_server own --cluster-enabled yes --port "$((port % 20000 + 30000))"
}

@test "[22] a cluster without the slot is 69 for every command" {
  start_node
  mapfile -t commands < <(takes; keeps)
  refused 69 CLUSTERDOWN "${commands[@]}" "status $K"
}

@test "[22] a cluster without the slot is waited for, within the limit" {
  start_node
  gives_up CLUSTERDOWN
  # shellcheck disable=SC2046 # words
  comes_round CLUSTERDOWN own CLUSTER ADDSLOTS $(seq 0 16383)
}

@test "[22] a replica is 69 for whatever writes" {
  own_server own
  hold
  own REPLICAOF 127.0.0.1 "$(free_port)"
  mapfile -t commands < <(takes; keeps)
  refused 69 READONLY "${commands[@]}"

  [ "$(own GET "$K.held")" = t ]
}

@test "[22] a replica is waited for, within the limit" {
  own_server own --replicaof 127.0.0.1 "$(free_port)"
  gives_up READONLY
  comes_round READONLY own REPLICAOF NO ONE
}

@test "[22] a server without memory is waited for, within the limit" {
  own_server own --maxmemory 1
  gives_up OOM
  comes_round OOM own CONFIG SET maxmemory 0
}

# A server that cannot save what it has.
start_unsaved() {
  mkdir "$BATS_TEST_TMPDIR/saves"
  own_server own --dir "$BATS_TEST_TMPDIR/saves"
  hold
  own CONFIG SET save '3600 1'
  rmdir "$BATS_TEST_TMPDIR/saves"
  # It tells the waiting save, not us.
  own BGSAVE || true
  wait_until 10 'the save to fail' eval \
    'own INFO persistence | grep rdb_last_bgsave_status:err'
}

@test "[22] a server that cannot save is 69 for whatever writes" {
  start_unsaved
  mapfile -t commands < <(takes; keeps)
  refused 69 MISCONF "${commands[@]}"
}

@test "[22] a server that cannot save is waited for, within the limit" {
  start_unsaved
  gives_up MISCONF
  comes_round MISCONF own CONFIG SET stop-writes-on-bgsave-error no
}

# A master that lacks a replica.  Redis 6 lets scripts through all the same: for
# such a one the liar speaks.
start_lonely() {
  own_server own
  hold
  own CONFIG SET min-replicas-to-write 1
  [[ ! $(own EVAL 'redis.call("DEL", KEYS[1])' 1 none) == *NOREPLICAS* ]] || return 0
  start_liar "$BATS_TEST_TMPDIR/own"
  export RLOCK_URL=$LIAR_URL
  lie 'setname real' 'any say -NOREPLICAS Not enough good replicas to write.\r\n'
}
find_replica() {
  own CONFIG SET min-replicas-to-write 0
  lie ''
}

@test "[22] a master without its replicas is 69 for whatever writes" {
  start_lonely
  mapfile -t commands < <(takes; keeps)
  refused 69 NOREPLICAS "${commands[@]}"
}

@test "[22] a master without its replicas is waited for, within the limit" {
  start_lonely
  gives_up NOREPLICAS
  comes_round NOREPLICAS find_replica
}

# A server whose one place is taken, until leave_place.
start_full() {
  own_server own --maxclients 1
  start_job "$PYTHON" -c '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"PING\r\n")
s.recv(7)
open("full", "w")
while not os.path.exists("left"):
    time.sleep(0.02)
s.close()
time.sleep(60)' "$BATS_TEST_TMPDIR/own"
  disown "$JOB"
  wait_until 10 'the one client' [ -e full ]
}
leave_place() { touch left; }

@test "[22] a server that takes no more clients is 69 for every command" {
  start_full
  mapfile -t commands < <(takes; keeps)
  refused 69 'ERR max number of clients reached' "${commands[@]}" "status $K"
}

@test "[22] a server that takes no more clients is waited for, within the limit" {
  start_full
  gives_up 'ERR max number of clients reached'
  comes_round 'ERR max number of clients reached' leave_place
}

@test "[22] keys that are on their way to another node are waited for" {
  own_server own
  start_liar "$BATS_TEST_TMPDIR/own"
  export RLOCK_URL=$LIAR_URL
  lie 'acquire say -TRYAGAIN Multiple keys request during rehashing of slot\r\n'
  refused 69 'TRYAGAIN Multiple keys request during rehashing of slot' "acquire -n $K"
  gives_up 'TRYAGAIN Multiple keys request during rehashing of slot'
  comes_round TRYAGAIN lie ''
}

# --- never --------------------------------------------------------------------

@test "[22] a server in protected mode is 77 for every command, and not waited for" {
  own_server own
  start_liar "$BATS_TEST_TMPDIR/own"
  export RLOCK_URL=$LIAR_URL
  text='DENIED Redis is running in protected mode because protected mode is enabled'
  # It does not wait for what we ask.
  lie "connect say -$text.\r\n" 'connect close'
  mapfile -t commands < <(takes; keeps)
  refused 77 "$text. (the server is in protected mode)" \
    "${commands[@]}" "status $K" "acquire -w 60s $K" "acquire $K"
}

@test "[22] what will not change is not waited for" {
  own_server own
  start_liar "$BATS_TEST_TMPDIR/own"
  export RLOCK_URL=$LIAR_URL
  for text in 'NOAUTH Authentication required.' 'NOPERM no permissions'; do
    lie "acquire say -$text\r\n"
    refused 77 "$text" "acquire $K" "acquire -w 60s $K" "run $K touch started"
  done
}

@test "[22] nothing of what was refused has started a command" {
  own_server own --maxmemory 1
  run -69 "$RLOCK" run -q -w 400ms "$K" touch started

  [ ! -e started ]
  [ "$(own EXISTS "$K" "rlock:{$K}:fence")" = 0 ]
}

@test "[22] a refusal in the middle of a wait is borne, and the place kept" {
  own_server own
  own SET "$K" other
  start_job "$RLOCK" acquire -v -w 60s --token t "$K"
  wait_until 10 'the waiter to be in line' eval \
    '[ "$(own ZCARD "rlock:{$K}:queue")" = 1 ]'
  own REPLICAOF 127.0.0.1 "$(free_port)"
  wait_until 10 'the waiter to be refused' grep -q READONLY "$JOB_ERR"
  own REPLICAOF NO ONE
  own DEL "$K"

  job_ends 0
  [ "$(own GET "$K")" = t ]
}

@test "[22] a wrong password, or a db that is none, leaves no key for run either" {
  own_server own
  run -77 "$RLOCK" run -u "unix://:secret@$BATS_TEST_TMPDIR/own" "$K" touch started
  run -64 "$RLOCK" run -u "unix://$BATS_TEST_TMPDIR/own?db=99" "$K" touch started

  [ ! -e started ]
  run -1 grep '^db' <(own INFO keyspace)
}

@test "[22] a wrong password leaves no key for a waiter either" {
  own_server own
  own SET "$K" other
  run -77 "$RLOCK" acquire -w 60s -u "unix://:secret@$BATS_TEST_TMPDIR/own" "$K"

  [ "$(own DBSIZE)" = 1 ]
}

# --- run ----------------------------------------------------------------------

# A command that goes on until there is a file "end", under a lease of so long,
# renewed every half second: start_long [OPTION...].  Its status is 5.
start_long() {
  start_job "$RLOCK" run -t 3s -k 100ms --renew 500ms "$@" "$K" \
    sh -c ': >started; while ! [ -e end ]; do sleep 0.02; done; exit 5'
  wait_until 10 'the command' [ -e started ]
}

# The lock was lost for good: lost WHY
lost() {
  job_ends 79
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: $1; the command is stopped" ]
}

renewed_by() { (($(cli_at "$1" PTTL "$K") > ${2-2500})); }
cli_at() { own_cli "$@"; }

@test "[23] a run whose server runs out of memory keeps its lock, and releases it" {
  own_server own
  start_long
  own CONFIG SET maxmemory 1
  own PEXPIRE "$K" 2000
  wait_until 5 'a renewal' renewed_by own
  touch end

  job_ends 5
  [ ! -s "$JOB_ERR" ]
  [ "$(own EXISTS "$K")" = 0 ]
}

@test "[23] who may take but not release does not take, at the end of a wait either" {
  own_server own
  user -del -unlink
  own SET "$K" other PX 500
  run -77 "$RLOCK" acquire -w 60s -u "unix://some:secret@$BATS_TEST_TMPDIR/own" "$K"

  [ "$(own EXISTS "$K")" = 0 ]
}

@test "[22] a run says once that its server refuses, and goes on when it does not any more" {
  own_server own
  start_long
  own REPLICAOF 127.0.0.1 "$(free_port)"
  wait_until 5 'a complaint' [ -s "$JOB_ERR" ]
  own REPLICAOF NO ONE
  wait_until 5 'a renewal' renewed_by own
  touch end

  job_ends 5
  [ "$(wc -l <"$JOB_ERR")" = 1 ]
  [[ $(<"$JOB_ERR") == "rlock: '$K': cannot renew: server '$RLOCK_URL' refuses: READONLY "*'; trying again' ]]
}

@test "[22] a run whose server refuses to the end of the lease is lost: 79" {
  own_server own
  start_long
  own REPLICAOF 127.0.0.1 "$(free_port)"

  lost 'no renewal was confirmed in time'
}

@test "[22] a run whose rights are taken away is lost at the end of its lease: 79" {
  own_server own
  user
  start_long -u "unix://some:secret@$BATS_TEST_TMPDIR/own"
  own ACL SETUSER some -eval

  lost 'no renewal was confirmed in time'
  [[ $(head -n 1 "$JOB_ERR") == "rlock: '$K': cannot renew: server '$RLOCK_URL' refuses: NOPERM "* ]]
}

# --- replicas -----------------------------------------------------------------

@test "[24] a replica that lags does not say that the lock is gone" {
  own_server own --replicaof 127.0.0.1 "$(free_port)"
  refused 69 READONLY "release --token t $K" "extend --by 5s --token t $K" \
    "extend --to 5s --token t $K" "reacquire --ttl 5s --token t $K" \
    "release --force --yes $K" "release --force --holder t $K"
}

@test "[24] a replica that lags does not say that somebody else has the lock" {
  own_server own
  own SET "$K" before
  own REPLICAOF 127.0.0.1 "$(free_port)"
  refused 69 READONLY "release --token t $K" "extend --by 5s --token t $K" \
    "extend --to 5s --token t $K" "reacquire --ttl 5s --token t $K"
}

@test "[24] a token file is kept when only a replica answers" {
  own_server own --replicaof 127.0.0.1 "$(free_port)"
  echo t >token
  run -69 "$RLOCK" release -f token "$K"

  [ "$(<token)" = t ]
}

@test "[24] asking a master whether the lock is ours leaves nothing behind" {
  own_server own
  own SET "$K" other
  run -79 "$RLOCK" release --token t "$K"
  run -79 "$RLOCK" extend --by 5s --token t "$K"
  run -79 "$RLOCK" release --token t "$K.free"
  run -79 "$RLOCK" extend --by 5s --token t "$K.free"
  run -79 "$RLOCK" release --force --yes "$K.free"

  [ "$(own DBSIZE)" = 1 ]
  [ "$(own GET "$K")" = other ]
}

# A run that goes through "front", which leads to "own" until fail_over NAME PID:
# that process is the old server.
start_behind_front() {
  ln -s own "$BATS_TEST_TMPDIR/front"
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/front
  start_long
}
fail_over() {
  ln -sfn "$1" "$BATS_TEST_TMPDIR/front"
  kill -KILL "$2"
}

# A master, and a replica that hears of everything.
start_pair() {
  local port
  port=$(free_port)
  own_server own --port "$port" --repl-diskless-sync-delay 0
  MASTER=$JOB
  own_server other --replicaof 127.0.0.1 "$port"
  wait_until 20 'the replica to be in step' eval \
    'own_cli other INFO replication | grep master_link_status:up'
}

@test "[25] a failover to a replica that has the lock goes unnoticed" {
  start_pair
  start_behind_front
  wait_until 5 'the replica to have the lock' eval \
    '[ "$(own_cli other EXISTS "$K")" = 1 ]'
  own_cli other REPLICAOF NO ONE
  fail_over other "$MASTER"
  own_cli other PEXPIRE "$K" 2000
  wait_until 5 'a renewal' renewed_by other
  touch end

  job_ends 5
  [ "$(own_cli other EXISTS "$K")" = 0 ]
}

@test "[25] a failover to a replica that never had the lock is a loss: 79, and it is not made anew" {
  start_pair
  own_cli other REPLICAOF NO ONE
  start_behind_front
  fail_over other "$MASTER"

  lost 'it expired, or was deleted'
  [ "$(own_cli other DBSIZE)" = 0 ]
}

@test "[25] a failover to a server where another has the lock is a loss: 79, and it stays the other's" {
  own_server own
  local master=$JOB
  own_server other
  own_cli other SET "$K" somebody
  start_behind_front
  fail_over other "$master"

  lost 'it is held by foreign token somebody'
  [ "$(own_cli other GET "$K")" = somebody ]
}

@test "[25] a lock that is evicted is lost: 79, and it is not made anew" {
  own_server own --maxmemory-policy volatile-ttl
  start_long
  own CONFIG SET maxmemory 1
  wait_until 5 'the eviction' eval '[ "$(own EXISTS "$K")" = 0 ]'
  own CONFIG SET maxmemory 0

  lost 'it expired, or was deleted'
  [ "$(own EXISTS "$K")" = 0 ]
}

@test "[25] a lock whose server comes back empty is not ours: 79 for release, extend and reacquire" {
  own_server own
  hold
  kill -KILL "$JOB"
  rm "$BATS_TEST_TMPDIR/own"
  own_server own
  for command in 'release --token t' 'extend --by 5s --token t' \
    'extend --to 5s --token t' 'reacquire --ttl 5s --token t'; do
    # shellcheck disable=SC2086 # a command and its options
    run -79 "$RLOCK" $command "$K.held"
    [ "$output" = "rlock: '$K.held' on '$RLOCK_URL' is not held: it expired, or was released already" ]
  done

  [ "$(own DBSIZE)" = 0 ]
}
