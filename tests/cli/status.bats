# status.bats - who holds a lock, since when and why

load ../lib/common

setup_file() { start_server --databases 200; }
setup() {
  fresh
  # Whoever asks for all locks must not see those of other tests.
  DB=$BATS_TEST_NUMBER
  RLOCK_URL+="?db=$DB"
}

# A client of this test's db.
db() { cli -n "$DB" "$@"; }

NONCE=0123456789abcdef0123456789abcdef

# A lock that alice holds since 2023-11-14T22:13:20.123Z, with 90 s left.
alice() {
  db SET "$1" "rlock1:alice@web3:4711:60000:1700000000123:v1.2%20%22x%22:$NONCE" \
    PX 90000
}

# One member of the only line of JSON in $output, as JSON.
member() {
  /usr/bin/python3 -c '
import json, sys
print(json.dumps(json.loads(sys.argv[1])[sys.argv[2]]))' "$output" "$1"
}

has_no_member() {
  /usr/bin/python3 -c '
import json, sys
sys.exit(sys.argv[2] in json.loads(sys.argv[1]))' "$output" "$1"
}

# --- the table ------------------------------------------------------------

@test "status shows a lock of rlock's in one row, with dates in local time" {
  alice "$K"
  TZ=UTC run -0 --separate-stderr "$RLOCK" status "$K"

  [ "${#lines[@]}" = 2 ]
  [ "${lines[0]}" = 'NAME  STATE  OWNER       PID   SINCE                EXPIRES IN  WAITERS  MESSAGE' ]
  [[ ${lines[1]} =~ ^"$K"\ +"held   alice@web3  4711  2023-11-14 22:13:20  1m"(29|30)"s       -        v1.2 \"x\""$ ]]
  [ -z "$stderr" ]
}

@test "local time is that of TZ" {
  alice "$K"
  TZ=XYZ-9 run -0 "$RLOCK" status "$K"

  [[ ${lines[1]} == *'  2023-11-15 07:13:20  '* ]]
}

@test "a lock taken today is shown with the time alone" {
  "$RLOCK" acquire "$K"
  run -0 "$RLOCK" status "$K"

  # Over midnight it would not be today any more.
  [[ ${lines[1]} =~ \ \ [0-2][0-9]:[0-5][0-9]:[0-5][0-9]\ \  ]]
}

@test "status shows a foreign token as 8 characters, and nothing else of it" {
  db SET "$K" 0123456789abcdef
  run -0 --separate-stderr "$RLOCK" status "$K"

  [[ ${lines[1]} =~ ^"$K"\ +"held   foreign token 01234567...  -    -      never       -        -"$ ]]
}

@test "8 characters of a foreign token are characters, not bytes" {
  db SET "$K" éèêëēėęě123
  run -0 "$RLOCK" status "$K"

  [[ ${lines[1]} == *'  foreign token éèêëēėęě...  '* ]]
}

@test "status shows a lock that is free" {
  run -1 --separate-stderr "$RLOCK" status "$K"

  [[ ${lines[1]} =~ ^"$K"\ +"free   -      -    -      -           -        -"$ ]]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held" ]
}

@test "the columns are aligned, whatever the names and owners are" {
  "$RLOCK" acquire --owner bob "$K.grüße.ñandú"
  "$RLOCK" acquire --owner 'j@ü' -m 'a  b' "$K"
  "$RLOCK" acquire --owner 'somebody@a-long-host-name' -t none "$K."$'\n'
  db SET "$K.x" 0123456789
  run -0 "$RLOCK" status "$K.grüße.ñandú" "$K" "$K."$'\n' "$K.x" nobody

  [ "${#lines[@]}" = 6 ]
  LC_ALL=C.UTF-8 run -0 /usr/bin/python3 -c '
import sys
rows = sys.argv[1].split("\n")
titles = ["NAME", "STATE", "OWNER", "PID", "SINCE", "EXPIRES IN", "WAITERS", "MESSAGE"]
for title in titles:
    at = rows[0].index(title)
    for row in rows:
        assert row[at] != " ", (title, row)
        assert at == 0 or row[at - 2:at] == "  ", (title, row)' "$output"
}

@test "rows come in the order of the names given" {
  run -1 "$RLOCK" status zz aa mm

  [ "$(cut -d' ' -f1 <<<"$output" | head -4 | tr '\n' ' ')" = 'NAME zz aa mm ' ]
}

@test "the table has no colour when stdout is no terminal" {
  alice "$K"
  run -0 "$RLOCK" status "$K"

  [[ $output != *$'\e'* ]]
}

@test "on a terminal the state of a held lock has a colour" {
  alice "$K"
  run -0 on_terminal '' "$RLOCK" status "$K"

  [[ $output == *$'\e[33mheld   \e[m'* ]]
}

@test "on a terminal NO_COLOR takes the colour away" {
  alice "$K"
  NO_COLOR=1 run -0 on_terminal '' "$RLOCK" status "$K"

  [[ $output == *held* ]]
  [[ $output != *$'\e'* ]]
}

@test "on a terminal JSON has no colour" {
  alice "$K"
  run -0 on_terminal '' "$RLOCK" status --json "$K"

  [[ $output != *$'\e'* ]]
}

# --- JSON -----------------------------------------------------------------

@test "--json has every member, with its type" {
  "$RLOCK" acquire --token t "$K"
  db DEL "$K"
  "$RLOCK" acquire --owner alice@web3 -m 'v1.2 "x"' -t 60s "$K" >token
  run -0 --separate-stderr "$RLOCK" status --json "$K"

  [ -z "$stderr" ]
  run -0 /usr/bin/python3 -c '
import json, sys
o = json.loads(sys.argv[1])
token = open("token").read()[:-1]
assert o["name"] == sys.argv[2]
assert o["state"] == "held"
assert o["format"] == "rlock1"
assert o["owner"] == "alice@web3"
assert o["user"] == "alice"
assert o["host"] == "web3"
assert o["pid"] == int(token.split(":")[2])
assert o["message"] == "v1.2 \"x\""
assert o["acquired_at"][-1] == "Z"
assert type(o["held_ms"]) is int and 0 <= o["held_ms"] < 5000
assert o["ttl_ms"] == 60000
assert type(o["expires_in_ms"]) is int and 55000 < o["expires_in_ms"] <= 60000
assert type(o["fence"]) is int and str(o["fence"]) == sys.argv[3]
assert o["token"] == token
assert o["server"] == sys.argv[4]
assert "mine" not in o' "$output" "$K" \
    "$(db GET "rlock:{$K}:fence" | cut -d' ' -f1)" "$RLOCK_URL"
}

@test "--json of a lock that is free has null where there is nothing to say" {
  run -1 --separate-stderr "$RLOCK" status --json "$K"

  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held" ]
  run -0 /usr/bin/python3 -c '
import json, sys
o = json.loads(sys.argv[1])
assert o["name"] == sys.argv[2]
assert o["state"] == "free"
for key in ("format owner user host pid message acquired_at held_ms ttl_ms "
            "expires_in_ms fence token").split():
    assert o[key] is None, key' "$output" "$K"
}

@test "--json of a foreign token has the token and the expiry, and null for the rest" {
  db SET "$K" 0123456789abcdef PX 60000
  run -0 "$RLOCK" status --json "$K"

  run -0 /usr/bin/python3 -c '
import json, sys
o = json.loads(sys.argv[1])
assert o["state"] == "held"
assert o["format"] == "foreign"
assert o["token"] == "0123456789abcdef"
assert 55000 < o["expires_in_ms"] <= 60000
for key in ("owner user host pid message acquired_at held_ms ttl_ms "
            "fence").split():
    assert o[key] is None, key' "$output"
}

@test "acquired_at is RFC 3339, to the millisecond" {
  alice "$K"
  TZ=XYZ-9 run -0 "$RLOCK" status --json "$K"

  [ "$(member acquired_at)" = '"2023-11-14T22:13:20.123Z"' ]
}

@test "expires_in_ms of a lock that never expires is null" {
  "$RLOCK" acquire -t none "$K"
  run -0 "$RLOCK" status --json "$K"

  [ "$(member expires_in_ms)" = null ]
  [ "$(member ttl_ms)" = 0 ]
}

@test "[44] held_ms is never negative, though the holder's clock be ahead" {
  far=$((($(date +%s) + 3600) * 1000))
  db SET "$K" "rlock1:a@b:1:60000:$far::$NONCE"
  run -0 "$RLOCK" status --json "$K"
  [ "$(member held_ms)" = 0 ]

  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is held by a@b (pid 1) for 0s, never expires" ]
}

@test "user and host split at the last @" {
  db SET "$K" "rlock1:a@b@c:1:60000:1::$NONCE"
  run -0 "$RLOCK" status --json "$K"

  [ "$(member owner) $(member user) $(member host)" = '"a@b@c" "a@b" "c"' ]
}

@test "without an @ user and host are null" {
  db SET "$K" "rlock1:deploy:1:60000:1::$NONCE"
  run -0 "$RLOCK" status --json "$K"

  [ "$(member owner) $(member user) $(member host)" = '"deploy" null null' ]
}

@test "the fence of an earlier holder is not shown for a later one" {
  "$RLOCK" acquire "$K"
  db SET "$K" other
  run -0 "$RLOCK" status --json "$K"

  [ "$(member fence)" = null ]
}

@test "--json prints one object a line" {
  alice "$K"
  "$RLOCK" status --json "$K" nobody "$K" >out

  run -0 /usr/bin/python3 -c '
import json
rows = [json.loads(line) for line in open("out")]
print(*[row["name"] + "=" + row["state"] for row in rows])'
  [ "$output" = "$K=held nobody=free $K=held" ]
}

# --- exit status ----------------------------------------------------------

@test "status is 0 when any of the locks named is held" {
  alice "$K"

  run -0 --separate-stderr "$RLOCK" status nobody "$K"
  [ -z "$stderr" ]
}

@test "status is 1 when none of the locks named is held" {
  run -1 --separate-stderr "$RLOCK" status nobody noone

  [ "$stderr" = "rlock: no lock on '$RLOCK_URL' is held" ]
}

@test "-q silences the line, not the table" {
  run -1 --separate-stderr "$RLOCK" status -q "$K"

  [ -z "$stderr" ]
  [ "${#lines[@]}" = 2 ]
}

@test "NAME is literal" {
  alice "$K"
  alice "$K.x"
  run -1 --separate-stderr "$RLOCK" status "$K*"

  [ "$stderr" = "rlock: '$K*' on '$RLOCK_URL' is not held" ]
}

@test "[11] a key of another type is 65, and the others are shown all the same" {
  db LPUSH "$K.list" a
  alice "$K"
  run -65 --separate-stderr "$RLOCK" status --json "$K.list" "$K"

  [ "$stderr" = "rlock: '$K.list': the key on '$RLOCK_URL' is a list, not a lock" ]
  [ "${#lines[@]}" = 1 ]
  [ "$(member name)" = "\"$K\"" ]
}

@test "a server that is away is 69, and nothing is printed" {
  run -69 --separate-stderr "$RLOCK" status -u unix:///nowhere a b

  [ -z "$output" ]
  [ "$stderr" = "rlock: 'a': cannot connect to 'unix:///nowhere': No such file or directory" ]
}

@test "a server that is away is 69 also when all locks are asked for" {
  run -69 --separate-stderr "$RLOCK" status -u unix:///nowhere

  [ -z "$output" ]
  [ "$stderr" = "rlock: cannot connect to 'unix:///nowhere': No such file or directory" ]
}

@test "a table or JSON that cannot be written is 74" {
  alice "$K"
  run -74 sh -c '"$RLOCK" status "$1" >/dev/full' sh "$K"
  [ "$output" = 'rlock: cannot write to standard output: No space left on device' ]

  run -74 sh -c '"$RLOCK" status --json "$1" >/dev/full' sh "$K"
}

# --- with a token ---------------------------------------------------------

@test "with the token that holds the lock, mine is true and the status 0" {
  "$RLOCK" acquire --token t "$K"
  run -0 "$RLOCK" status --json --token t "$K"
  [ "$(member mine)" = true ]

  run -0 "$RLOCK" status --token t "$K"
  [[ ${lines[1]} =~ ^"$K"\ +mine\  ]]
}

@test "with another token mine is false and the status 1" {
  "$RLOCK" acquire --token t "$K"
  run -1 --separate-stderr "$RLOCK" status --json --token other "$K"

  [ "$(member mine)" = false ]
  [ "$(member state)" = '"held"' ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token" ]
}

@test "with a token mine is false for a lock that is free" {
  run -1 "$RLOCK" status -q --json --token t "$K"

  [ "$(member mine)" = false ]
}

@test "a token that only begins like the holder's is not the holder's" {
  printf 'a\0b' | db -x SET "$K"
  run -1 "$RLOCK" status -q --json --token a "$K"

  [ "$(member mine)" = false ]
}

@test "status reads the token from a file and keeps the file" {
  "$RLOCK" acquire -f token "$K"
  run -0 "$RLOCK" status --json -f token "$K"

  [ "$(member mine)" = true ]
  [ -e token ]
}

@test "a token file that cannot be read is 65" {
  run -65 "$RLOCK" status -f nosuch "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'nosuch': No such file or directory" ]
}

@test "inside a run status without a name asks about the run's lock" {
  run -0 --separate-stderr "$RLOCK" run "$K" "$RLOCK" status --json

  [ "$(member name)" = "\"$K\"" ]
  [ "$(member mine)" = true ]
}

@test "inside a run status of another lock is not about the run's token" {
  "$RLOCK" acquire --token t "$K.b"
  run -0 --separate-stderr "$RLOCK" run "$K" "$RLOCK" status --json "$K.b"

  [ "$(member state)" = '"held"' ]
  has_no_member mine
  [ -z "$stderr" ]
}

@test "inside a run status of the run's lock and another is about the token only for the first" {
  "$RLOCK" acquire --token t "$K.b"
  for names in "$K $K.b" "$K.b $K"; do
    # shellcheck disable=SC2086 # two names
    run -0 "$RLOCK" run "$K" "$RLOCK" status --json $names

    run -0 /usr/bin/python3 -c '
import json, sys
for line in sys.argv[1].split("\n"):
    row = json.loads(line)
    print(row["name"], row.get("mine"))' "$output"
    [ "$(sort <<<"$output")" = "$K True"$'\n'"$K.b None" ]
  done
}

@test "RLOCK_TOKEN without RLOCK_NAME counts for any lock" {
  "$RLOCK" acquire --token t "$K"
  RLOCK_TOKEN=t run -0 "$RLOCK" status --json "$K"

  [ "$(member mine)" = true ]
}

@test "--token counts for any lock inside a run" {
  "$RLOCK" acquire --token t "$K.b"
  run -0 "$RLOCK" run "$K" "$RLOCK" status --json --token t "$K.b"

  [ "$(member mine)" = true ]
}

# --- all locks ------------------------------------------------------------

@test "without a name status shows all locks that rlock took and somebody holds, by name" {
  "$RLOCK" acquire zz
  "$RLOCK" acquire aa
  "$RLOCK" acquire --token t 'a}{b}c'
  # Free again; never rlock's; taken over by another program.
  "$RLOCK" acquire --token t free
  "$RLOCK" release --token t free
  db SET python 0123456789
  db HSET hash a b
  "$RLOCK" acquire over
  db SET over 0123456789
  "$RLOCK" status --json >out

  run -0 /usr/bin/python3 -c '
import json
print(*[json.loads(line)["name"] for line in open("out")])'
  [ "$output" = 'aa a}{b}c over zz' ]
}

@test "keys that only look like helper keys are no locks" {
  db SET 'rlock:{x:fence' '1 t'
  db SET 'rlock:x:fence' '1 t'
  db SET 'rlock:={x:fence' '1 t'
  db SET 'rlock:{}:fence' '1 t'
  db SET 'rlock:=:fence' '1 t'
  db SET 'rlock:{{x}}:fence' '1 t'
  db SET x t
  db SET '{x}' t
  run -1 --separate-stderr "$RLOCK" status

  [ -z "$output" ]
}

@test "without a name status is 1 when nothing is held" {
  run -1 --separate-stderr "$RLOCK" status

  [ -z "$output" ]
  [ "$stderr" = "rlock: no lock on '$RLOCK_URL' is held" ]
}

@test "a helper key whose lock is of another type is 65" {
  db SET "rlock:{$K}:fence" '1 t'
  db LPUSH "$K" a
  run -65 --separate-stderr "$RLOCK" status

  [ "$stderr" = "rlock: '$K': the key on '$RLOCK_URL' is a list, not a lock" ]
}

@test "--match limits the names" {
  for name in deploy.a deploy.b other; do "$RLOCK" acquire "$name"; done
  run -0 --separate-stderr "$RLOCK" status --match 'deploy.*'

  [ "$(cut -d' ' -f1 <<<"$output" | tr '\n' ' ')" = 'NAME deploy.a deploy.b ' ]
}

@test "--match that matches nothing is 1" {
  "$RLOCK" acquire "$K"
  run -1 --separate-stderr "$RLOCK" status --match 'nothing*'

  [ -z "$output" ]
  [ "$stderr" = "rlock: no lock on '$RLOCK_URL' that matches is held" ]
}

@test "--match and NAME exclude each other" {
  run -64 "$RLOCK" status --match 'a*' "$K"

  [ "$output" = 'rlock: --match and NAME exclude each other' ]
}

@test "more locks than the server shows at a time are all shown, each once" {
  for ((i = 10000; i < 12500; i++)); do
    echo "SET lock$i t"
    echo "SET rlock:{lock$i}:fence \"1 t\""
  done | db --pipe
  "$RLOCK" status --json >out

  run -0 /usr/bin/python3 -c '
import json
names = [json.loads(line)["name"] for line in open("out")]
assert names == ["lock%d" % i for i in range(10000, 12500)], len(names)'
}

# --- what it does to the server -------------------------------------------

@test "status changes nothing" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  "$RLOCK" acquire "$K"
  before=$(own_cli own INFO persistence | grep rdb_changes_since_last_save)
  "$RLOCK" status "$K"
  "$RLOCK" status
  "$RLOCK" status --token t "$K" || true

  [ "$(own_cli own INFO persistence | grep rdb_changes_since_last_save)" = "$before" ]
}

@test "status of all locks never asks for KEYS and looks at no other key" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  "$RLOCK" acquire "$K"
  own_cli own MSET precious 1 other:key 2
  own_cli own CONFIG RESETSTAT
  start_job own_cli own MONITOR
  disown "$JOB"
  wait_until 5 'MONITOR to begin' grep -q OK "$JOB_OUT"
  run -0 "$RLOCK" status
  own_cli own ECHO enough
  wait_until 5 'MONITOR to end' grep -q '"enough"' "$JOB_OUT"

  run -1 grep -e precious -e other:key "$JOB_OUT"
  run -1 grep -i 'cmdstat_keys' <(own_cli own INFO commandstats)
  run -0 grep -ic '"scan"' "$JOB_OUT"
}

@test "status works on a replica, where acquire is refused" {
  port=$(free_port)
  own_server master --port "$port" --repl-diskless-sync-delay 0
  own_server replica --replicaof 127.0.0.1 "$port"
  "$RLOCK" acquire -u "unix://$BATS_TEST_TMPDIR/master" --token t "$K"
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/replica
  wait_until 10 'the replica to have the lock' eval \
    '[ "$(own_cli replica EXISTS "$K")" = 1 ]'

  run -0 "$RLOCK" status --json "$K"
  [ "$(member token)" = '"t"' ]
  run -0 "$RLOCK" status --json
  [ "$(member name)" = "\"$K\"" ]
  run -69 "$RLOCK" acquire -n "$K.b"
  [[ $output == "rlock: '$K.b': server '$RLOCK_URL' refuses: "*"read only"* ]]
}
