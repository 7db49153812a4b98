# acquire.bats - taking a lock, and how its token is handed over

load ../lib/common

setup_file() {
  # waits_at_server looks at all clients.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
}

# The Nth field of a token, counted from 1: field TOKEN N.
field() { cut -d: -f"$2" <<<"$1"; }

# --- the token ------------------------------------------------------------

@test "[4] acquire prints rlock1:OWNER:PID:TTL:SINCE:MESSAGE:NONCE and a newline, nothing else" {
  "$RLOCK" acquire -m hello "$K" >out 2>err

  [ ! -s err ]
  [ "$(wc -l <out)" = 1 ]
  [[ $(<out) =~ ^rlock1:[A-Za-z0-9._@%-]+:[1-9][0-9]*:600000:[1-9][0-9]*:hello:[0-9a-f]{32}$ ]]
}

@test "[6] the token is the value of the key NAME, byte for byte" {
  "$RLOCK" acquire "$K" >out

  cli GET "$K" | cmp - out
}

@test "PID is the process that called acquire" {
  run -0 sh -c 'echo $$; "$RLOCK" acquire "$1"; :' sh "$K"

  [ "$(field "${lines[1]}" 3)" = "${lines[0]}" ]
}

@test "SINCE is the wall clock at the attempt that took the lock" {
  before=$(wall_ms)
  token=$("$RLOCK" acquire "$K")
  after=$(wall_ms)

  since=$(field "$token" 5)
  ((before <= since && since <= after))
}

@test "[37] two acquisitions never have the same nonce" {
  one=$("$RLOCK" acquire --owner me "$K")
  "$RLOCK" release --token "$one" "$K"
  two=$("$RLOCK" acquire --owner me "$K")

  [ "$(field "$one" 7)" != "$(field "$two" 7)" ]
}

@test "OWNER is LOGNAME at this host" {
  token=$(LOGNAME=alice USER=bob "$RLOCK" acquire "$K")

  [ "$(field "$token" 2)" = "alice@$(uname -n)" ]
}

@test "OWNER is USER at this host when there is no LOGNAME" {
  token=$(LOGNAME='' USER=bob "$RLOCK" acquire "$K")

  [ "$(field "$token" 2)" = "bob@$(uname -n)" ]
}

@test "OWNER is the uid at this host when there is neither LOGNAME nor USER" {
  token=$(env -u LOGNAME -u USER "$RLOCK" acquire "$K")

  [ "$(field "$token" 2)" = "$(id -u)@$(uname -n)" ]
}

@test "--owner and -m are percent-encoded but for letters, digits and -._@" {
  token=$("$RLOCK" acquire --owner "a-Z_0.9@h ~'\$é" -m $'why: "x"\n50%' "$K")

  [ "$(field "$token" 2)" = 'a-Z_0.9@h%20%7E%27%24%C3%A9' ]
  [ "$(field "$token" 6)" = 'why%3A%20%22x%22%0A50%25' ]
}

@test "an owner of 255 bytes and a message of 1024 fit, whatever they are" {
  token=$("$RLOCK" acquire --owner "$(bytes 255 '~')" \
    -m "$(bytes 1024 '%')" "$K")

  [ "$(field "$token" 2 | wc -c)" = $((3 * 255 + 1)) ]
  [ "$(field "$token" 6 | wc -c)" = $((3 * 1024 + 1)) ]
  [ "$token" = "$(cli GET "$K")" ]
}

@test "an owner of 256 bytes is a usage error" {
  run -64 --separate-stderr "$RLOCK" acquire --owner "$(bytes 256 x)" "$K"

  [ -z "$output" ]
  [[ $stderr == "rlock: --owner 'xxx"*"...' is longer than 255 bytes" ]]
  is_free "$K"
}

@test "a message of 1025 bytes is a usage error" {
  run -64 --separate-stderr "$RLOCK" acquire -m "$(bytes 1025 x)" "$K"

  [ -z "$output" ]
  [[ $stderr == "rlock: --message 'xxx"*"...' is longer than 1024 bytes" ]]
  is_free "$K"
}

@test "an empty owner is a usage error" {
  run -64 "$RLOCK" acquire --owner '' "$K"

  [ "$output" = "rlock: --owner '' is empty" ]
}

# --- how long it lives ----------------------------------------------------

@test "the lock lives ten minutes when -t does not say otherwise" {
  token=$("$RLOCK" acquire "$K")

  left=$(cli PTTL "$K")
  ((left > 599000 && left <= 600000))
  [ "$(field "$token" 4)" = 600000 ]
}

@test "-t sets the key's expiry in milliseconds" {
  token=$("$RLOCK" acquire -t 1.5m "$K")

  left=$(cli PTTL "$K")
  ((left > 89000 && left <= 90000))
  [ "$(field "$token" 4)" = 90000 ]
}

@test "-t none takes a lock that never expires" {
  token=$("$RLOCK" acquire -t none "$K")

  [ "$(cli PTTL "$K")" = -1 ]
  [ "$(field "$token" 4)" = 0 ]
}

@test "the fence's key expires even when the lock does not, after a year" {
  "$RLOCK" acquire -t none "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 31535990000 && left <= 31536000000))
}

@test "the fence's key of a lock that never expired stays a day after the release" {
  "$RLOCK" acquire -t none -f token "$K"
  "$RLOCK" release -f token "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 86390000 && left <= 86400000))
}

@test "the fence's key outlives a long lock: it lives twice as long" {
  "$RLOCK" acquire -t 20d "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  day=86400000
  ((left > 40 * day - 10000 && left <= 40 * day))
}

@test "on a terminal one line says until when a lock with the default TTL lives" {
  run -0 on_terminal '' "$RLOCK" acquire "$K"

  [ "${#lines[@]}" = 2 ]
  [ "${lines[0]}" = "$(cli GET "$K")" ]
  [[ ${lines[1]} =~ ^"rlock: '$K' is yours until "([0-9-]+ )?[0-9:]{8}" (10m0s; choose with --ttl)"$ ]]
}

@test "nothing is said about the TTL when -t was given" {
  run -0 on_terminal '' "$RLOCK" acquire -t 10m "$K"

  [ "$output" = "$(cli GET "$K")" ]
}

@test "nothing is said about the TTL under -q" {
  run -0 on_terminal '' "$RLOCK" acquire -q "$K"

  [ "$output" = "$(cli GET "$K")" ]
}

@test "nothing is said about the TTL when stderr is no terminal" {
  run -0 on_terminal '' sh -c '"$RLOCK" acquire "$1" 2>err' sh "$K"

  [ "$output" = "$(cli GET "$K")" ]
  [ ! -s err ]
}

# --- a token of one's own -------------------------------------------------

@test "[6] --token is used verbatim, quotes and UTF-8 and all" {
  token=$'it\'s "mine"\\ $x `y` *\n\tgrüße 锁'
  "$RLOCK" acquire --token "$token" "$K" >out

  printf '%s\n' "$token" | cmp - out
  cli GET "$K" | cmp - out
}

@test "--token takes 4096 bytes" {
  token=$(bytes 4096 abc)
  run -0 "$RLOCK" acquire --token "$token" "$K"

  [ "$output" = "$token" ]
  [ "$(cli STRLEN "$K")" = 4096 ]
}

@test "a --token of 4097 bytes is a usage error" {
  run -64 "$RLOCK" acquire --token "$(bytes 4097 x)" "$K"

  [ "$output" = 'rlock: --token is longer than 4096 bytes' ]
  is_free "$K"
}

@test "[40] a --token that is refused is not shown" {
  run -64 "$RLOCK" acquire --token "$(bytes 4097 x)" "$K"

  [[ $output != *xxxxxxxxx* ]]
}

@test "an empty --token is a usage error" {
  run -64 "$RLOCK" acquire --token '' "$K"

  [ "$output" = 'rlock: --token is empty' ]
  is_free "$K"
}

@test "a token that owns the lock acquires it again, and stderr says so" {
  "$RLOCK" acquire --token mine "$K"

  run -0 --separate-stderr "$RLOCK" acquire --token mine "$K"

  [ "$output" = mine ]
  [ "$stderr" = "rlock: '$K' was already held with this token" ]
}

@test "[39] acquiring again with the same token gives the same fence" {
  one=$("$RLOCK" acquire --json --token mine "$K")
  two=$("$RLOCK" acquire -q --json --token mine "$K")

  [ "$(json "$one" fence)" = "$(json "$two" fence)" ]
}

@test "acquiring again with the same token sets the TTL anew" {
  "$RLOCK" acquire --token mine -t 10s "$K"
  "$RLOCK" acquire -q --token mine -t 60s "$K"

  left=$(cli PTTL "$K")
  ((left > 59000 && left <= 60000))
}

@test "acquiring again with -t none makes the lock persistent" {
  "$RLOCK" acquire --token mine -t 10s "$K"
  "$RLOCK" acquire -q --token mine -t none "$K"

  [ "$(cli PTTL "$K")" = -1 ]
}

@test "another token does not get a lock that is held" {
  "$RLOCK" acquire --token mine "$K"

  run -75 --separate-stderr "$RLOCK" acquire -n --token other "$K"

  [ -z "$output" ]
  [ "$(cli GET "$K")" = mine ]
}

# --- the fence ------------------------------------------------------------

@test "the fence is the server's time in microseconds, kept with the token" {
  before=$(date +%s%6N)
  one=$("$RLOCK" acquire --json "$K")
  after=$(date +%s%6N)

  fence=$(json "$one" fence)
  ((before <= fence && fence <= after))
  [ "$(cli GET "rlock:{$K}:fence")" = "$fence $(json "$one" token)" ]
}

@test "[39] the fence grows with every acquisition" {
  "$RLOCK" acquire --token a "$K"
  one=$(fence "$K")
  "$RLOCK" release --token a "$K"
  "$RLOCK" acquire --token b "$K"

  (($(fence "$K") > one))
}

@test "[39] the fence grows when the same token takes the lock again after a release" {
  # What the helper holds is this token's, but of an earlier acquisition.
  "$RLOCK" acquire --token a "$K"
  one=$(fence "$K")
  "$RLOCK" release --token a "$K"
  "$RLOCK" acquire --token a "$K"

  (($(fence "$K") > one))
}

@test "[39] the fence grows after the lock expired" {
  "$RLOCK" acquire --token a "$K"
  one=$(fence "$K")
  cli PEXPIRE "$K" 20
  wait_until 5 'the lock to expire' is_free "$K"
  "$RLOCK" acquire --token b "$K"

  (($(fence "$K") > one))
}

@test "[39] the fence grows after its key was deleted" {
  "$RLOCK" acquire --token a "$K"
  one=$(fence "$K")
  cli DEL "$K" "rlock:{$K}:fence"
  "$RLOCK" acquire --token b "$K"

  (($(fence "$K") > one))
}

@test "[39] the fence grows after FLUSHALL" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  one=$("$RLOCK" acquire --json "$K")
  own_cli own FLUSHALL
  two=$("$RLOCK" acquire --json "$K")

  (($(json "$two" fence) > $(json "$one" fence)))
}

@test "[39] the fence grows although the server's clock is behind the last one" {
  far=$(($(date +%s%6N) + 60000000))
  cli SET "rlock:{$K}:fence" "$far other"
  one=$("$RLOCK" acquire --json "$K")

  [ "$(json "$one" fence)" = $((far + 1)) ]
}

@test "a helper key that holds anything else is no fence and is replaced" {
  cli SET "rlock:{$K}:fence" 'what is this'
  one=$("$RLOCK" acquire --json "$K")

  (($(json "$one" fence) > 1000000000000000))
  [ "$(fence "$K")" = "$(json "$one" fence)" ]
}

# --- -f -------------------------------------------------------------------

@test "[4] -f writes the token and a newline to the file and nothing to stdout" {
  run -0 "$RLOCK" acquire -f token "$K"

  [ -z "$output" ]
  cli GET "$K" | cmp - token
}

@test "[40] the token file is open to its owner alone, even under umask 0" {
  (umask 0 && "$RLOCK" acquire -f token "$K")

  [ "$(stat -c %a token)" = 600 ]
}

@test "[40] the token file is open to its owner alone, even where a wider one stood" {
  touch token
  chmod 666 token
  "$RLOCK" acquire -f token "$K"

  [ "$(stat -c %a token)" = 600 ]
  cli GET "$K" | cmp - token
}

@test "the token file can be read by its owner under umask 777" {
  (umask 777 && "$RLOCK" acquire -f token "$K")

  [ "$(stat -c %a token)" = 600 ]
}

@test "[40] a symbolic link in the token file's place is replaced, not followed" {
  echo precious >target
  ln -s target token
  "$RLOCK" acquire -f token "$K"

  [ ! -L token ]
  [ "$(<target)" = precious ]
  cli GET "$K" | cmp - token
}

@test "[40] a link to nowhere in the token file's place is replaced, not followed" {
  ln -s nowhere token
  "$RLOCK" acquire -f token "$K"

  [ ! -L token ]
  [ ! -e nowhere ]
}

@test "nothing is left beside the token file" {
  mkdir place
  "$RLOCK" acquire -f place/token "$K"

  [ "$(ls -A place)" = token ]
}

@test "a token file that exists is kept when the lock is held by somebody else" {
  cli SET "$K" other
  mkdir place
  echo old >place/token
  run -75 "$RLOCK" acquire -n -f place/token "$K"

  [ "$(<place/token)" = old ]
  [ "$(ls -A place)" = token ]
}

# no_place PATH WHY: a place for a token file that cannot be is found out
# before the lock is taken, so no command reaches the server: 73, not 69.
no_place() {
  run -73 --separate-stderr "$RLOCK" acquire -u unix:///nowhere -f "$1" "$K"
  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': cannot write token file '$1': $2" ]
}

@test "[4] a directory is no place for the token: 73 before the lock is taken" {
  mkdir place
  no_place place 'Is a directory'
  [ -z "$(ls -A place)" ]
}

@test "[4] a file in a directory that does not exist is no place for the token" {
  no_place gone/token 'No such file or directory'
}

@test "[4] a file below a file is no place for the token" {
  touch file
  no_place file/token 'Not a directory'
}

@test "[4] a device is no place for the token" {
  no_place /dev/null 'not a regular file'
  [ -c /dev/null ]
}

@test "[4] a fifo is no place for the token" {
  mkfifo fifo
  no_place fifo 'not a regular file'
}

@test "[4] an empty file name is no place for the token" {
  no_place '' 'No such file or directory'
}

# --- --export -------------------------------------------------------------

# exports_to SHELL...: what eval makes of --export is what the server has.
exports_to() {
  local name=$K$'-it\'s "a" \n$(x) `y` \\ * '
  run -0 "$@" -euc '
    eval "$("$RLOCK" acquire --export "$1")"
    printf "%s" "$RLOCK_NAME" >name
    printf "%s\n" "$RLOCK_TOKEN" >token
    printf "%s" "$RLOCK_FENCE" >fence
    exec "$RLOCK" release' sh "$name"
  [ -z "$output" ]
  printf '%s' "$name" | cmp - name
  is_free "$name"
  [ "$(<fence) $(<token)" = "$(cli GET "rlock:{$name}:fence")" ]
}

@test "[5] --export prints what eval in dash turns into the lock's variables" {
  exports_to dash
}

@test "[5] --export prints what eval in bash turns into the lock's variables" {
  exports_to bash
}

@test "[5] --export prints what eval in busybox sh turns into the lock's variables" {
  exports_to busybox sh
}

@test "--export quotes a token given with --token" {
  token=$'it\'s "mine" $x\n`y` \\'
  run -0 sh -euc '
    eval "$("$RLOCK" acquire --export --token "$2" "$1")"
    printf "%s" "$RLOCK_TOKEN"' sh "$K" "$token"

  [ "$output" = "$token" ]
}

@test "--export prints one line of the form that the manual shows" {
  run -0 "$RLOCK" acquire --export --token t "$K"

  [ "$output" = "export RLOCK_NAME='$K' RLOCK_TOKEN='t' RLOCK_FENCE=$(fence "$K")" ]
}

# stops STATUS SHELL... -- ARG...: a script does not go on without its lock.
stops() {
  local status=$1 shell=()
  shift
  while [ "$1" != -- ]; do
    shell+=("$1")
    shift
  done
  shift
  run "-$status" --separate-stderr "${shell[@]}" -euc '
    eval "$("$RLOCK" acquire --export "$@")"
    echo went on' sh "$@"
  [ -z "$output" ]
  run "-$status" --separate-stderr "${shell[@]}" -c '
    eval "$("$RLOCK" acquire --export "$@")" || exit
    echo went on' sh "$@"
  [ -z "$output" ]
  run "-$status" --separate-stderr "${shell[@]}" -c '
    env=$("$RLOCK" acquire --export "$@") || exit
    eval "$env"
    echo went on' sh "$@"
  [ -z "$output" ]
}

@test "[5] a script that evals --export ends with 75 when the lock is held" {
  cli SET "$K" other
  stops 75 dash -- -n "$K"
  stops 75 bash -- -n "$K"
  stops 75 busybox sh -- -n "$K"
}

@test "a script that evals --export ends with the status that -E chose" {
  cli SET "$K" other
  stops 9 sh -- -n -E 9 "$K"
}

@test "[5] a script that evals --export ends with 69 when the server is away" {
  stops 69 dash -- -u unix:///nowhere "$K"
  stops 69 bash -- -u unix:///nowhere "$K"
  stops 69 busybox sh -- -u unix:///nowhere "$K"
}

@test "[5] a script that evals --export ends with 64 when the usage is wrong" {
  stops 64 dash -- --ttl never "$K"
  stops 64 bash -- --no-such-option "$K"
  stops 64 busybox sh -- "$K" another
}

@test "[5] --export prints (exit N) and nothing else when the lock is held" {
  cli SET "$K" other
  run -75 --separate-stderr "$RLOCK" acquire --export -n "$K"

  [ "$output" = '(exit 75)' ]
}

@test "a message that reads --export prints nothing when the lock is held" {
  cli SET "$K" other
  run -75 --separate-stderr "$RLOCK" acquire -m --export -n "$K"

  [ -z "$output" ]
}

@test "[5] a script that takes the token with \$(...) || exit ends with the status" {
  cli SET "$K" other
  run -75 --separate-stderr sh -c '
    TOKEN=$("$RLOCK" acquire -n "$1") || exit
    echo went on' sh "$K"

  [ -z "$output" ]
}

# --- --json ---------------------------------------------------------------

@test "[4] --json prints name, token, fence, ttl_ms and acquired_at on one line" {
  "$RLOCK" acquire --json -t 90s "$K" >out

  [ "$(wc -l <out)" = 1 ]
  run -0 /usr/bin/python3 -c '
import datetime, json, sys, time
o = json.load(open("out"))
assert list(o) == ["name", "token", "fence", "ttl_ms", "acquired_at"], o
assert o["name"] == sys.argv[1]
assert o["token"] == sys.argv[2]
assert type(o["fence"]) is int
assert o["ttl_ms"] == 90000
at = datetime.datetime.strptime(o["acquired_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
age = time.time() - at.replace(tzinfo=datetime.timezone.utc).timestamp()
assert -1 < age < 10, age
print(o["fence"])' "$K" "$(cli GET "$K")"
  [ "$output" = "$(fence "$K")" ]
}

@test "of -f, --export and --json the last one counts" {
  "$RLOCK" acquire --token a -f token --export --json "$K" >out
  [ ! -e token ]
  [ "$(json "$(<out)" token)" = a ]

  "$RLOCK" acquire -q --token a --json --export -f token "$K" >out
  [ ! -s out ]
  [ "$(<token)" = a ]
}

# --- what goes wrong after the lock was taken -----------------------------

@test "[4] stdout on a full device: 74, and the lock is free again" {
  run -74 sh -c '"$RLOCK" acquire "$1" >/dev/full' sh "$K"

  [ "$output" = "rlock: '$K': cannot write to standard output: No space left on device" ]
  is_free "$K"
}

@test "[4] stdout closed: 74, and the lock is free again" {
  run -74 sh -c '"$RLOCK" acquire "$1" >&-' sh "$K"

  [ "$output" = "rlock: '$K': cannot write to standard output: Bad file descriptor" ]
  is_free "$K"
}

@test "[4] stdout on a full device with --json and --export: 74, and the lock is free again" {
  run -74 sh -c '"$RLOCK" acquire --json "$1" >/dev/full' sh "$K"
  is_free "$K"
  run -74 sh -c '"$RLOCK" acquire --export "$1" >/dev/full' sh "$K"
  is_free "$K"
}

@test "[34] stdin and stderr closed: the lock is taken as always" {
  run -0 sh -c '"$RLOCK" acquire "$1" <&- 2>&-' sh "$K"

  [ "$output" = "$(cli GET "$K")" ]
}

@test "[4] a token file that cannot be renamed into place: 73, and the lock is free again" {
  # The place turns into a directory while rlock waits for the lock.
  cli SET "$K" other
  start_job "$RLOCK" acquire -f token "$K"
  wait_until 5 'rlock to wait' waits_at_server
  mkdir token
  cli DEL "$K"

  job_ends 73
  [ "$(<"$JOB_ERR")" = "rlock: '$K': cannot write token file 'token': Is a directory" ]
  is_free "$K"
  [ -z "$(ls -A token)" ]
  # Nothing beside it but the job's own stdout and stderr.
  [ "$(echo *)" = 'job0.err job0.out token' ]
}

# --- on the wire ----------------------------------------------------------

@test "a plain acquire sends CLIENT SETNAME and one EVAL, and nothing else" {
  own_server own
  start_job own_cli own MONITOR
  disown "$JOB"
  wait_until 5 'MONITOR to begin' grep -q OK "$JOB_OUT"
  "$RLOCK" acquire -u "unix://$BATS_TEST_TMPDIR/own" "$K"
  own_cli own ECHO enough
  wait_until 5 'MONITOR to end' grep -q '"enough"' "$JOB_OUT"

  # What the script itself calls is marked "lua".
  run -0 grep -v -e ' lua\] ' -e '"ECHO"' -e '^OK$' "$JOB_OUT"
  [ "${#lines[@]}" = 2 ]
  [[ ${lines[0]} == *'] "CLIENT" "SETNAME" "rlock"' ]]
  [[ ${lines[1]} == *'] "EVAL" '* ]]
}

@test "what a plain acquire sends goes out in one write" {
  # The leak sanitizer cannot work under strace.
  ASAN_OPTIONS=detect_leaks=0 \
    run -0 strace -f -qq -o trace -e trace=sendto,write,writev,sendmsg \
    "$RLOCK" acquire -f token "$K"

  [ "$(grep -c 'sendto(' trace)" = 1 ]
}
