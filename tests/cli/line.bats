# line.bats - the line of those who wait: who is in it, and who is next

load ../lib/common
load ../lib/line

# --- woken ----------------------------------------------------------------

# The first in line has the lock within 50 ms of what matches PATTERN, which the
# server is asked for by COMMAND: wakes_by PATTERN COMMAND...
wakes_by() {
  local pattern=$1
  shift
  enter_first bob
  start_monitor
  "$@"
  takes_within 50 bob "$(asked_at "$pattern")"
}

@test "the first in line has the lock at once when rlock releases it" {
  "$RLOCK" acquire --token t "$K"
  wakes_by '"DEL"' "$RLOCK" release --token t "$K"
}

@test "[8] the first in line has the lock at once when Python releases it" {
  cli SET "$K" t PX 60000
  wakes_by '"del"' cli EVAL '
    local token = redis.call("get", KEYS[1])
    if not token or token ~= ARGV[1] then return 0 end
    redis.call("del", KEYS[1])
    return 1' 1 "$K" t
}

@test "[12] the first in line has the lock at once when its key is deleted" {
  cli SET "$K" other
  wakes_by '"DEL"' cli DEL "$K"
}

@test "[12] the first in line has the lock at once when its key is unlinked" {
  cli SET "$K" other
  wakes_by '"UNLINK"' cli UNLINK "$K"
}

@test "[12] the first in line has the lock at once when its key is renamed" {
  cli SET "$K" other
  wakes_by '"RENAME"' cli RENAME "$K" "$K.old"
}

@test "[12] the first in line has the lock at once when all keys are deleted" {
  cli SET "$K" other
  wakes_by '"FLUSHALL"' cli FLUSHALL
}

@test "[12] the first in line has the lock at once when its key was overwritten and then deleted" {
  cli SET "$K" other
  enter_first bob
  cli SET "$K" another
  deleted_takes_within 50 bob
}

@test "the first in line has the lock at once in another db" {
  export RLOCK_URL="unix://$BATS_FILE_TMPDIR/s?db=3"
  cli() { "$CLI" -s "$BATS_FILE_TMPDIR/s" -n 3 "$@"; }
  cli SET "$K" other
  enter_first bob
  deleted_takes_within 50 bob
}

# The server's clock so many ms from now, in ms.
ms_from_now() { echo $(($(date +%s%3N) + $1)); }

@test "[12] the first in line has the lock at most 60 ms after it expired" {
  end=$(ms_from_now 1500)
  cli SET "$K" other
  cli PEXPIREAT "$K" "$end"
  enter_first bob
  takes_within 60 bob "${end}000"
}

@test "the first in line has the lock at most 60 ms after its TTL, cut short, is over" {
  cli SET "$K" other PX 600000
  enter_first bob
  end=$(ms_from_now 150)
  cli PEXPIREAT "$K" "$end"
  takes_within 60 bob "${end}000"
}

@test "[12] a lock that expired is noticed on a server that deletes no key by itself" {
  move_to_own_server --enable-debug-command yes
  cli DEBUG SET-ACTIVE-EXPIRE 0
  end=$(ms_from_now 1500)
  cli SET "$K" other
  cli PEXPIREAT "$K" "$end"
  enter_first bob
  takes_within 60 bob "${end}000"
}

@test "a waiter waits on when its lock is renewed or overwritten" {
  cli SET "$K" other PX 5000
  enter_first bob
  cli PEXPIRE "$K" 60000
  cli SET "$K" another PX 60000
  cli SET "$K" yet-another
  deleted_takes_within 50 bob
}

# A holder that has 60 s left sets that to TTL, and then releases.
wakes_after_extend() {
  "$RLOCK" acquire --token t -t 60s "$K"
  enter_first bob
  "$RLOCK" extend --token t --to "$1" "$K"
  start_monitor
  "$RLOCK" release --token t "$K"
  takes_within 50 bob "$(asked_at '"DEL"')"
}

@test "a holder that extends and releases right after keeps nobody waiting" {
  wakes_after_extend 70s
}

@test "a holder that cuts its TTL short and releases right after keeps nobody waiting" {
  wakes_after_extend 50s
}

@test "the next in line is called when the first has the lock" {
  cli SET "$K" other
  enter_first bob
  enter carol
  cli DEL "$K"
  ends bob 0

  start_monitor
  "$RLOCK" release --token "$(<"$JOB_OUT")" "$K"
  takes_within 50 carol "$(asked_at '"DEL"')"
}

@test "[14] waiters have the lock in the order in which they came" {
  cli SET "$K" other
  for owner in bob carol dave erin; do enter "$owner" -t 500ms; done
  line_is 'bob carol dave erin'
  start_monitor
  cli DEL "$K"
  for owner in bob carol dave erin; do ends "$owner" 0; done

  # What the script writes last when it gives the lock to somebody.
  grep -o ' "SET" "'"$K"'" "rlock1:[a-z]*:' "$MONITOR" | cut -d: -f2 >order
  [ "$(xargs <order)" = 'bob carol dave erin' ]
}

@test "[14] a holder that renews often costs the first in line a request each time, and the others none" {
  cli SET "$K" other
  enter_first bob
  for owner in carol dave erin; do enter "$owner"; done
  cli CONFIG RESETSTAT
  begin=$(now_us)
  for i in {1..20}; do cli PEXPIRE "$K" "${i}0000" >/dev/null; done

  # And what they need to show that they are there.
  (($(calls eval) <= 20 + 4 * (1 + ($(now_us) - begin) / 2400000)))
  cli DEL "$K"
  ends bob 0
}

# --- what it costs who does not wait ----------------------------------------

# asks_once STATUS OPTION...: an attempt is one connection and one request.
asks_once() {
  local status=$1
  shift
  cli CONFIG RESETSTAT
  run "-$status" "$RLOCK" acquire "$@" "$K"

  # The other one asks for this number.
  [ "$(info stats total_connections_received)" = 2 ]
  [ "$(calls eval)" = 1 ]
  cli INFO commandstats | grep -o '^cmdstat_client[^:]*' | sort >clients
  # Redis 6.0 counts all of CLIENT as one, later servers never.
  [[ $(<clients) =~ ^cmdstat_client(\|setname)?$ ]]
  [ "$(calls "$(cut -d_ -f2 clients)")" = 1 ]
  [ "$(calls subscribe)" = 0 ]
}

@test "a lock that is free is taken with one connection and one request" {
  asks_once 0
  K+=b
  asks_once 0 -w 5s --token t -t 1s --owner bob
}

@test "an attempt with -n at a lock that is held is one connection and one request" {
  cli SET "$K" other
  asks_once 75 -n
}

# --- what is in the line --------------------------------------------------

@test "a waiter in line is named like its token, without the message" {
  cli SET "$K" other
  before=$(date +%s%3N)
  enter bob@web2 -m 'v1.2' -t 90s
  after=$(date +%s%3N)
  IFS=: read -r version owner pid ttl since message nonce \
    <<<"$(id_of bob@web2)"
  cli DEL "$K"
  ends bob@web2 0

  [ "$version $owner $pid $ttl $message" = "rlock1 bob@web2 $$ 90000 " ]
  ((before <= since && since <= after))
  [ "$nonce" = "$(cut -d: -f7 <"$JOB_OUT")" ]
  [ "$(cut -d: -f6 <"$JOB_OUT")" = v1.2 ]
}

@test "two that wait with one token have a place each" {
  cli SET "$K" other
  enter bob --token t
  enter carol --token t
  line_is 'bob carol'
  [ "$(id_of bob | cut -d: -f7)" != "$(id_of carol | cut -d: -f7)" ]

  cli DEL "$K"
  ends bob 0
  [ "$(<"$JOB_OUT") $(<"$JOB_ERR")" = 't ' ]
  ends carol 0
  [ "$(<"$JOB_OUT")" = t ]
  [ "$(<"$JOB_ERR")" = "rlock: '$K' was already held with this token" ]
  line_has 0
}

@test "waiters in other dbs are in lines of their own" {
  cli SET "$K" other
  cli -n 5 SET "$K" other
  enter_first bob
  start_job "$RLOCK" acquire -u "$RLOCK_URL?db=5" --owner carol "$K"
  wait_until 5 'the other line' eval \
    '[ "$(cli -n 5 ZCARD "rlock:{$K}:queue")" = 1 ]'

  line_is bob
  cli -n 5 DEL "$K"
  job_ends 0
  is_held "$K"
  line_is bob
}

@test "the line is kept beside the lock, and expires" {
  cli SET "$K{tag}" other
  K+='{tag}'
  start_job "$RLOCK" acquire "$K"
  wait_until 5 'the waiter to be in line' eval \
    '[ "$(cli ZCARD "rlock:=$K:queue")" = 1 ]'

  for key in "rlock:=$K:queue" "rlock:=$K:seen"; do
    (($(cli PTTL "$key") > 3000))
    (($(cli PTTL "$key") <= 6000))
  done
  cli DEL "$K"
  job_ends 0
}

@test "a waiter that got the lock leaves nothing but the fence" {
  cli SET "$K" other
  enter bob
  cli DEL "$K"
  ends bob 0
  cli DEL "$K"

  [ "$(cli KEYS '*')" = "rlock:{$K}:fence" ]
}

@test "[11] a key that is no lock is 65, and nobody is put in line" {
  cli RPUSH "$K" a
  run -65 --separate-stderr "$RLOCK" acquire -w 5s "$K"

  [ "$stderr" = "rlock: '$K': the key on '$RLOCK_URL' is a list, not a lock" ]
  [ "$(cli KEYS '*')" = "$K" ]
}

@test "[11] a key that becomes no lock ends the wait with 65" {
  cli SET "$K" other
  enter_first bob
  printf '%s\n' MULTI "DEL $K" "RPUSH $K a" EXEC | cli
  ends bob 65

  [ "$(<"$JOB_ERR")" = "rlock: '$K': the key on '$RLOCK_URL' is a list, not a lock" ]
  [ "$(cli LRANGE "$K" 0 -1)" = a ]
  line_has 0
}

@test "a line that is not rlock's is 65, whichever of its keys it is" {
  cli SET "$K" other
  for helper in queue seen; do
    cli SET "rlock:{$K}:$helper" x
    run -65 --separate-stderr "$RLOCK" acquire -w 5s "$K"

    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': one of the helper keys 'rlock:{$K}:*' on '$RLOCK_URL' is not rlock's" ]
    cli DEL "rlock:{$K}:$helper"
  done
  [ "$(cli GET "$K")" = other ]
}

# --- those who do not wait, and the line ------------------------------------

# The lock is free, and bob, whose turn it is, is stopped.
promise_to_bob() {
  cli SET "$K" other
  enter_first bob@web2
  enter carol
  signal STOP bob@web2
  cli DEL "$K"
}

@test "-n does not overtake the line" {
  promise_to_bob
  run -75 --separate-stderr "$RLOCK" acquire -n "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' is free but promised to bob@web2 (1st of 2 in line)" ]
  is_free "$K"
  signal CONT bob@web2
  ends bob@web2 0
}

@test "-n of run does not overtake the line, and starts nothing" {
  promise_to_bob
  run -75 --separate-stderr "$RLOCK" run -n "$K" touch started

  [ "$stderr" = "rlock: '$K' is free but promised to bob@web2 (1st of 2 in line)" ]
  [ ! -e started ]
}

@test "-q and -E go for a lock that is promised, too" {
  promise_to_bob
  run -75 "$RLOCK" acquire -q -n "$K"
  [ -z "$output" ]
  run -9 "$RLOCK" acquire -E 9 -n "$K"
}

@test "reacquire --retake does not overtake the line: 79" {
  "$RLOCK" acquire -f token -t 60s "$K"
  promise_to_bob
  run -79 --separate-stderr "$RLOCK" reacquire --retake -f token "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is free but promised to bob@web2 (1st of 2 in line)" ]
  is_free "$K"
}

@test "-n takes a lock at once for which only dead waiters wait" {
  cli SET "$K" other
  for owner in bob carol dave; do enter "$owner"; done
  die bob carol dave
  wait_until 5 'their connections to end' eval '! waits_at_server'
  line_is 'bob carol dave'
  cli DEL "$K"

  run -0 "$RLOCK" acquire -n "$K"
  line_has 0
}

@test "a lock that its own token holds is acquired again although others wait" {
  "$RLOCK" acquire --token t "$K"
  enter_first bob
  run -0 --separate-stderr "$RLOCK" acquire -n --token t "$K"

  [ "$stderr" = "rlock: '$K' was already held with this token" ]
  line_is bob
}

# --- leaving --------------------------------------------------------------

# The first in line dies of SIGNAL, is out of line at once, and the next one's
# turn has come: leaves_at SIGNAL STATUS
leaves_at() {
  cli SET "$K" other
  enter_first bob
  enter carol
  begin=$(now_us)
  signal "$1" bob
  ends bob "$2"
  in_time 100 "$begin" "$(now_us)"
  line_is carol
  [ ! -s "$JOB_OUT" ]
  [ ! -s "$JOB_ERR" ]

  deleted_takes_within 50 carol
}

@test "[15] [32] a waiter that is ended by TERM leaves the line at once, and the next one is called" { leaves_at TERM 143; }
@test "[32] a waiter that is ended by INT leaves the line at once, and the next one is called" { leaves_at INT 130; }
@test "[32] a waiter that is ended by HUP leaves the line at once, and the next one is called" { leaves_at HUP 129; }
@test "[32] a waiter that is ended by QUIT leaves the line at once, and the next one is called" { leaves_at QUIT 131; }

@test "a waiter whose time is over leaves the line with its last attempt, and the next one is called" {
  cli SET "$K" other
  enter_first bob -w 2s
  start_monitor
  enter carol
  ends bob 75
  line_is carol
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' is held by foreign token other, never expires" ]
  run -1 grep '"leave"' "$MONITOR"

  deleted_takes_within 50 carol
}

@test "a waiter whose time is over says to whom a free lock is promised" {
  promise_to_bob
  run -75 --separate-stderr "$RLOCK" acquire -w 200ms "$K"

  [ "$stderr" = "rlock: '$K' is free but promised to bob@web2 (1st of 2 in line)" ]
  line_is 'bob@web2 carol'
}

@test "[12] the last attempt of the first in line takes a lock that is free" {
  cli SET "$K" other
  enter_first bob -w 1500ms
  enter carol
  signal STOP bob
  cli DEL "$K"
  # Until its time is over.
  sleep 1.5
  begin=$(now_us)
  signal CONT bob

  takes_within 100 bob "$begin"
  line_is carol
}

@test "[17] a waiter that was stopped for longer than its limit is out of line at once when continued" {
  cli SET "$K" other
  enter_first bob -w 1500ms
  enter carol
  signal STOP bob
  sleep 1.5
  begin=$(now_us)
  signal CONT bob
  ends bob 75

  in_time 200 "$begin" "$(now_us)"
  line_is carol
}

@test "[15] a waiter in the middle of the line that was killed is passed at once" {
  cli SET "$K" other
  enter_first bob
  enter carol
  enter dave
  signal KILL carol
  ends carol 137
  cli DEL "$K"
  ends bob 0

  deleted_takes_within 50 dave
}

@test "[15] a first in line that was killed is passed within 2.5 s of the release" {
  cli SET "$K" other
  enter_first bob
  enter carol
  signal KILL bob
  ends bob 137

  deleted_takes_within 2500 carol
}

@test "[15] a first in line that was killed is found out before the release" {
  cli SET "$K" other
  enter_first bob
  enter carol
  signal KILL bob
  ends bob 137
  wait_until 3 'the next to find out' line_is carol

  deleted_takes_within 50 carol
}

@test "a waiter that was stopped for a while keeps its place" {
  cli SET "$K" other PX 50000
  enter_first bob
  enter carol
  ticket=$(ticket_of bob)
  signal STOP bob
  cli PEXPIRE "$K" 100000
  cli PEXPIRE "$K" 200000
  signal CONT bob

  line_is 'bob carol'
  [ "$(ticket_of bob)" = "$ticket" ]
  deleted_takes_within 50 bob
}

@test "[15] a first in line that is stopped is passed within 6 s, and then has its old place again" {
  cli SET "$K" other
  enter_first bob
  enter carol
  enter dave
  ticket=$(ticket_of bob)
  signal STOP bob
  deleted_takes_within 6000 carol
  line_is dave

  signal CONT bob
  wait_until 5 'bob to be back' line_is 'bob dave'
  [ "$(ticket_of bob)" = "$ticket" ]
  deleted_takes_within 50 bob
}

# --- messages -------------------------------------------------------------

@test "changes of the line's own keys wake nobody" {
  cli SET "$K" other
  enter_first bob
  cli CONFIG RESETSTAT
  begin=$(now_us)
  for i in {1..100}; do
    cli PEXPIRE "rlock:{$K}:queue" 5900 >/dev/null
    cli PEXPIRE "rlock:{$K}:seen" 5900 >/dev/null
  done

  # But it shows that it is there.
  (($(calls eval) <= 1 + ($(now_us) - begin) / 2400000))
  deleted_takes_within 50 bob
}

@test "a key of the same name in another db wakes in vain" {
  cli SET "$K" other
  enter_first bob
  cli -n 5 SET "$K" x
  is_held "$K"
  deleted_takes_within 50 bob
}

@test "many messages in vain are no reason to ask all the time" {
  cli SET "$K" other
  enter_first bob
  cli CONFIG RESETSTAT
  begin=$(now_us)
  for i in {1..200}; do cli -n 5 SET "$K" "$i" >/dev/null; done

  # Some in a row are borne, and then four a second.
  (($(calls eval) <= 60 + ($(now_us) - begin) / 250000))
  is_held "$K"
  deleted_takes_within 300 bob
}

@test "deleting the keys of another db wakes in vain, and everybody keeps the place" {
  cli SET "$K" other
  enter_first bob
  enter carol
  tickets=$(ticket_of bob; ticket_of carol)
  cli -n 5 SET "$K" other
  cli -n 5 FLUSHDB

  line_is 'bob carol'
  [ "$(ticket_of bob; ticket_of carol)" = "$tickets" ]
  deleted_takes_within 50 bob
}

@test "[16] a server that forgets at once whom to tell is not asked all the time" {
  move_to_own_server --tracking-table-max-keys 1
  for name in a b c; do
    cli SET "$K.$name" other
    start_job "$RLOCK" acquire "$K.$name"
  done
  wait_until 5 'the waiters to be in line' eval \
    '[ "$(cli EXISTS "rlock:{$K.a}:queue" "rlock:{$K.b}:queue" "rlock:{$K.c}:queue")" = 3 ]'
  # Some messages in vain are borne; and a rate needs a time.
  sleep 0.5
  cli CONFIG RESETSTAT
  begin=$(now_us)
  sleep 1.5
  (($(calls eval) < 3 * 10 * ($(now_us) - begin) / 1000000))

  start_monitor
  for name in a b c; do cli DEL "$K.$name"; done
  for name in a b c; do
    wait_until 5 'the lock to be taken' is_held "$K.$name"
    in_time 300 "$(asked_at "\"DEL\" \"$K.$name\"")" "$(taken_at "$K.$name")"
  done
}

@test "[16] a script cache that was emptied changes nothing" {
  cli SET "$K" other
  enter_first bob
  enter carol
  cli SCRIPT FLUSH
  deleted_takes_within 50 bob
  cli SCRIPT FLUSH
  deleted_takes_within 50 carol
}

# Keeps the server busy with a script until stop_script; COMMAND comes right
# before it, and nothing in between: start_script [COMMAND].
start_script() {
  start_job be_busy "$@"
  disown "$JOB"
  wait_until 5 'the server to be busy' is_busy
}
be_busy() {
  printf '%s\n' MULTI "$@" "EVAL 'while true do end' 0" EXEC | cli
}
is_busy() { [[ $(cli PING 2>&1) == BUSY* ]]; }
stop_script() { cli SCRIPT KILL; }

@test "[16] [22] a server that is busy with a script is waited for, and everybody keeps the place" {
  move_to_own_server --lua-time-limit 50
  cli SET "$K" other
  enter_first bob
  enter carol
  tickets=$(ticket_of bob; ticket_of carol)
  start_monitor
  start_script "PEXPIRE $K 1000"
  # Until the lock has expired, and bob has been refused.
  sleep 1.1
  stop_script

  takes_within 300 bob "$(asked_at '"KILL"')"
  line_is carol
  [ "$(ticket_of carol)" = "${tickets#*$'\n'}" ]
  deleted_takes_within 50 carol
}

@test "[22] a server that is busy with a script at the start of the wait is waited for" {
  move_to_own_server --lua-time-limit 50
  cli SET "$K" other
  start_script
  start_job "$RLOCK" acquire -v "$K"
  wait_until 5 'the server to refuse' grep -q BUSY "$JOB_ERR"
  stop_script
  wait_until 5 'the waiter to be in line' line_has 1
  cli DEL "$K"

  job_ends 0
}
