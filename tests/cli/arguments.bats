# arguments.bats - what is understood, and what is refused before any server
# hears of it

load ../lib/common

TRY="(try 'rlock acquire --help')"
NO_DURATION='is no duration (500ms, 1.5s, 10m, 2h, 1d)'

# refuses TEXT ARGUMENT...: 64 and one line on stderr.  Nobody listens at the
# server's address: whoever went there would get 69.
refuses() {
  local text=$1
  shift
  RLOCK_URL=${URL-unix:///nowhere} run -64 --separate-stderr "$RLOCK" "$@"
  [ -z "$output" ]
  [ "$stderr" = "rlock: $text" ]
}

# --- durations ------------------------------------------------------------

@test "[3] a duration that is none is 64, wherever one is wanted" {
  for bad in -5 1h30 ' 5' '5 ' nan inf 1e18 9223372036854775807ms '' 1.s .5s \
    s ms +5 0x10 5S 5min '5 s' 1,5 1.2.3 1w 1us --5 5ms5 $'5\n' ٥; do
    refuses "--ttl '${bad//$'\n'/\\n}' $NO_DURATION" acquire --ttl "$bad" "$K"
  done
  for bad in -5 1h30 '' nan; do
    refuses "--wait '$bad' $NO_DURATION" acquire -w "$bad" "$K"
    refuses "--timeout '$bad' $NO_DURATION" status --timeout "$bad" "$K"
    refuses "--by '$bad' $NO_DURATION" extend --token t --by "$bad" "$K"
    refuses "--to '$bad' $NO_DURATION" extend --token t --to "$bad" "$K"
  done
}

@test "[3] a duration beyond a hundred years is 64" {
  refuses "--ttl '36501d' $NO_DURATION" acquire -t 36501d "$K"
  refuses "--ttl '99999999999999999999' $NO_DURATION" \
    acquire -t 99999999999999999999 "$K"
}

# lasts DUR MS: the duration is so many milliseconds.
lasts() {
  run -0 "$RLOCK" acquire --json -t "$1" -- "$K.$1"
  [ "$(json "$output" ttl_ms)" = "$2" ]
}

@test "durations have the units ms, s, m, h and d; without one they are seconds" {
  lasts 500ms 500
  lasts 30s 30000
  lasts 5m 300000
  lasts 2h 7200000
  lasts 1d 86400000
  lasts 30 30000
}

@test "durations may have fractions, rounded down to a millisecond" {
  lasts 1.5s 1500
  lasts 0.25 250
  lasts 1.9999s 1999
  lasts 5000.7ms 5000
  lasts 0.001h 3600
  lasts 00000000000000000000001s 1000
}

@test "[3] a TTL of less than a millisecond is 64" {
  refuses "--ttl '0' is less than a millisecond" acquire --ttl 0 "$K"
  refuses "--ttl '0d' is less than a millisecond" acquire -t 0d "$K"
  refuses "--ttl '0.9ms' is less than a millisecond" acquire -t 0.9ms "$K"
}

@test "a --timeout of less than a millisecond is 64" {
  refuses "--timeout '0' is less than a millisecond" \
    acquire --timeout 0 "$K"
}

@test "none is a TTL and no wait, forever a wait and no TTL" {
  refuses "--wait 'none' $NO_DURATION" acquire -w none "$K"
  refuses "--ttl 'forever' $NO_DURATION" acquire -t forever "$K"
  refuses "--ttl 'None' $NO_DURATION" acquire -t None "$K"
}

# --- numbers --------------------------------------------------------------

@test "[3] -E that is no number from 0 to 255 is 64" {
  for bad in 256 abc -1 '' ' 1' 1.0 1000 0x1 +1 99999999999; do
    refuses "--conflict-exit-code '$bad' is no number from 0 to 255" \
      acquire -E "$bad" "$K"
  done
}

# --- options --------------------------------------------------------------

@test "an unknown option is 64" {
  refuses "unknown option, or one without a value: '--bogus' $TRY" \
    acquire --bogus "$K"
  refuses "unknown option, or one without a value: '-Z' $TRY" acquire -Z "$K"
  refuses "unknown option, or one without a value: '-nZ' $TRY" acquire -nZ "$K"
}

@test "what follows the = of an unknown option is not shown" {
  refuses "unknown option, or one without a value: '--passwd' $TRY" \
    acquire --passwd=secret "$K"
}

@test "an option of another command is 64" {
  refuses "unknown option, or one without a value: '--force' $TRY" \
    acquire --force "$K"
  refuses "unknown option, or one without a value: '--export' (try 'rlock release --help')" \
    release --export "$K"
  refuses "unknown option, or one without a value: '-t' (try 'rlock status --help')" \
    status -t 5s "$K"
}

@test "an abbreviated option is 64" {
  refuses "unknown option, or one without a value: '--tt' $TRY" \
    acquire --tt 5s "$K"
  refuses "unknown option, or one without a value: '--nonbloc' $TRY" \
    acquire --nonbloc "$K"
  refuses "unknown option, or one without a value: '--own' $TRY" \
    acquire --own=me "$K"
}

@test "a missing value is 64" {
  refuses "a value is missing after '--ttl' $TRY" acquire "$K" --ttl
  refuses "a value is missing after '-w' $TRY" acquire "$K" -w
  refuses "a value is missing after '-nw' $TRY" acquire "$K" -nw
}

@test "a value for a flag is 64" {
  refuses "unknown option, or one without a value: '--nonblock' $TRY" \
    acquire --nonblock=1 "$K"
}

@test "options are taken in all of getopt's forms" {
  cli SET "$K" other

  run -9 "$RLOCK" acquire -n -E 9 "$K"
  run -9 "$RLOCK" acquire -nE9 "$K"
  run -9 "$RLOCK" acquire -nqE 9 "$K"
  run -9 "$RLOCK" acquire --nonblock --conflict-exit-code=9 "$K"
  run -9 "$RLOCK" acquire --nonblock --conflict-exit-code 9 "$K"
}

@test "options may stand before and after NAME" {
  cli SET "$K" other

  run -9 "$RLOCK" acquire "$K" -n -E 9
  run -9 "$RLOCK" acquire -E 9 "$K" -n
  run -79 "$RLOCK" release "$K" --token t
  run -79 "$RLOCK" extend "$K" --to 5s --token t
  run -0 "$RLOCK" status "$K" --json nobody
}

@test "of an option given twice the last one counts" {
  run -0 "$RLOCK" acquire --json -t 5s -t 10s "$K"

  [ "$(json "$output" ttl_ms)" = 10000 ]
}

@test "-- is accepted by every command" {
  "$RLOCK" acquire --token t -- "$K"
  run -0 "$RLOCK" status -- "$K"
  run -0 "$RLOCK" extend --to 5m --token t -- "$K"
  run -0 "$RLOCK" reacquire --ttl 5m --token t -- "$K"
  run -0 "$RLOCK" release --token t -- "$K"
  is_free "$K"
  run -0 "$RLOCK" run -n "$K" -- true
}

@test "-- may follow NAME" {
  run -0 "$RLOCK" acquire --token t "$K" --
  run -0 "$RLOCK" status "$K" --
  run -0 "$RLOCK" release --token t "$K" --
}

@test "after -- nothing is an option" {
  "$RLOCK" acquire --token t -- --json
  run -0 "$RLOCK" status -- --json

  [[ $output == NAME* ]]
  [[ ${lines[1]} == --json* ]]
}

@test "two names are 64" {
  refuses 'one lock at a time: there are 2 names' acquire "$K" b
  refuses 'one lock at a time: there are 3 names' release --token t "$K" b c
  refuses 'one lock at a time: there are 2 names' \
    extend --token t --to 5s "$K" -- -n
  refuses 'one lock at a time: there are 2 names' reacquire --token t "$K" b
}

@test "no name is 64" {
  refuses "no lock named $TRY" acquire
  refuses "no lock named $TRY" acquire --
  refuses "no lock named (try 'rlock release --help')" release --token t
  refuses "no lock named (try 'rlock extend --help')" extend --to 5s --token t
  refuses "no lock named (try 'rlock reacquire --help')" reacquire --token t
}

@test "--holder and --yes without --force are 64" {
  refuses '--holder and --yes go with --force' \
    release --token t --holder x "$K"
  refuses '--holder and --yes go with --force' release --token t --yes "$K"
}

@test "an empty --holder is 64" {
  refuses '--holder is empty' release --force --holder '' "$K"
}

# --- URLs -----------------------------------------------------------------

@test "two --url are 64" {
  refuses '--url was given twice' \
    acquire -u unix:///nowhere --url unix:///nowhere "$K"
}

# no_url URL WHY: the URL is refused, and a password in it not shown.
no_url() {
  refuses "bad server URL: $2" acquire -u "$1" "$K"
  URL=$1 refuses "bad server URL: $2" acquire "$K"
}

@test "a URL with another scheme is 64" {
  for url in http://h rediss:/h redis:h localhost localhost:6379 /path/s \
    REDIS://h unix:/s 'redis+x://h'; do
    no_url "$url" 'it starts with neither redis:// nor unix://'
  done
}

@test "a URL with a port that is none is 64" {
  for port in 0 65536 x '' -1 +1 ' ' 123456 6379x; do
    [ "$port" = ' ' ] && continue
    no_url "redis://h:$port" 'the port is not a number from 1 to 65535'
  done
}

@test "a URL with a db that is no number is 64" {
  for db in x -1 +1 1x 1/2 0x1 9999999; do
    no_url "redis://h/$db" 'the db is not a number'
    no_url "unix:///s?db=$db" 'the db is not a number'
  done
  no_url 'unix:///s?db=' 'the db is not a number'
}

@test "a URL without a host is 64" {
  no_url redis:// 'no host'
  no_url redis:///0 'no host'
  no_url redis://:6379 'no host'
  no_url redis://user:secret@ 'no host'
  no_url redis://user:secret@:6379/0 'no host'
  no_url 'redis://[]' 'no host'
}

@test "a URL with half a pair of brackets is 64" {
  no_url 'redis://[::1' "a '[' without its ']'"
  no_url 'redis://[::1]x' "something follows the ']'"
}

@test "a URL with a blank is 64" {
  no_url 'redis://h x' 'it holds a blank, and only one server can be named'
  no_url ' redis://h' 'it holds a blank, and only one server can be named'
  no_url $'redis://h\n' 'it holds a blank, and only one server can be named'
}

@test "a URL with a query or a fragment that is not known is 64" {
  no_url 'redis://h?db=1' "no '?' or '#' can follow a host"
  no_url 'redis://h#x' "no '?' or '#' can follow a host"
  no_url 'unix:///s?x=1' "only '?db=N' can follow a path"
}

@test "a URL with half an escape is 64" {
  no_url 'redis://user:secr%et@h' "a '%' in it starts no valid escape"
  no_url 'redis://user:secret%@h' "a '%' in it starts no valid escape"
  no_url 'redis://h%00' "a '%' in it starts no valid escape"
}

@test "a socket's path that is none is 64" {
  no_url unix:// 'no path of a socket'
  no_url unix:/// 'no path of a socket'
  no_url unix://s 'no path of a socket'
  no_url unix://relative/s "the path of a socket starts with '/'"
  no_url "unix:///$(printf '%0200d' 0)" 'the path is too long for a socket'
}

# --- no command reaches a server ------------------------------------------

@test "[3] no bad argument makes rlock speak to a server" {
  own_server own
  export RLOCK_URL=unix://$BATS_TEST_TMPDIR/own
  before=$(own_cli own INFO stats | grep total_connections_received)
  run -64 "$RLOCK" acquire -w -5 "$K"
  run -64 "$RLOCK" acquire --ttl 1h30 "$K"
  run -64 "$RLOCK" acquire -E 256 "$K"
  run -64 "$RLOCK" acquire "$K" b
  run -64 "$RLOCK" acquire ''
  run -64 "$RLOCK" extend --token t --by 0 "$K"
  run -64 "$RLOCK" release "$K"
  run -64 "$RLOCK" release --force "$K" b
  run -64 "$RLOCK" status --match 'a*' "$K"
  run -64 "$RLOCK" reacquire --token foreign "$K"
  run -64 "$RLOCK" run "$K"
  after=$(own_cli own INFO stats | grep total_connections_received)

  # Only the second look itself.
  before=${before//[!0-9]/} after=${after//[!0-9]/}
  [ "$((after - before))" = 1 ]
}

# --- commands, help, version ----------------------------------------------

@test "no command is 64" {
  refuses "no command (try 'rlock --help')"
}

@test "an unknown command is 64" {
  refuses "unknown command 'foo' (try 'rlock --help')" foo "$K"
  refuses "unknown command '' (try 'rlock --help')" ''
  refuses "unknown command 'acq' (try 'rlock --help')" acq "$K"
}

@test "--help goes to stdout, and names every command and every exit status" {
  for option in --help -h; do
    run -0 --separate-stderr "$RLOCK" $option

    [ -z "$stderr" ]
    [ "${lines[0]}" = 'usage: rlock COMMAND [OPTION...] ...' ]
    for command in acquire release extend reacquire status run; do
      [[ $output =~ $'\n  '$command\  ]]
    done
    for code in 0 1 64 65 69 70 71 73 74 75 77 78 79 126 127 128; do
      [[ $output =~ $'\n '\ +$code\  ]]
    done
  done
}

@test "--help of a command goes to stdout and shows its options" {
  for command in acquire release extend reacquire status run; do
    for option in --help -h; do
      run -0 --separate-stderr "$RLOCK" $command $option

      [ -z "$stderr" ]
      [[ ${lines[0]} == "usage: rlock $command "* ]]
      [[ $output =~ $'\n  -u, --url URL ' ]]
      [[ $output =~ $'\n      --timeout DUR ' ]]
    done
  done
}

@test "--help wins over whatever else is wrong with the values" {
  run -0 --separate-stderr "$RLOCK" acquire --ttl x a b --help
}

@test "--version goes to stdout" {
  for arguments in --version -V 'acquire --version' 'status -V'; do
    # shellcheck disable=SC2086 # a command and its option
    run -0 --separate-stderr "$RLOCK" $arguments

    [[ $output =~ ^"rlock "[0-9]+\.[0-9]+\.[0-9]+$ ]]
    [ -z "$stderr" ]
  done
}

@test "--help and --version that cannot be written are 74" {
  for arguments in --help --version 'acquire --help' 'release -V'; do
    run -74 sh -c "\"\$RLOCK\" $arguments >/dev/full"

    [ "$output" = 'rlock: cannot write to standard output: No space left on device' ]
  done
}
