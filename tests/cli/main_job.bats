# main_job.bats - what rlock is for: jobs, deployments, and who holds what

load ../lib/common

# The status that a job of ours ended with, in $status.
ended_with() {
  status=0
  wait "$1" || status=$?
}

# Two hosts have this in their crontabs: cron.sh HOST LOCK [OPTION...]
write_cron() {
  mkfifo end
  cat >cron.sh <<'END'
#!/bin/sh
host=$1 lock=$2
shift 2
exec "$RLOCK" run -n --owner "root@$host" -m nightly "$@" "$lock" \
  sh -c 'echo "$1" >>ran; timeout 20 cat end' backup "$host"
END
}

# Lets the backup of cron.sh end.
let_end() { timeout 10 sh -c ': >end'; }

one_is_gone() { is_gone "$1" || is_gone "$2"; }
waits() { grep -q 'is held by' "$1"; }

# --- a job that several hosts would run ---------------------------------

@test "[3] of two hosts that start a job at once one runs it and the other exits 75" {
  write_cron

  start_job sh cron.sh web1 "$K"
  one=$JOB
  start_job sh cron.sh web2 "$K"
  two=$JOB
  wait_until 10 'one of them to give up' one_is_gone "$one" "$two"
  wait_until 10 'the other to run the job' [ -s ran ]
  let_end
  ended_with "$one"
  statuses=$status
  ended_with "$two"
  statuses+=" $status"

  case $statuses in
  '0 75') [ "$(cat ran)" = web1 ] ;;
  '75 0') [ "$(cat ran)" = web2 ] ;;
  *) false ;;
  esac
  is_free "$K"
}

@test "a host that does not get the job says who runs it, and why" {
  write_cron
  start_job sh cron.sh web1 "$K"
  wait_until 10 'the job to run' [ -s ran ]

  run -75 --separate-stderr sh cron.sh web2 "$K"

  [ -z "$output" ]
  [[ $stderr =~ ^"rlock: '$K' is held by root@web1 (pid $JOB) for "[0-9]+m?s", expires in "[0-9]+"s: \"nightly\""$ ]]
  [ "$(cat ran)" = web1 ]
}

@test "status shows which host runs the job while it runs, and no longer" {
  write_cron
  start_job sh cron.sh web1 "$K"
  wait_until 10 'the job to run' [ -s ran ]

  run -0 "$RLOCK" status --json "$K"
  let_end
  ended_with "$JOB"

  [ "$(json "$output" host)" = web1 ]
  [ "$(json "$output" pid)" = "$JOB" ]
  [ "$(json "$output" message)" = nightly ]
  [ "$status" = 0 ]
  run -1 "$RLOCK" status "$K"
}

@test "with --min-hold a host whose clock is late does not run the job again" {
  write_cron
  start_job sh cron.sh web1 "$K" --min-hold 10m
  let_end
  ended_with "$JOB"
  [ "$status" = 0 ]

  run -75 sh cron.sh web2 "$K" --min-hold 10m

  [[ $output = *"is held by root@web1 (pid $JOB) for "* ]]
  [ "$(cat ran)" = web1 ]
  left=$(cli PTTL "$K")
  ((left > 540000 && left <= 600000))
}

@test "with --min-hold a job that failed is not run again either" {
  run -3 "$RLOCK" run -n --min-hold 10m "$K" sh -c 'exit 3'

  run -75 "$RLOCK" run -n --min-hold 10m "$K" touch ran

  [ ! -e ran ]
}

@test "without --min-hold a host whose clock is late runs the job again" {
  for host in web1 web2; do
    write=$(printf 'echo %s >>ran' "$host")
    run -0 "$RLOCK" run -n "$K" sh -c "$write"
  done

  [ "$(cat ran)" = $'web1\nweb2' ]
}

@test "when the time of --min-hold is over the job runs again" {
  run -0 "$RLOCK" run -n --min-hold 300ms "$K" touch first

  wait_until 10 'the time to be over' is_free "$K"
  run -0 "$RLOCK" run -n --min-hold 300ms "$K" touch second

  [ -e second ]
}

@test "status lists a lock as long as --min-hold keeps it" {
  "$RLOCK" run -n --min-hold 7d "$K" true

  lock=$(cli PTTL "$K")
  fence=$(cli PTTL "rlock:{$K}:fence")

  # status finds locks by their fence keys.
  ((lock > 6 * 86400000 && fence >= lock))
}

@test "a host whose job ends lets the next one run" {
  write_cron
  start_job sh cron.sh web1 "$K"
  one=$JOB
  wait_until 10 'the job to run' [ -s ran ]
  start_job "$RLOCK" run -w 20s "$K" sh -c 'echo web2 >>ran'
  wait_until 10 'the other host to wait' waits "$JOB_ERR"

  let_end
  ended_with "$one"
  [ "$status" = 0 ]
  ended_with "$JOB"

  [ "$status" = 0 ]
  [ "$(cat ran)" = $'web1\nweb2' ]
}

# --- a deployment in three scripts --------------------------------------

# build.sh takes the lock, migrate.sh needs more time, activate.sh frees it.
write_deployment() {
  cat >build.sh <<'END'
#!/bin/sh
set -eu
"$RLOCK" acquire -f deploy.token -t 1m --owner alice@ci -m v1.2 "$1"
echo build >>log
END
  cat >migrate.sh <<'END'
#!/bin/sh
set -eu
"$RLOCK" extend --token-file deploy.token --by 10m "$1"
echo migrate >>log
END
  cat >activate.sh <<'END'
#!/bin/sh
set -eu
echo activate >>log
"$RLOCK" release -f deploy.token "$1"
END
}

@test "a deployment holds its lock from its first script to its last" {
  write_deployment

  run -0 sh build.sh "$K"
  [ -z "$output" ]
  [ "$(cat deploy.token)" = "$(cli GET "$K")" ]
  run -0 sh migrate.sh "$K"
  [ "$(cat deploy.token)" = "$(cli GET "$K")" ]
  (($(cli PTTL "$K") > 600000))
  run -0 sh activate.sh "$K"

  is_free "$K"
  [ ! -e deploy.token ]
  [ "$(cat log)" = $'build\nmigrate\nactivate' ]
}

@test "who waits for a deployment has the lock after its last script, not before" {
  write_deployment
  sh build.sh "$K"
  start_job sh -c '"$RLOCK" acquire -w 30s --owner bob@ci "$1" && echo bob >>log' - "$K"
  wait_until 10 'bob to wait' waits "$JOB_ERR"

  sh migrate.sh "$K"
  sh activate.sh "$K"
  ended_with "$JOB"

  [ "$status" = 0 ]
  [ "$(cat log)" = $'build\nmigrate\nactivate\nbob' ]
  [ "$(cat "$JOB_OUT")" = "$(cli GET "$K")" ]
  [[ $(cat "$JOB_ERR") = *"is held by alice@ci (pid "*": \"v1.2\""* ]]
}

@test "a second deployment does not begin while the first one goes on" {
  write_deployment
  sh build.sh "$K"
  mkdir other
  cd other

  run -75 sh -c '"$RLOCK" acquire -n -f deploy.token "$1" && touch log' - "$K"

  [[ $output = *"is held by alice@ci"* ]]
  [ -z "$(ls)" ]
}

@test "a script whose lock was lost stops before it does anything" {
  write_deployment
  sh build.sh "$K"
  cli DEL "$K"

  run -79 sh migrate.sh "$K"

  [[ $output = "rlock: '$K' on "*" is not held: it expired, or was released already" ]]
  [ "$(cat log)" = build ]
}

@test "a script that fails releases the lock in its trap" {
  cat >deploy.sh <<'END'
#!/bin/sh
set -eu
"$RLOCK" acquire -f deploy.token "$1"
trap '"$RLOCK" release -f deploy.token "$1"' EXIT
echo build >>log
sh -c 'exit 4'
echo activate >>log
END

  run -4 sh deploy.sh "$K"

  [ "$(cat log)" = build ]
  [ ! -e deploy.token ]
  is_free "$K"
}

@test "a script that fails lets the next one have the lock" {
  cat >deploy.sh <<'END'
#!/bin/sh
set -eu
"$RLOCK" acquire -f deploy.token "$1"
trap '"$RLOCK" release -f deploy.token "$1"' EXIT
echo started >started
timeout 20 cat end
exit 4
END
  mkfifo end
  start_job sh deploy.sh "$K"
  failing=$JOB
  wait_until 10 'the script to start' [ -s started ]
  start_job "$RLOCK" acquire -w 20s "$K"
  wait_until 10 'the next one to wait' waits "$JOB_ERR"

  let_end
  ended_with "$failing"
  [ "$status" = 4 ]
  ended_with "$JOB"

  [ "$status" = 0 ]
  [ "$(cat "$JOB_OUT")" = "$(cli GET "$K")" ]
}

# --- looked at, and broken by hand --------------------------------------

@test "status shows a row with who holds the lock, how long still, and why" {
  "$RLOCK" acquire -f token --owner alice@web3 -m 'deploy v1.2' "$K"

  run -0 "$RLOCK" status "$K"

  [ "${#lines[@]}" = 2 ]
  [[ ${lines[0]} =~ ^NAME\ +STATE\ +OWNER\ +PID\ +SINCE\ +'EXPIRES IN' ]]
  [[ ${lines[1]} =~ ^$K\ +held\ +alice@web3\ +$$\ +.+\ +(9m|10m).+\ 'deploy v1.2' ]]
}

@test "status --json tells programs all there is to know about the lock" {
  "$RLOCK" acquire -f token --owner alice@web3 -m 'deploy "v1.2"' "$K"

  run -0 "$RLOCK" status --json "$K"

  [ "${#lines[@]}" = 1 ]
  [ "$(json "$output" name)" = "$K" ]
  [ "$(json "$output" state)" = held ]
  [ "$(json "$output" format)" = rlock1 ]
  [ "$(json "$output" owner)" = alice@web3 ]
  [ "$(json "$output" user)" = alice ]
  [ "$(json "$output" host)" = web3 ]
  [ "$(json "$output" pid)" = $$ ]
  [ "$(json "$output" message)" = 'deploy "v1.2"' ]
  [ "$(json "$output" token)" = "$(cat token)" ]
  [ "$(json "$output" ttl_ms)" = 600000 ]
  ((540000 < $(json "$output" expires_in_ms)))
  ((60000 > $(json "$output" held_ms)))
  ((0 < $(json "$output" fence)))
  [ "$(json "$output" server)" = "$RLOCK_URL" ]
  since=$(date -d "$(json "$output" acquired_at)" +%s)
  ((since <= EPOCHSECONDS && EPOCHSECONDS - since < 60))
}

@test "release --force --holder breaks the lock that the JSON showed" {
  "$RLOCK" acquire -f token --owner alice@web3 "$K"
  holder=$(json "$("$RLOCK" status --json "$K")" token)

  run -0 --separate-stderr "$RLOCK" release --force --holder "$holder" "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' was taken from alice@web3 (pid $$)" ]
  is_free "$K"
}

@test "who was evicted is told with 79 that the lock is gone" {
  "$RLOCK" acquire -f token "$K"
  "$RLOCK" release --force --yes "$K"

  run -79 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
  [ ! -e token ]
}

@test "who was evicted is told with 79 who has the lock now" {
  "$RLOCK" acquire -f token --owner alice@web3 "$K"
  "$RLOCK" release --force --yes "$K"
  "$RLOCK" acquire -n -f bobs --owner bob@web2 "$K"

  run -79 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by bob@web2 (pid $$)" ]
  [ "$(cli GET "$K")" = "$(cat bobs)" ]
  [ ! -e token ]
}

@test "release --force --holder never evicts a newer holder" {
  "$RLOCK" acquire -f token --owner alice@web3 "$K"
  holder=$(json "$("$RLOCK" status --json "$K")" token)
  "$RLOCK" release -f token "$K"
  "$RLOCK" acquire -n -f bobs --owner bob@web2 "$K"

  run -79 "$RLOCK" release --force --holder "$holder" "$K"

  [[ $output = *"is held by bob@web2 (pid $$), not by the holder given" ]]
  [ "$(cli GET "$K")" = "$(cat bobs)" ]
}

@test "release --force without a terminal breaks nothing unless told whose" {
  token=$("$RLOCK" acquire "$K")

  run -64 "$RLOCK" release --force "$K" </dev/null

  [[ $output = *"needs --holder TOKEN or --yes" ]]
  [ "$(cli GET "$K")" = "$token" ]
}

# --- many at once -------------------------------------------------------

# Ten processes, each with three turns, write when a turn starts and ends.
@test "of ten competing commands one runs at a time, and fences grow" {
  cat >turns.sh <<'END'
for turn in 1 2 3; do
  "$RLOCK" run "$1" sh -c '
    echo "start $RLOCK_FENCE $$" >>log
    ls >/dev/null
    echo "end $RLOCK_FENCE $$" >>log' || exit
done
END
  pids=()
  for _ in {1..10}; do
    start_job sh turns.sh "$K"
    pids+=("$JOB")
  done

  for pid in "${pids[@]}"; do
    ended_with "$pid"
    [ "$status" = 0 ]
  done

  [ "$(wc -l <log)" = 60 ]
  last=0
  while read -r start fence pid && read -r end same_fence same_pid; do
    [ "$start $end" = 'start end' ]
    [ "$fence $pid" = "$same_fence $same_pid" ]
    ((fence > last))
    last=$fence
  done <log
  is_free "$K"
}
