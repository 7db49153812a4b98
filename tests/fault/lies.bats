# lies.bats - servers that answer nonsense, on purpose or because they are none

load ../lib/common
load ../lib/liar

setup() {
  fresh
  start_liar
  export RLOCK_URL=$LIAR_URL
  SENSELESS="'$LIAR_URL' gave an answer that makes no sense"
}

teardown() {
  touch end
  stop_jobs
}

# TEXT so many times: times N TEXT
times() {
  local text
  printf -v text '%*s' "$1" ''
  echo "${text// /$2}"
}

GARBAGE='say \x00\x01 what? \xff\r\n'
HTTP='say HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'
ALERT='say \x15\x03\x03\x00\x02\x02\x28'
HALF='say *2\r\n:1'
NESTED="say $(times 1000 '*1\r\n')"
MESSAGE='*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n'

# What each command says when the server cannot be understood: is_69 CAUSE.
# It takes no more than so much time and memory, it starts nothing, and all that
# may follow is how to get out of an acquisition in doubt.  Who asks again until
# the time is over, may run out of it in the middle: is_69_late CAUSE.
is_69_late() { is_69 "$1" "no answer in time from '$LIAR_URL'"; }
is_69() {
  local command options
  for command in acquire 'acquire -n' 'acquire -w 200ms' release \
    'release --force --yes' 'extend --by 5s' 'extend --to 5s' \
    'reacquire --ttl 5s' 'reacquire --retake --ttl 5s' status run; do
    options=(--token t)
    [[ $command != *--force* && $command != run ]] || options=()
    options+=("$K")
    [ "$command" != run ] || options+=(echo started)
    # shellcheck disable=SC2086 # a command and its options
    run -69 --separate-stderr bounded 3 24 \
      "$RLOCK" $command --timeout 200ms "${options[@]}"
    echo "$command: $stderr"
    [ -z "$output" ]
    [ "${stderr_lines[0]}" = "rlock: '$K': $1" ] ||
      [ "${stderr_lines[0]}" = "rlock: '$K': ${2-$1}" ]
    [ "${#stderr_lines[@]}" = 1 ] ||
      [[ $command =~ ^acquire|^run|--retake && ${#stderr_lines[@]} = 2 &&
        ${stderr_lines[1]} == "rlock: '$K' may have been taken on '$LIAR_URL': "* ]]
  done
}

# --- no server of ours ------------------------------------------------------

speaks_another() {
  is_69 "'$LIAR_URL' does not speak the Redis protocol (Protocol error, got \"$1\" as reply type byte)"
}

@test "[20] garbage is 69" {
  lie "any $GARBAGE"
  speaks_another '\\x00'
}

@test "[20] HTTP from a wrong port is 69" {
  lie "any $HTTP" 'any close'
  speaks_another H
}

@test "[20] a TLS alert is 69" {
  lie "any $ALERT" 'any close'
  speaks_another '\\x15'
}

@test "[20] another protocol is found out at once, and leaves no acquisition in doubt" {
  lie "any $HTTP"
  begin=$(now_ms)
  run -69 --separate-stderr "$RLOCK" acquire --timeout 20s "$K"

  (($(now_ms) - begin < 10000))
  [ "${#stderr_lines[@]}" = 1 ]
}

# --- replies that are none --------------------------------------------------

@test "[20] half a reply and a close is 69" {
  lie 'setname real' "any $HALF" 'any close'
  is_69_late "'$LIAR_URL' closed the connection"
}

@test "[20] a reply of 512 MB that is announced is 69 after --timeout" {
  lie 'setname real' 'any say $536870912\r\n'
  is_69 "no answer in time from '$LIAR_URL'"
}

@test "[20] a reply of 512 MB that comes is refused, and takes no memory" {
  lie 'setname real' 'any say $536870912\r\n' 'any endless 0123456789'
  is_69_late "'$LIAR_URL' sends a reply that is too long"
}

@test "[20] a line without an end is refused, and takes no memory" {
  lie 'setname real' 'any say +' 'any endless 0123456789'
  is_69_late "'$LIAR_URL' sends a reply that is too long"
}

@test "[20] a list of 2147483647 elements is refused, and takes no memory" {
  lie 'setname real' 'any say *2147483647\r\n' 'any endless :1\r\n'
  is_69_late "'$LIAR_URL' sends a reply that is too long"
}

@test "[20] lists in lists that are large together are refused, and take no memory" {
  lie 'setname real' 'any say *60000\r\n' "any endless *10\r\n$(times 10 ':1\r\n')"
  is_69_late "'$LIAR_URL' sends a reply that is too long"
}

@test "[20] deep nesting is refused" {
  lie 'setname real' "any $NESTED"
  is_69_late "'$LIAR_URL' sends a reply that is too long"
}

@test "[20] lengths that are none are refused" {
  for length in '$-2' '$x' '$9223372036854775808' '*-2' '*x' \
    '*9223372036854775808' ':99999999999999999999' ':' '*'; do
    lie 'setname real' "any say $length\r\n"
    run -69 --separate-stderr bounded 3 24 \
      "$RLOCK" release --timeout 300ms --token t "$K"
    [[ $stderr == "rlock: '$K': "*"'$LIAR_URL'"* ]]
    [ "${#stderr_lines[@]}" = 1 ]
  done
}

@test "[21] a reply that stops in the middle is 69 after --timeout" {
  lie 'setname real' "any $HALF" 'any hush'
  is_69 "no answer in time from '$LIAR_URL'"
}

@test "[20] [21] a reply that comes byte by byte, and never ends, is 69 after --timeout" {
  lie 'setname real' "any crawl \$400\r\n$(times 400 x)"
  is_69 "no answer in time from '$LIAR_URL'"
}

@test "[20] a login that is answered byte by byte is 69 after --timeout" {
  lie "setname crawl +$(times 400 x)"
  is_69 "no answer in time from '$LIAR_URL'"
}

# --- replies that make no sense ---------------------------------------------

# No script of rlock's answers that: senseless REPLY...
senseless() {
  local reply
  for reply; do
    lie 'setname real' "any say $reply"
    is_69 "$SENSELESS"
  done
}

@test "[20] other types than a script's answer are 69" {
  senseless '$-1\r\n' ':1\r\n' '$1\r\n1\r\n' '+OK\r\n'
}

@test "[20] lists of other types are 69" {
  senseless '*0\r\n' '*-1\r\n' '*2\r\n$1\r\n1\r\n:1\r\n' '*1\r\n*1\r\n:1\r\n'
}

@test "[20] a number that no script answers is 69" {
  senseless '*2\r\n:77\r\n$1\r\n1\r\n' '*2\r\n:-9223372036854775808\r\n$1\r\n1\r\n'
}

@test "[20] endless messages that nobody asked for are 69" {
  lie 'setname real' "any endless $MESSAGE"
  is_69 "$SENSELESS"
}

@test "[20] an error of control characters is shown escaped, on one line" {
  lie 'setname real' 'any say -\x1b[31m\x07 a\tb \xc2\x9b\r\n'
  is_69 "server '$LIAR_URL' refuses: \\x1B[31m\\x07 a\\tb \\xC2\\x9B"
}

@test "[20] a line feed in an error begins no line" {
  lie 'setname real' 'any say -a\nb\r\n'
  run -69 "$RLOCK" status "$K"

  # A newer hiredis takes it for no error at all.
  [ "$output" = "rlock: '$K': server '$LIAR_URL' refuses: a\\nb" ] ||
    [ "$output" = "rlock: '$K': '$LIAR_URL' does not speak the Redis protocol (Bad simple string value)" ]
}

@test "[20] an error of a megabyte is cut, and on one line" {
  lie 'setname real' "any say -$(times 100000 '\x1b')\r\n"
  run -69 --separate-stderr bounded 3 24 "$RLOCK" status "$K"

  [ "${#stderr_lines[@]}" = 1 ]
  ((${#stderr} < 1000))
}

@test "[20] an error without a word is 69" {
  lie 'setname real' 'any say -\r\n'
  is_69 "server '$LIAR_URL' refuses: no reason given"
}

@test "[20] the type of a key is shown escaped, and cut" {
  lie "any say *2\r\n:-3\r\n+\x1b[31m$(times 1000 x)\r\n" 'setname real'
  run -65 --separate-stderr "$RLOCK" release --token t "$K"

  [ "${#stderr_lines[@]}" = 1 ]
  [[ $stderr == "rlock: '$K': the key on '$LIAR_URL' is a \\x1B[31mxxx"* ]]
  ((${#stderr} < 200))
}

# --- absurd numbers ---------------------------------------------------------

@test "[20] a fence that is none is no success, and the lock is given back" {
  for fence in 0 -5 +5 ' 5' 5x '' 5.0 1e3 9223372036854775808 \
    18446744073709551617; do
    lie 'acquire ask' "acquire say *2\r\n:1\r\n\$${#fence}\r\n$fence\r\n"
    run -69 --separate-stderr "$RLOCK" acquire "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': $SENSELESS" ]
    is_free "$K"
  done
}

@test "[20] run does not start with a fence that is none" {
  lie 'acquire ask' 'acquire say *2\r\n:1\r\n$1\r\n0\r\n'
  run -69 "$RLOCK" run "$K" touch started

  [ ! -e started ]
  is_free "$K"
}

@test "[20] what is left after an extension is what was asked for, or no success" {
  for left in -1 -2 -9223372036854775808 0 4999 9223372036854775807; do
    lie "extend say *3\r\n:1\r\n\$1\r\n5\r\n:$left\r\n"
    for command in 'extend --to 5s' 'reacquire --ttl 5s'; do
      # shellcheck disable=SC2086 # a command and its options
      run -69 --separate-stderr "$RLOCK" $command --token t --json "$K"
      [ -z "$output" ]
      [ "$stderr" = "rlock: '$K': $SENSELESS" ]
    done
  done
}

@test "[20] less left after extend --by than was added is no success" {
  lie 'extend say *3\r\n:1\r\n$1\r\n5\r\n:4999\r\n'
  run -69 "$RLOCK" extend --by 5s --token t "$K"

  [ "$output" = "rlock: '$K': $SENSELESS" ]
}

@test "[20] absurd times of a holder do no harm" {
  for left in -9223372036854775808 -3 0 9223372036854775807; do
    lie "acquire say *8\r\n:0\r\n\$1\r\nx\r\n:$left\r\n\$1\r\n0\r\n:-1\r\n:0\r\n:$left\r\n\$0\r\n\r\n"
    run -75 "$RLOCK" acquire -n "$K"
    [[ $output == "rlock: '$K' is held by foreign token x, "* ]]
  done
}

@test "[20] an absurd place in line is 69" {
  for place in -2 2147483648 9223372036854775807; do
    lie "acquire say *8\r\n:0\r\n\$1\r\nx\r\n:5\r\n\$1\r\n0\r\n:$place\r\n:0\r\n:0\r\n\$0\r\n\r\n"
    run -69 "$RLOCK" acquire -n --timeout 300ms "$K"
    [[ ${lines[0]} == *' gave an answer that makes no sense' ]]
  done
}

@test "[20] an absurd number of waiters is 69 for status" {
  for count in -1 2147483648 9223372036854775807; do
    lie "look say *6\r\n\$6\r\nstring\r\n\$1\r\nx\r\n:5\r\n\$1\r\n0\r\n:$count\r\n*0\r\n"
    run -69 "$RLOCK" status "$K"
    [ "$output" = "rlock: '$K': $SENSELESS" ]
  done
}

@test "[20] more waiters named than rlock asks for are 69 for status" {
  lie "look say *6\r\n\$6\r\nstring\r\n\$1\r\nx\r\n:5\r\n\$1\r\n0\r\n:9\r\n*1001\r\n$(times 1001 '$1\r\nx\r\n')"
  run -69 "$RLOCK" status "$K"

  [ "$output" = "rlock: '$K': $SENSELESS" ]
}

@test "[20] waiters that are none are shown as unknown" {
  lie 'look say *6\r\n$6\r\nstring\r\n$1\r\nx\r\n:5\r\n$1\r\n0\r\n:4\r\n*4\r\n$-1\r\n:5\r\n*0\r\n$3\r\n\x1b\n\xff\r\n'
  run -0 "$RLOCK" status --json "$K"

  [ "$(json "$output" state)" = held ]
  [ "${#lines[@]}" = 1 ]
}

@test "[20] a scan that does not move on is 69" {
  lie 'scan say *2\r\n$1\r\n7\r\n*0\r\n'
  run -69 --separate-stderr bounded 3 24 "$RLOCK" status

  [ -z "$output" ]
  [ "$stderr" = "rlock: $SENSELESS" ]
}

@test "[20] a scan of keys that are none shows nothing" {
  lie 'scan say *2\r\n$1\r\n0\r\n*5\r\n$-1\r\n:7\r\n*0\r\n$0\r\n\r\n$14\r\nrlock:{}:fence\r\n'
  run -1 --separate-stderr "$RLOCK" status

  [ "${#lines[@]}" -le 1 ]
}

# --- answers too many -------------------------------------------------------

@test "[20] an answer too many is not taken for that of the next request" {
  lie 'acquire real' 'acquire say *1\r\n:0\r\n'
  run -0 --separate-stderr "$RLOCK" run "$K" true

  [ -z "$stderr" ]
  is_free "$K"
}

@test "[20] a message that nobody asked for is not taken for an answer" {
  lie 'acquire real' "acquire say $MESSAGE"
  run -0 --separate-stderr "$RLOCK" run "$K" true

  [ -z "$stderr" ]
  is_free "$K"
}

@test "[20] an answer ahead of the right one is 69, and the lock is given back" {
  lie 'acquire say *2\r\n:0\r\n$0\r\n\r\n' 'acquire real'
  run -69 --separate-stderr "$RLOCK" acquire -n "$K"

  [ "$stderr" = "rlock: '$K': $SENSELESS" ]
  is_free "$K"
}

# --- lies in the middle of a wait -------------------------------------------

# A waiter bears lies, and has the lock when the truth is told again: bears LINE...
bears() {
  local asked
  cli SET "$K" other
  start_job bounded 60 24 "$RLOCK" acquire -q --timeout 300ms --token t "$K"
  wait_until 10 'the waiter to be in line' asked_for acquire 2
  lie "$@"
  asked=$(asked '.*')
  wait_until 20 'the waiter to ask in vain' asked_for '.*' $((asked + 6))
  is_gone "$JOB" && return 1
  lie ''
  cli DEL "$K"

  job_ends 0
  [ "$(cli GET "$K")" = t ]
}

@test "[20] a waiter bears garbage" { bears "acquire $GARBAGE"; }
@test "[20] a waiter bears HTTP" { bears "any $HTTP" 'any close'; }
@test "[20] a waiter bears a TLS alert" { bears "any $ALERT" 'any close'; }
@test "[20] a waiter bears half a reply and a close" { bears "acquire $HALF" 'acquire close'; }
@test "[20] a waiter bears a reply of 512 MB" { bears 'acquire say $536870912\r\n' 'acquire endless 0123456789'; }
@test "[20] a waiter bears deep nesting" { bears "acquire $NESTED"; }
@test "[20] a waiter bears other types" { bears 'acquire say +OK\r\n'; }
@test "[20] a waiter bears a reply that never ends" { bears 'acquire crawl $400\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; }
@test "[20] a waiter bears endless messages in place of an answer" { bears "acquire endless $MESSAGE"; }
@test "[20] a waiter bears absurd numbers" {
  bears 'acquire say *8\r\n:0\r\n$1\r\nx\r\n:9223372036854775807\r\n$1\r\n0\r\n:9223372036854775807\r\n:-5\r\n:5\r\n$0\r\n\r\n'
}

@test "[20] a wait that ends amid lies is 69, at its limit" {
  cli SET "$K" other
  begin=$(now_ms)
  start_job bounded 20 24 "$RLOCK" acquire -q -w 2s --timeout 300ms "$K"
  wait_until 10 'the waiter to be in line' asked_for acquire 2
  lie 'acquire say +OK\r\n'

  job_ends 69
  took=$(($(now_ms) - begin))
  ((2000 <= took && took < 5000))
  [ "$(head -n 1 "$JOB_ERR")" = "rlock: '$K': $SENSELESS" ]
}

# The same where the watch is opened, and where changes are told: the line does
# not depend on it.  hears KIND LINE...
hears() {
  cli SET "$K" other
  lie "${@:2}"
  start_job bounded 60 24 "$RLOCK" acquire -q --timeout 300ms --token t "$K"
  wait_until 10 'the waiter to be in line' asked_for acquire 2
  wait_until 10 'the waiter to listen' asked_for "$1" 1
  cli DEL "$K"
  begin=$(now_ms)

  job_ends 0
  (($(now_ms) - begin < 8000))
}

@test "[20] a waiter bears garbage where it listens" { hears publish "ear $GARBAGE"; }
@test "[20] a waiter bears endless messages where it listens" { hears publish "ear endless $MESSAGE"; }
@test "[20] a waiter bears a message of 512 MB where it listens" { hears publish 'ear say $536870912\r\n' 'ear endless 0123456789'; }
@test "[20] a waiter bears deep nesting where it listens" { hears publish "ear $NESTED"; }
@test "[20] a waiter bears messages of other types" { hears publish 'ear endless :1\r\n*0\r\n$-1\r\n*3\r\n*1\r\n:1\r\n:5\r\n*0\r\n'; }
@test "[20] a waiter bears a CLIENT ID that is none" { hears id 'id say +OK\r\n'; }
@test "[20] a waiter bears an absurd CLIENT ID" { hears id 'id say :-9223372036854775808\r\n'; }
@test "[20] a waiter bears garbage for CLIENT ID" { hears id "id $GARBAGE"; }
@test "[20] a waiter bears a SUBSCRIBE that is not confirmed" { hears subscribe 'subscribe say +OK\r\n'; }
@test "[20] a waiter bears garbage for CLIENT TRACKING" { hears tracking "tracking $GARBAGE"; }
@test "[20] a waiter bears garbage for PUBLISH" { hears publish "publish $GARBAGE"; }

# --- lies while a command runs ----------------------------------------------

# Starts a command under a lease of 3 s, renewed every 500 ms, that goes on until
# there is a file "end".
start_long() {
  start_job bounded 60 24 "$RLOCK" run -t 3s -k 100ms --renew 500ms \
    --timeout 300ms "$K" \
    sh -c ': >started; while ! [ -e end ]; do sleep 0.02; done; exit 5'
  wait_until 10 'the command' [ -e started ]
}

# A run bears lies instead of renewals, says so once, and goes on when the truth
# is told again: run_bears PATTERN LINE...
run_bears() {
  local asked cause=$1
  shift
  start_long
  wait_until 10 'a renewal' asked_for extend 1
  lie "$@"
  wait_until 10 'a complaint' [ -s "$JOB_ERR" ]
  lie ''
  asked=$(asked extend)
  wait_until 10 'two renewals' asked_for extend $((asked + 2))
  touch end

  job_ends 5
  # shellcheck disable=SC2053 # a pattern
  [[ $(<"$JOB_ERR") == "rlock: '$K': cannot renew: "$cause'; trying again' ]]
  is_free "$K"
}

@test "[20] run bears garbage for a renewal" { run_bears "'$LIAR_URL' does not speak the Redis protocol (*)" "extend $GARBAGE"; }
@test "[20] run bears HTTP for a renewal" { run_bears "'$LIAR_URL' does not speak the Redis protocol (*)" "any $HTTP" 'any close'; }
@test "[20] run bears half a reply and a close for a renewal" { run_bears "'$LIAR_URL' closed the connection" "extend $HALF" 'extend close'; }
@test "[20] run bears a renewal of 512 MB" { run_bears "'$LIAR_URL' sends a reply that is too long" 'extend say $536870912\r\n' 'extend endless 0123456789'; }
@test "[20] run bears deep nesting for a renewal" { run_bears "'$LIAR_URL' sends a reply that is too long" "extend $NESTED"; }
@test "[20] run bears other types for a renewal" { run_bears "$SENSELESS" 'extend say *2\r\n$1\r\n1\r\n$1\r\n1\r\n'; }
@test "[20] run bears a renewal that never ends" { run_bears "no answer in time from '$LIAR_URL'" "extend crawl \$400\r\n$(times 400 x)"; }
@test "[20] run bears endless messages for a renewal" { run_bears "$SENSELESS" "extend endless $MESSAGE"; }
@test "[20] run believes in no lease but what it asked for" { run_bears "$SENSELESS" 'extend say *3\r\n:1\r\n$1\r\n5\r\n:9223372036854775807\r\n'; }

@test "[20] a command whose renewals are lies to the end is stopped in time: 79" {
  start_long
  wait_until 10 'a renewal' asked_for extend 1
  lie 'any say *3\r\n:1\r\n$1\r\n5\r\n:86400000\r\n'

  job_ends 79
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' on '$LIAR_URL' was lost: no renewal was confirmed in time; the command is stopped" ]
}

@test "[20] a release at the end that is answered with garbage costs a warning, not the status" {
  lie "release $GARBAGE"
  run -5 --separate-stderr bounded 5 24 "$RLOCK" run --timeout 300ms "$K" \
    sh -c 'exit 5'

  [ "${#stderr_lines[@]}" = 1 ]
  [[ $stderr == "rlock: '$K': cannot release: '$LIAR_URL' does not speak the Redis protocol ("*"); it frees itself within "* ]]
}

# The watch of a run is lied to; the command does not notice, and its lock is
# renewed: run_watches KIND LINE...
run_watches() {
  lie "${@:2}"
  start_long
  wait_until 10 'the watch' asked_for "$1" 1
  wait_until 10 'two renewals' asked_for extend 2
  touch end

  job_ends 5
  [ ! -s "$JOB_ERR" ]
  is_free "$K"
}

@test "[20] run bears garbage where it listens" { run_watches tracking "ear $GARBAGE"; }
@test "[20] run bears endless messages where it listens" { run_watches tracking "ear endless $MESSAGE"; }
@test "[20] run bears a message of 512 MB where it listens" { run_watches tracking 'ear say $536870912\r\n' 'ear endless 0123456789'; }
@test "[20] run bears deep nesting where it listens" { run_watches tracking "ear $NESTED"; }
@test "[20] run bears messages of other types" { run_watches tracking 'ear endless :1\r\n*0\r\n$-1\r\n*3\r\n*1\r\n:1\r\n:5\r\n*0\r\n'; }
@test "[20] run bears garbage for CLIENT ID" { run_watches id "id $GARBAGE"; }
@test "[20] run bears a CLIENT ID that is none" { run_watches id 'id say +OK\r\n'; }
@test "[20] run bears a SUBSCRIBE that is not confirmed" { run_watches subscribe 'subscribe say +OK\r\n'; }
@test "[20] run bears a reply of 512 MB to SUBSCRIBE" { run_watches subscribe 'subscribe say $536870912\r\n' 'subscribe endless 0123456789'; }
@test "[20] run bears garbage for CLIENT TRACKING" { run_watches tracking "tracking $GARBAGE"; }
@test "[20] run bears garbage for CLIENT CACHING" { run_watches caching "caching $GARBAGE"; }
@test "[20] run bears garbage for a look" { run_watches look "look $GARBAGE"; }
@test "[20] run bears other types for a look" { run_watches look 'look say +OK\r\n'; }
