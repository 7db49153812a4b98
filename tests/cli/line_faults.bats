# line_faults.bats - waiting in line where connections, servers or rights fail

load ../lib/common
load ../lib/line

setup_file() {
  # Times are measured, and what the server tells is looked at as a whole.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server

  # Who lacks a right that a waiter uses.
  local all=(reset on '>secret' '~*' '&*' +@all)
  cli ACL SETUSER no-channels "${all[@]}" resetchannels
  cli ACL SETUSER no-subscribe "${all[@]}" -subscribe
  cli ACL SETUSER no-id "${all[@]}" '-client|id'
  cli ACL SETUSER no-tracking "${all[@]}" '-client|tracking'
  cli ACL SETUSER no-caching "${all[@]}" '-client|caching'
  cli ACL SETUSER no-publish "${all[@]}" -publish
  cli ACL SETUSER no-pubsub "${all[@]}" '-pubsub|numsub'
}

# The file's server, as this user.
as() { echo "unix://$1:secret@$BATS_FILE_TMPDIR/s"; }

# --- a right is missing -----------------------------------------------------

# Who waits as USER is told nothing, says so, polls, and keeps the place:
# polls_as USER
polls_as() {
  cli SET "$K" other
  enter bob -v -u "$(as "$1")"
  wait_until 5 'bob to say so' grep -q \
    "^rlock: '$RLOCK_URL' does not tell of changes" "$JOB_ERR"
  wait_until 5 'bob to be marked' is_marked bob

  # Nobody takes him for dead, although he cannot come again, or be called.
  ticket=$(ticket_of bob)
  signal STOP bob
  enter carol
  run -75 "$RLOCK" acquire -n "$K"
  line_is 'bob carol'
  cli DEL "$K"
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is free but promised to bob (1st of 2 in line)" ]
  [ "$(ticket_of bob)" = "$ticket" ]
  cli SET "$K" another
  signal CONT bob

  # He asks every 100 ms, and is out of line then.
  start_monitor
  cli DEL "$K"
  takes_within 150 bob "$(asked_at '"DEL" "'"$K"'"')"
  line_is carol
}

is_marked() { [[ $(presence_of "$1") == *.5 ]]; }

@test "[16] who may use no channel polls, and keeps the place" { polls_as no-channels; }
@test "[16] who may not SUBSCRIBE polls, and keeps the place" { polls_as no-subscribe; }
@test "[16] who may not ask for CLIENT ID polls, and keeps the place" { polls_as no-id; }
@test "[16] who may not use CLIENT TRACKING polls, and keeps the place" { polls_as no-tracking; }
@test "[16] who may not use CLIENT CACHING polls, and keeps the place" { polls_as no-caching; }
@test "[16] who may not PUBLISH polls, and keeps the place" { polls_as no-publish; }

@test "[16] who polls asks about ten times a second" {
  cli SET "$K" other
  enter bob -u "$(as no-channels)"
  wait_until 5 'bob to be marked' is_marked bob
  cli CONFIG RESETSTAT
  # A rate needs a time.
  begin=$(now_us)
  sleep 1.5

  (($(calls eval) <= ($(now_us) - begin) / 80000 + 1))
  (($(calls eval) >= 5))
}

@test "[15] a waiter that polls and was killed is passed within 2.5 s of the release" {
  cli SET "$K" other
  enter bob -u "$(as no-channels)"
  enter carol
  wait_until 5 'bob to be marked' is_marked bob
  signal KILL bob
  ends bob 137

  deleted_takes_within 2500 carol
}

# Who may not wake the next one takes the lock all the same, and knows it; the
# next one comes by itself: takes_as USER
takes_as() {
  cli SET "$K" other
  enter bob -u "$(as "$1")"
  enter carol
  enter dave
  deleted_takes_within 150 bob
  line_is 'carol dave'

  deleted_takes_within 2500 carol
}

@test "[16] who may not PUBLISH takes the lock, and the next one has it within 2.5 s of the release" { takes_as no-publish; }
@test "[16] who may use no channel takes the lock, and the next one has it within 2.5 s of the release" { takes_as no-channels; }
@test "[16] who may not ask for subscribers takes the lock, and the next one has it within 2.5 s of the release" { takes_as no-pubsub; }

@test "[16] who may not PUBLISH does not overtake the line either" {
  cli SET "$K" other
  enter_first bob
  signal STOP bob
  cli DEL "$K"
  run -75 "$RLOCK" acquire -n -u "$(as no-publish)" "$K"

  [ "$output" = "rlock: '$K' is free but promised to bob (1st of 1 in line)" ]
  is_free "$K"
  line_is bob
}

@test "[16] who may not PUBLISH and leaves the line lets the next one come by itself" {
  cli SET "$K" other
  enter bob -u "$(as no-publish)"
  enter carol
  signal TERM bob
  ends bob 143
  line_is carol

  deleted_takes_within 2500 carol
}

@test "[22] who may not write to the line is 77, and the lock is left alone" {
  cli ACL SETUSER no-line reset on '>secret' "~$K" "~rlock:{$K}:fence" '&*' +@all
  cli SET "$K" other
  run -77 --separate-stderr "$RLOCK" acquire -w 5s -u "$(as no-line)" "$K"

  [ -z "$output" ]
  [[ $stderr == "rlock: '$K': server '$RLOCK_URL' refuses: "*"(the user lacks a right)" ]]
  [ "$(cli GET "$K")" = other ]
}

# --- a connection is cut ------------------------------------------------------

# The numbers of bob's connections: the one that asks, and the one that hears.
asks() { cli CLIENT LIST | sed -n 's/^id=\([0-9]*\) .* name=rlock .* sub=0 .*/\1/p'; }
hears() { cli CLIENT LIST | sed -n 's/^id=\([0-9]*\) .* name=rlock .* sub=2 .*/\1/p'; }

# He has others than these now, and the server tells him of changes.
has_others() {
  [[ -n $(asks) && $(asks) != "$1" && -n $(hears) && $(hears) != "$2" ]] &&
    cli CLIENT LIST | grep -q " name=rlock .* redir=$(hears) "
}

# The first in line, who has waited for so long, loses connections, and nothing
# else: survives SECONDS NUMBER...
survives() {
  local id asks hears ticket
  cli SET "$K" other
  enter_first bob -q
  asks=$(asks) hears=$(hears)
  ticket=$(ticket_of bob)
  sleep "$1"
  for id in "${@:2}"; do cli CLIENT KILL ID "${!id}"; done
  wait_until 1 'bob to come again' has_others "$asks" "$hears"
  wait_until 1 'bob to hear when he is called' all_hear
  [ "$(ticket_of bob)" = "$ticket" ]
  enter carol

  line_is 'bob carol'
  deleted_takes_within 50 bob
  [ ! -s "$JOB_ERR" ]
}

@test "[16] a waiter that loses the connection on which it asks keeps its place, and is woken at once" {
  survives 0.3 asks
}

@test "[16] a waiter that loses the connection on which it hears keeps its place, and is woken at once" {
  survives 0.3 hears
}

@test "[16] a waiter that loses both connections keeps its place, and is woken at once" {
  survives 0.3 asks hears
}

@test "[16] a waiter that loses its connections as soon as it has them keeps its place, and is woken at once" {
  survives 0 asks hears
}

# Its connections are gone, and the lock is free in the same moment.
has_lock_when_cut() {
  cli SET "$K" other
  enter_first bob
  sleep "$1"
  start_monitor
  printf '%s\n' "CLIENT KILL ID $(asks)" "CLIENT KILL ID $(hears)" "DEL $K" | cli
  takes_within 150 bob "$(asked_at '"DEL"')"
}

@test "[16] a waiter that loses its connections while the lock is released has it soon" {
  has_lock_when_cut 0.3
}

@test "[16] a waiter that loses its connections as soon as it has them while the lock is released has it soon" {
  has_lock_when_cut 0
}

@test "[16] a waiter behind the first that loses its connections keeps its place, and is called" {
  cli SET "$K" other
  enter_first bob
  asks=$(asks) hears=$(hears)
  enter carol
  ticket=$(ticket_of carol)
  cli CLIENT KILL ID "$(asks | grep -vx "$asks")"
  cli CLIENT KILL ID "$(hears | grep -vx "$hears")"
  wait_until 1 'carol to come again' eval '[ "$(hears | wc -l)" = 2 ]'
  cli DEL "$K"
  ends bob 0

  [ "$(ticket_of carol)" = "$ticket" ]
  deleted_takes_within 50 carol
}

@test "[16] connections that are cut make no wait longer" {
  cli SET "$K" other
  begin=$(now_us)
  enter_first bob -q -w 1s
  cli CLIENT KILL TYPE normal
  cli CLIENT KILL TYPE pubsub
  ends bob 75

  (($(now_us) - begin >= 1000000))
  in_time 1400 "$begin" "$(now_us)"
}

@test "a waiter that cannot connect for a while waits on, and has its old place" {
  start_proxy
  cli SET "$K" other
  enter_first bob -v -u "$PROXY_URL"
  enter carol
  ticket=$(ticket_of bob)
  proxy refuse
  proxy cut
  wait_until 5 'bob to be refused' grep -q 'Connection refused' "$BATS_TEST_TMPDIR/job1.err"
  proxy accept
  wait_until 1 'bob to come again' eval '[ "$(proxy open 2)" = 1 ]'

  line_is 'bob carol'
  [ "$(ticket_of bob)" = "$ticket" ]
  deleted_takes_within 150 bob
}

# --- answers and messages that come late, in pieces, or never ----------------

# An answer is held by the proxy.
answer_is_held() { (($(proxy held replies 1) > 20)); }

@test "[13] a lock that is freed before its waiter hears that it is held is taken at once" {
  start_proxy
  cli SET "$K" other
  proxy hold replies
  start_waiter bob -u "$PROXY_URL"
  wait_until 5 'the answer to be held' answer_is_held
  cli DEL "$K"
  begin=$(now_us)
  proxy go

  takes_within 50 bob "$begin"
}

@test "[13] a lock that is freed before its waiter is told of changes is taken at once" {
  start_proxy
  proxy delay 150 replies
  cli SET "$K" other
  # The answer to the request to be in line is on its way.
  enter bob -u "$PROXY_URL"
  run -1 tells

  # That answer, four to arrange it, the next one, and 50 ms.
  deleted_takes_within 950 bob
}

@test "a change during an attempt leads to one more" {
  start_proxy
  cli SET "$K" other PX 50000
  enter_first bob -u "$PROXY_URL"
  proxy hold replies 1
  cli PEXPIRE "$K" 60000
  wait_until 5 'the answer to be held' answer_is_held
  cli DEL "$K"
  begin=$(now_us)
  proxy go

  takes_within 50 bob "$begin"
}

@test "a call during an attempt leads to one more" {
  start_proxy
  cli SET "$K" other
  enter_first bob
  enter carol -u "$PROXY_URL"
  wait_until 5 'carol to hear when she is called' all_hear
  proxy hold replies 1
  # Everybody looks.
  cli -n 5 SET x y
  cli -n 5 FLUSHDB
  wait_until 5 'the answer to be held' answer_is_held
  cli DEL "$K"
  ends bob 0
  cli CONFIG RESETSTAT
  proxy go
  wait_until 2 'carol to be told of changes' is_caching

  deleted_takes_within 50 carol
}

is_caching() { (($(calls 'client|caching'))); }

@test "a message that is lost costs no more than 2.5 s" {
  start_proxy
  cli SET "$K" other
  enter_first bob -u "$PROXY_URL"
  proxy drop replies 2

  deleted_takes_within 2500 bob
}

@test "a call that is lost costs no more than 2.5 s" {
  start_proxy
  cli SET "$K" other
  enter_first bob
  enter carol -u "$PROXY_URL"
  wait_until 5 'carol to hear when she is called' all_hear
  proxy drop replies 2
  cli DEL "$K"
  ends bob 0

  deleted_takes_within 2500 carol
}

@test "answers and messages that come byte by byte are understood" {
  start_proxy
  proxy split replies
  cli SET "$K" other
  enter_first bob -u "$PROXY_URL"
  enter carol -u "$PROXY_URL"
  deleted_takes_within 1500 bob
  deleted_takes_within 1500 carol
}

@test "a waiter whose second connection is stalled has the lock within 2.5 s, and watches again later" {
  start_proxy
  proxy hold both 2
  cli SET "$K" other
  start_waiter bob -v -u "$PROXY_URL"
  wait_until 5 'the second connection' eval '[ "$(proxy open 2)" = 1 ]'
  deleted_takes_within 2500 bob

  cli SET "$K" other
  proxy go
  proxy hold both 2
  enter carol -v -u "$PROXY_URL"
  wait_until 5 'carol to give up' \
    grep -q "^rlock: '$PROXY_URL' does not tell of changes now$" "$JOB_ERR"
  proxy go
  wait_until 6 'carol to be told of changes' \
    grep -q "^rlock: told of changes by '$PROXY_URL'$" "$JOB_ERR"
  wait_until 5 'that to begin' tells
  deleted_takes_within 50 carol
}

@test "a waiter whose second connection is stalled is in line from the start" {
  start_proxy
  proxy hold both 2
  cli SET "$K" other
  start_waiter bob -u "$PROXY_URL"
  wait_until 5 'the second connection' eval '[ "$(proxy open 2)" = 1 ]'
  enter carol
  wait_until 5 'bob to be in line' line_has 2

  line_is 'bob carol'
}

@test "a waiter whose second connection is stalled is in line all the time" {
  start_proxy
  proxy hold both 2
  cli SET "$K" other
  enter bob -u "$PROXY_URL"
  enter carol
  end=$(($(now_ms) + 5500))
  while (($(now_ms) < end)); do
    # Others look whether somebody has gone.
    run -75 "$RLOCK" acquire -q -n "$K"
    line_is 'bob carol'
  done
}

@test "[15] a waiter that is cut off without a word is passed within 6 s" {
  start_proxy
  cli SET "$K" other
  enter_first bob -u "$PROXY_URL"
  enter carol
  proxy hold

  deleted_takes_within 6000 carol
  line_has 0
}

# --- a server that goes away --------------------------------------------------

@test "a server that comes back without its data finds everybody in the old place" {
  move_to_own_server
  cli SET "$K" other
  enter_first bob
  enter carol
  tickets=$(ticket_of bob; ticket_of carol)

  # The new one is in its place when it has a lock again.
  own_server new
  own_cli new SET "$K" another
  kill -KILL "$OWN"
  mv "$BATS_TEST_TMPDIR/new" "$BATS_TEST_TMPDIR/own"
  wait_until 1 'both to be back' line_is 'bob carol'
  [ "$(ticket_of bob; ticket_of carol)" = "$tickets" ]
  wait_until 1 'bob to be told of changes' tells

  deleted_takes_within 50 bob
  deleted_takes_within 50 carol
}

@test "after FLUSHALL everybody is in the old place at once" {
  cli SET "$K" other
  for owner in bob carol dave; do enter "$owner"; done
  wait_until 5 'bob to be told of changes' tells
  tickets=$(for owner in bob carol dave; do ticket_of "$owner"; done)
  printf '%s\n' MULTI FLUSHALL "SET $K another" EXEC | cli
  wait_until 1 'all to be back' line_is 'bob carol dave'

  [ "$(for owner in bob carol dave; do ticket_of "$owner"; done)" = "$tickets" ]
  deleted_takes_within 50 bob
}

@test "a server that says nothing for 3 s is waited for, and everybody keeps the place" {
  move_to_own_server
  cli SET "$K" other
  enter_first bob
  enter carol
  tickets=$(ticket_of bob; ticket_of carol)
  kill -STOP "$OWN"
  # Longer than a waiter goes without showing that it is there.
  sleep 3
  kill -CONT "$OWN"

  wait_until 5 'the line to be as it was' line_is 'bob carol'
  [ "$(ticket_of bob; ticket_of carol)" = "$tickets" ]
  deleted_takes_within 300 bob
}

@test "[22] a server that was loading is watched again when it is done" {
  move_to_own_server --enable-debug-command yes \
    --loading-process-events-interval-bytes 1024 --key-load-delay 500
  cli DEBUG POPULATE 2000
  cli SET "$K" other
  enter_first bob -v
  cli DEBUG RELOAD
  grep -q LOADING "$JOB_ERR"

  wait_until 5 'bob to be told of changes again' tells
  deleted_takes_within 50 bob
}

@test "[22] a server that was busy is watched again when it is done" {
  move_to_own_server --lua-time-limit 50
  cli SET "$K" other
  enter_first bob -v
  cli EVAL 'redis.call("PEXPIRE", KEYS[1], 60000)
    local function now() local t = redis.call("TIME") return t[1] * 1000 + t[2] / 1000 end
    local begin = now()
    while now() < begin + 1500 do end' 1 "$K"
  grep -q BUSY "$JOB_ERR"

  wait_until 5 'bob to be told of changes again' tells
  cli CONFIG RESETSTAT
  deleted_takes_within 50 bob
}

@test "[15] a waiter that was killed is passed within 2.5 s though others listen to all channels" {
  cli SET "$K" other
  start_job cli PSUBSCRIBE '*'
  enter_first bob
  enter carol
  wait_until 5 'carol to hear when she is called' all_hear
  signal KILL bob

  deleted_takes_within 2500 carol
}

@test "somebody who seems to be there for hours, as the clock was set back, keeps nobody waiting" {
  cli ZADD "rlock:{$K}:queue" 1 ghost
  cli ZADD "rlock:{$K}:seen" "$(($(date +%s%3N) + 3600000)).5" ghost
  run -0 "$RLOCK" acquire -n "$K"

  line_has 0
}
