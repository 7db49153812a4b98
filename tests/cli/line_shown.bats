# line_shown.bats - what people and programs see of those who wait

load ../lib/common
load ../lib/line

NONCE=0123456789abcdef0123456789abcdef

# alice has the lock.
alice_holds() {
  "$RLOCK" acquire --owner alice@web3 -m 'v1.2 "x"' -t 5m "$K" >token
}

# Puts some in line by hand, as the last, who are there for 6 s and cannot be
# called: put ID...
put() {
  local end id last places=() ends=()
  last=$(cli ZCARD "rlock:{$K}:queue")
  end=$(($(date +%s%3N) + 5900)).5
  for id; do
    places+=($((last += 1)) "$id")
    ends+=("$end" "$id")
  done
  cli ZADD "rlock:{$K}:queue" "${places[@]}" >/dev/null
  cli ZADD "rlock:{$K}:seen" "${ends[@]}" >/dev/null
}

# The id of an owner who has waited since 2023-11-14T22:13:20.123Z:
# waiter OWNER [PID]
waiter() { echo "rlock1:$1:${2-4712}:60000:1700000000123::$NONCE"; }

# --- while waiting ----------------------------------------------------------

# What a waiter says, once it does.
said() {
  wait_until 5 'a word of the waiter' [ -s "$JOB_ERR" ]
  cat "$JOB_ERR"
}

@test "the first in line is told so, and who holds the lock" {
  alice_holds
  enter bob@web2
  run -0 said

  [[ $output =~ ^"rlock: 1st in line: '$K' is held by alice@web3 (pid $$) for "[0-9.]+m?s", expires in 4m5"[0-9]"s: \"v1.2 \"x\"\""$ ]]
}

@test "the second in line is told so, behind whom, and who holds the lock" {
  alice_holds
  enter bob@web2
  enter carol@web1
  run -0 said

  [[ $output =~ ^"rlock: 2nd in line, behind bob@web2: '$K' is held by alice@web3 (pid $$) for "[0-9.]+m?s", expires in 4m5"[0-9]"s: \"v1.2 \"x\"\""$ ]]
}

@test "a place far behind is told" {
  alice_holds
  ids=()
  for ((i = 1; i <= 21; i++)); do ids+=("$(waiter "w$i")"); done
  put "${ids[@]}"
  enter bob
  run -0 said

  [[ $output == "rlock: 22nd in line, behind w21: '$K' is held by alice@web3 "* ]]
}

@test "the place is told once, after a second" {
  cli SET "$K" other
  put "$(waiter zoe)"
  begin=$(now_us)
  enter bob -w 3s
  run -0 said
  (($(now_us) - begin >= 950000))
  in_time 1800 "$begin" "$(now_us)"
  ends bob 75

  [ "$(<"$JOB_ERR")" = "rlock: 2nd in line, behind zoe: '$K' is held by foreign token other, never expires
rlock: '$K' is held by foreign token other, never expires" ]
}

@test "a waiter behind somebody who does not come is told that the lock is free" {
  cli SET "$K" other
  enter_first bob@web2
  signal STOP bob@web2
  cli DEL "$K"
  enter carol
  run -0 said

  [ "$output" = "rlock: 2nd in line, behind bob@web2: '$K' is free" ]
}

@test "-q silences what is said about the place" {
  cli SET "$K" other
  put "$(waiter zoe)"
  enter bob -q -w 1300ms
  ends bob 75
  [ ! -s "$JOB_ERR" ]
}

@test "[7] the owner of another waiter is shown escaped" {
  cli SET "$K" other
  put "$(waiter '%1B%5B31mred%0A%FFx')"
  enter bob
  run -0 said
  [ "$output" = "rlock: 2nd in line, behind "'\x1B[31mred\n\xFFx'": '$K' is held by foreign token other, never expires" ]

  cli DEL "$K"
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is free but promised to "'\x1B[31mred\n\xFFx'" (1st of 2 in line)" ]
}

@test "what is in line but is no waiter of rlock's is somebody" {
  cli SET "$K" other
  put $'\e[31m\n\xff'
  enter bob
  run -0 said
  [ "$output" = "rlock: 2nd in line, behind somebody: '$K' is held by foreign token other, never expires" ]

  cli DEL "$K"
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is free but promised to somebody (1st of 2 in line)" ]
}

# --- on a terminal ------------------------------------------------------------

@test "on a terminal the place is one line that is kept up to date and goes at the end" {
  cli SET "$K" other
  enter_first bob
  run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/pty.py" bash --norc <<STEPS
type PS1=; stty cols 200; "\$RLOCK" acquire --owner carol -t 1h $K
expect $(printf '\r\e[K')rlock: 2nd in line, behind bob: '$K' is held by foreign token other, never expires
do kill $JOB
expect $(printf '\r\e[K')rlock: 1st in line: '$K' is held by foreign token other, never expires
do "$CLI" -s "$BATS_FILE_TMPDIR/s" SET $K another-one
expect $(printf '\r\e[K')rlock: 1st in line: '$K' is held by foreign token another-..., never expires
do "$CLI" -s "$BATS_FILE_TMPDIR/s" DEL $K
expect $(printf '\r\e[K')rlock1:carol:
STEPS
}

@test "on a terminal the line is cut at its width" {
  cli SET "$K" other
  run -75 on_terminal '' bash -c \
    'stty cols 40; exec "$RLOCK" acquire -w 1300ms "$1"' bash "$K"

  whole="rlock: 1st in line: '$K' is held by foreign token other"
  [[ $output == $'\r\e[K'"${whole:0:39}"$'\r\e['* ]]
}

@test "on a terminal -v makes whole lines of it" {
  cli SET "$K" other
  run -75 on_terminal '' "$RLOCK" acquire -v -w 1300ms "$K"

  [[ $output != *$'\r'* ]]
  [[ $output == *$'\n'"rlock: 1st in line: '$K' is held by foreign token other, never expires"$'\n'* ]]
}

# --- status -----------------------------------------------------------------

@test "status shows a row for each waiter below its lock, with its place" {
  alice_holds
  cli SET other-lock other
  for owner in bob@web2 carol; do put "$(waiter "$owner")"; done
  TZ=UTC run -0 --separate-stderr "$RLOCK" status other-lock "$K"

  [ "${#lines[@]}" = 5 ]
  [[ ${lines[0]} =~ ^NAME\ +STATE\ +OWNER\ +PID\ +SINCE\ +"EXPIRES IN"\ +WAITERS\ +MESSAGE$ ]]
  [[ ${lines[1]} =~ ^other-lock\ +held\ +"foreign token other"\ +-\ +-\ +never\ +-\ +-$ ]]
  [[ ${lines[2]} =~ ^"$K"\ +held\ +alice@web3\ +$$\ +[0-9:]+\ +4m[0-9]+s\ +2\ +"v1.2 \"x\""$ ]]
  [[ ${lines[3]} =~ ^"$K"\ +1st\ +bob@web2\ +4712\ +"2023-11-14 22:13:20"\ +-\ +-\ +-$ ]]
  [[ ${lines[4]} =~ ^"$K"\ +2nd\ +carol\ +4712\ +"2023-11-14 22:13:20"\ +-\ +-\ +-$ ]]
  [ -z "$stderr" ]
}

@test "status shows those who really wait" {
  alice_holds
  enter bob@web2
  enter carol
  run -0 "$RLOCK" status --json "$K"

  run -0 /usr/bin/python3 - "$output" "$$" "$(date +%s%3N)" <<'EOF'
import datetime, json, sys
waiters = json.loads(sys.argv[1])["waiters"]
assert [w["owner"] for w in waiters] == ["bob@web2", "carol"], waiters
for w in waiters:
    assert w["pid"] == int(sys.argv[2]), w
    since = datetime.datetime.strptime(w["since"], "%Y-%m-%dT%H:%M:%S.%f%z")
    ago = int(sys.argv[3]) - since.timestamp() * 1000
    assert 0 <= ago < 5000, ago
EOF
}

@test "places are ordinals" {
  cli SET "$K" other
  ids=()
  for ((i = 1; i <= 23; i++)); do ids+=("$(waiter "w$i" "$i")"); done
  put "${ids[@]}"
  run -0 "$RLOCK" status "$K"

  [ "$(tail -n +3 <<<"$output" | awk '{ print $2 }' | xargs)" = \
    '1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th 13th 14th 15th 16th 17th 18th 19th 20th 21st 22nd 23rd' ]
  [ "$(tail -n +3 <<<"$output" | awk '{ print $4 }' | xargs)" = "$(seq 23 | xargs)" ]
  [[ ${lines[1]} =~ ^"$K"\ +held\ +"foreign token other"\ +-\ +-\ +never\ +23\ +-$ ]]
}

@test "--json has an array of the waiters, in order" {
  alice_holds
  for owner in bob@web2 carol; do put "$(waiter "$owner")"; done
  run -0 "$RLOCK" status --json "$K"

  run -0 /usr/bin/python3 -c '
import json, sys
assert json.loads(sys.argv[1])["waiters"] == [
    {"owner": "bob@web2", "user": "bob", "host": "web2", "pid": 4712,
     "since": "2023-11-14T22:13:20.123Z", "place": 1},
    {"owner": "carol", "user": None, "host": None, "pid": 4712,
     "since": "2023-11-14T22:13:20.123Z", "place": 2},
]' "$output"
}

@test "--json has an empty array when nobody waits" {
  alice_holds
  run -0 "$RLOCK" status --json "$K"
  [[ $output == *'"waiters":[],'* ]]
  run -1 "$RLOCK" status -q --json free
  [[ $output == *'"waiters":[],'* ]]
}

@test "a lock that is free shows who waits for it" {
  put "$(waiter bob@web2)"
  run -1 --separate-stderr "$RLOCK" status "$K"
  [[ ${lines[1]} =~ ^"$K"\ +free\ +-\ +-\ +-\ +-\ +1\ +-$ ]]
  [[ ${lines[2]} =~ ^"$K"\ +1st\ +bob@web2\ +4712\  ]]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held" ]

  run -1 "$RLOCK" status -q --json "$K"
  run -0 /usr/bin/python3 -c '
import json, sys
o = json.loads(sys.argv[1])
assert o["state"] == "free"
assert [w["owner"] for w in o["waiters"]] == ["bob@web2"]' "$output"
}

@test "status of all locks shows their waiters" {
  alice_holds
  put "$(waiter bob@web2)"
  run -0 "$RLOCK" status

  [ "${#lines[@]}" = 3 ]
  [[ ${lines[2]} =~ ^"$K"\ +1st\ +bob@web2\  ]]
}

@test "a waiter whose time to come again is over is not shown" {
  cli SET "$K" other
  for owner in bob carol dave; do put "$(waiter "$owner")"; done
  cli ZADD "rlock:{$K}:seen" "$(date +%s%3N)" "$(waiter bob)"
  cli ZREM "rlock:{$K}:seen" "$(waiter dave)"
  run -0 "$RLOCK" status --json "$K"

  run -0 /usr/bin/python3 -c '
import json, sys
for w in json.loads(sys.argv[1])["waiters"]: print(w["place"], w["owner"])' "$output"
  [ "$output" = '1 carol' ]
}

@test "a waiter that was killed is shown for 6 s at the most" {
  cli SET "$K" other
  enter bob
  signal KILL bob
  run -0 "$RLOCK" status --json "$K"
  [[ $output == *'"owner":"bob"'* ]]
  wait_until 6 'bob to be gone' eval \
    '[[ $("$RLOCK" status --json "$K") == *"\"waiters\":[],"* ]]'
}

@test "[7] whatever is in the line, the table has no escape sequence and JSON is valid" {
  cli SET "$K" other
  put "$(waiter '%1B%5B31mred%0A%FFx%22@%00')"
  put "$(waiter '%1B%5B31mred%0A%FFx%22@h')"
  put $'\e[31m\n\xff"'
  put ''
  put 'rlock1:::::::'
  put "$(waiter bob)"
  run -0 "$RLOCK" status --json "$K"
  [ "${#lines[@]}" = 1 ]
  run -0 /usr/bin/python3 -c '
import json, sys
for w in json.loads(sys.argv[1])["waiters"]: print(w["owner"], w["host"])' "$output"
  [ "${lines[-1]}" = 'bob None' ]
  [[ $output == *red* ]]

  run -0 "$RLOCK" status "$K"
  [[ $output == *'  \x1B[31mred\n\xFFx"@h  '* ]]
  [[ ${lines[-1]} =~ ^"$K"\ +[1-6]..\ +bob\ +4712\  ]]
  [[ $output != *$'\e'* ]]
}

@test "what is in line but is no waiter of rlock's has its place" {
  cli SET "$K" other
  put somebody
  put "$(waiter bob)"
  run -0 "$RLOCK" status --json "$K"
  [[ $output == *'"owner":"bob",'*'"place":2}'* ]]

  run -0 "$RLOCK" status "$K"
  [[ ${lines[1]} =~ \ 2\ +-$ ]]
  [[ ${lines[-1]} =~ ^"$K"\ +2nd\ +bob\  ]]
}

@test "a line that is not rlock's is no line to status" {
  alice_holds
  cli SET "rlock:{$K}:queue" x
  run -0 --separate-stderr "$RLOCK" status "$K"

  [ "${#lines[@]}" = 2 ]
  [[ ${lines[1]} == *alice@web3* ]]
  [ -z "$stderr" ]
}

@test "who may not look at the line sees the lock" {
  cli ACL SETUSER no-line reset on '>secret' '~*' '&*' +@all -zrange
  alice_holds
  put "$(waiter bob)"
  run -0 "$RLOCK" status -u "unix://no-line:secret@$BATS_FILE_TMPDIR/s" "$K"

  [ "${#lines[@]}" = 2 ]
  [[ ${lines[1]} == *alice@web3* ]]
}

@test "of a line of more than 1000 the first 1000 are shown, and how many there are" {
  cli SET "$K" other
  until=$(($(date +%s%3N) + 60000))
  for ((i = 1; i <= 1001; i++)); do
    printf 'ZADD "rlock:{%s}:queue" %s "%s"\n' "$K" "$i" "$(waiter "w$i")"
    printf 'ZADD "rlock:{%s}:seen" %s "%s"\n' "$K" "$until" "$(waiter "w$i")"
  done | cli --pipe
  run -0 "$RLOCK" status "$K"

  [ "${#lines[@]}" = 1002 ]
  [[ ${lines[1]} =~ \ 1001\ +-$ ]]
  [[ ${lines[-1]} =~ ^"$K"\ +1000th\ +w1000\  ]]
}

@test "status on a replica shows the line" {
  port=$(free_port)
  own_server master --port "$port" --repl-diskless-sync-delay 0
  own_server replica --replicaof 127.0.0.1 "$port"
  cli() { "$CLI" -s "$BATS_TEST_TMPDIR/replica" "$@"; }
  at_master() { "$CLI" -s "$BATS_TEST_TMPDIR/master" "$@"; }
  at_master SET "$K" other
  start_job "$RLOCK" acquire -u "unix://$BATS_TEST_TMPDIR/master" --owner bob "$K"
  wait_until 10 'the replica to have the line' line_is bob
  run -0 "$RLOCK" status -u "unix://$BATS_TEST_TMPDIR/replica" "$K"

  [[ ${lines[2]} =~ ^"$K"\ +1st\ +bob\  ]]
  at_master DEL "$K"
  job_ends 0
  wait_until 5 'the replica to have no line' line_has 0
}
