# replies.bats - replies that are lost or late, and servers that never answer

load ../lib/common

setup() {
  fresh
  start_proxy
}

teardown() {
  touch end
  stop_jobs
}

# Starts rlock with its replies lost from now on: start_deaf ARGUMENT...
start_deaf() {
  proxy drop replies
  start_job "$RLOCK" "$1" -u "$PROXY_URL" "${@:2}"
}

# The connection ends, and the next one is as it should be.
connect_anew() {
  proxy go
  proxy cut
}

lives_longer() { (($(cli PTTL "$K") > $1)); }

# --- lost: asked again ----------------------------------------------------------

@test "[18] an acquisition whose reply was lost is a success, and not held before" {
  start_deaf acquire "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  before=$(fence)
  connect_anew

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
  [ ! -s "$JOB_ERR" ]
  [ "$(fence)" = "$before" ]
}

# Rules of the proxy are for what comes from now on: what is lost stays lost, and
# the connection stays open.
only_that_reply_is_lost() { proxy go; }

@test "[18] a reply that is lost while the connection lives is asked for again" {
  start_deaf acquire -n --timeout 700ms -t 60s "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  before=$(fence)
  only_that_reply_is_lost

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
  [ "$(fence)" = "$before" ]
}

@test "[18] nor does a last attempt at the end of -w lose what it took" {
  start_deaf acquire -q -w 700ms -t 60s "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  only_that_reply_is_lost

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[19] a release whose reply is lost while the connection lives is a success" {
  cli SET "$K" mine PX 60000
  start_deaf release --timeout 700ms --token mine "$K"
  wait_until 5 'the lock to be free' is_free "$K"
  only_that_reply_is_lost

  job_ends 0
}

@test "[18] an acquisition that loses three replies is a success" {
  start_deaf acquire "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  for ttl in 2000 1000; do
    cli PEXPIRE "$K" "$ttl"
    proxy cut
    wait_until 5 'the lock to be taken again' lives_longer 100000
  done
  connect_anew

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[18] a run whose acquisition lost its reply starts the command, once" {
  start_deaf run "$K" sh -c 'echo started; exit 5'
  wait_until 5 'the lock to be taken' is_held "$K"
  connect_anew

  job_ends 5
  [ "$(<"$JOB_OUT")" = started ]
  [ ! -s "$JOB_ERR" ]
  is_free "$K"
}

@test "[18] a waiter whose acquisition lost its reply has the lock" {
  cli SET "$K" other
  start_job "$RLOCK" acquire -q -u "$PROXY_URL" "$K"
  wait_until 5 'the waiter to be in line' eval \
    '[ "$(cli ZCARD "rlock:{$K}:queue")" = 1 ]'
  proxy drop replies
  cli DEL "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  connect_anew

  job_ends 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[18] a lock taken by somebody else after the reply was lost is not reported as ours" {
  start_deaf acquire -n "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  cli SET "$K" other
  connect_anew

  job_ends 75
  [ ! -s "$JOB_OUT" ]
  [ "$(cli GET "$K")" = other ]
}

@test "[19] a release whose reply was lost is a success" {
  cli SET "$K" t
  start_deaf release --token t "$K"
  wait_until 5 'the lock to be released' is_free "$K"
  connect_anew

  job_ends 0
  [ ! -s "$JOB_ERR" ]
}

@test "[19] a release whose reply was lost never touches the next owner's lock" {
  cli SET "$K" t
  echo t >token
  start_deaf release -f token "$K"
  wait_until 5 'the lock to be released' is_free "$K"
  cli SET "$K" next
  connect_anew

  job_ends 0
  [ "$(cli GET "$K")" = next ]
  [ ! -e token ]
}

@test "[19] a run whose release lost its reply ends with the command's status, in silence" {
  start_job "$RLOCK" run -u "$PROXY_URL" "$K" \
    sh -c ': >started; while ! [ -e end ]; do sleep 0.02; done; exit 5'
  wait_until 5 'the command' [ -e started ]
  proxy drop replies
  touch end
  wait_until 5 'the lock to be released' is_free "$K"
  cli SET "$K" next
  connect_anew

  job_ends 5
  [ ! -s "$JOB_ERR" ]
  [ "$(cli GET "$K")" = next ]
}

@test "[19] extend --by whose reply was lost adds once, and is 69" {
  cli SET "$K" t PX 20000
  start_deaf extend --by 20s --token t "$K"
  wait_until 5 'the lock to be extended' lives_longer 30000
  connect_anew

  job_ends 69
  [ "$(<"$JOB_ERR")" = "rlock: '$K': '$PROXY_URL' closed the connection" ]
  (($(cli PTTL "$K") <= 40000))
}

@test "[19] extend --by whose reply was lost is not told that the lock is not ours" {
  cli SET "$K" t PX 20000
  start_deaf extend --by 20s --token t "$K"
  wait_until 5 'the lock to be extended' lives_longer 30000
  cli SET "$K" next
  connect_anew

  job_ends 69
  [ "$(cli GET "$K")" = next ]
}

@test "[19] extend --by whose reply never comes is 69 after --timeout, and adds once" {
  cli SET "$K" t PX 20000
  proxy drop replies
  begin=$(now_ms)
  run -69 --separate-stderr "$RLOCK" extend --by 20s --timeout 300ms --token t \
    -u "$PROXY_URL" "$K"

  (($(now_ms) - begin >= 290 && $(now_ms) - begin < 3000))
  [ "$stderr" = "rlock: '$K': no answer in time from '$PROXY_URL'" ]
  (($(cli PTTL "$K") > 30000 && $(cli PTTL "$K") <= 40000))
}

@test "[19] extend --to whose reply was lost is a success" {
  cli SET "$K" t PX 20000
  start_deaf extend --to 40s --token t "$K"
  wait_until 5 'the lock to be extended' lives_longer 30000
  connect_anew

  job_ends 0
}

@test "[19] reacquire whose reply was lost is a success" {
  cli SET "$K" t PX 20000
  start_deaf reacquire --ttl 40s --token t "$K"
  wait_until 5 'the lock to be extended' lives_longer 30000
  connect_anew

  job_ends 0
}

@test "[18] reacquire --retake whose reply was lost is a success" {
  start_deaf reacquire --retake --ttl 40s --token t "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  connect_anew

  job_ends 0
  [ "$(cli GET "$K")" = t ]
}

@test "[19] a renewal whose reply was lost is repeated, and adds nothing" {
  start_job "$RLOCK" run -u "$PROXY_URL" -t 6s -k 100ms --renew 500ms "$K" \
    sh -c ': >started; while ! [ -e end ]; do sleep 0.02; done; exit 5'
  wait_until 5 'the command' [ -e started ]
  proxy drop replies
  cli PEXPIRE "$K" 3000
  wait_until 5 'a renewal' lives_longer 4000
  connect_anew
  cli PEXPIRE "$K" 3000
  wait_until 5 'another renewal' lives_longer 4000

  (($(cli PTTL "$K") <= 6000))
  touch end
  job_ends 5
  is_free "$K"
}

# --- the lease ------------------------------------------------------------------

# A command that notes when it is told to end.
NOTES='trap "cat /proc/uptime >told; exit" TERM; : >started
  while :; do sleep 0.02; done'

# A command under a lease of 4 s, with -k 1s, is told to end 3 s after begin, with
# nothing heard from the server since it started.
stopped_in_time() {
  local up
  proxy hold
  job_ends 79
  read -r up _ <told
  took=$((10#${up/./} * 10 - begin))
  ((2500 < took && took < 3900)) || {
    echo "it took $took ms" >&2
    return 1
  }
}

@test "[18] the lease runs from before the request, although the reply is late" {
  proxy delay 1500 replies
  begin=$(now_ms)
  start_job "$RLOCK" run -u "$PROXY_URL" -t 4s -k 1s "$K" \
    sh -c "$NOTES"
  wait_until 5 'the command' [ -e started ]
  (($(now_ms) - begin >= 1500))

  stopped_in_time
}

@test "[18] the lease runs from before the first request, although its reply was lost" {
  begin=$(now_ms)
  start_deaf run -t 4s -k 1s "$K" sh -c "$NOTES"
  wait_until 5 'the lock to be taken' is_held "$K"
  sleep 1.5
  connect_anew
  wait_until 5 'the command' [ -e started ]

  stopped_in_time
}

@test "[19] a reply later than the lease is no success, and the lock is given back" {
  proxy delay 800 replies
  run -69 --separate-stderr "$RLOCK" acquire -t 700ms -u "$PROXY_URL" "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': '$PROXY_URL' answered after the lease had ended" ]
  is_free "$K"
}

@test "[19] a reply later than the lease never touches the next owner's lock" {
  proxy hold replies
  start_job "$RLOCK" acquire -t 500ms -u "$PROXY_URL" "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  wait_until 5 'the lock to expire' is_free "$K"
  cli SET "$K" next
  proxy go

  job_ends 69
  [ ! -s "$JOB_OUT" ]
  [ "$(cli GET "$K")" = next ]
}

@test "[19] a reply later than the lease starts no command" {
  proxy delay 800 replies
  run -69 "$RLOCK" run -t 700ms -u "$PROXY_URL" "$K" touch started

  [ ! -e started ]
  is_free "$K"
}

# --- in doubt, and given up -----------------------------------------------------

@test "[18] an acquisition in doubt that a signal ends is released over a new connection" {
  start_deaf acquire "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  proxy go
  kill -TERM "$JOB"

  job_ends 143
  [ ! -s "$JOB_OUT" ]
  is_free "$K"
}

@test "[18] an acquisition in doubt whose server is gone is 69, and hands over the token" {
  start_deaf acquire -t 60s --timeout 2s --token t "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  proxy refuse
  proxy cut

  job_ends 69
  [ "$(wc -l <"$JOB_ERR")" = 2 ]
  [[ $(head -n 1 "$JOB_ERR") == "rlock: '$K': "*"'$PROXY_URL'"* ]]
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' may have been taken on '$PROXY_URL': it frees itself within 1m0s, or release it with token t" ]
}

@test "[18] the token that is handed over releases the lock" {
  start_deaf acquire -n --timeout 500ms "$K"
  wait_until 5 'the lock to be taken' is_held "$K"
  proxy refuse
  proxy cut
  job_ends 69
  token=$(sed -n 's/.* or release it with token //p' "$JOB_ERR")

  run -0 "$RLOCK" release --token "$token" "$K"
  is_free "$K"
}

@test "[18] a run in doubt whose server is gone starts nothing, and hands over the token" {
  start_deaf run -t 60s --timeout 500ms "$K" touch started
  wait_until 5 'the lock to be taken' is_held "$K"
  proxy refuse
  proxy cut

  job_ends 69
  [ ! -e started ]
  grep -qF "release it with token $(cli GET "$K")" "$JOB_ERR"
}

# --- black holes ----------------------------------------------------------------

# Nobody takes what comes in at $HOLE, and there is no room for more.
start_holes() {
  local port
  port=$(free_port)
  start_job "$PYTHON" -c '
import socket, sys, time
kept = []
for family, address in ((socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))),
                        (socket.AF_UNIX, "hole")):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(0)
    kept.append(listener)
    for _ in range(8):
        client = socket.socket(family)
        client.setblocking(False)
        client.connect_ex(address)
        kept.append(client)
open("full", "w")
time.sleep(60)' "$port"
  disown "$JOB"
  wait_until 10 'the holes to be full' [ -e full ]
  HOLES=("redis://127.0.0.1:$port/0" "unix://$PWD/hole")
}

@test "[21] a connection that nobody takes is 69 after --timeout, for every command" {
  start_holes
  for hole in "${HOLES[@]}"; do
    for command in acquire 'release --token t' 'extend --by 5s --token t' \
      'reacquire --ttl 5s --token t' status; do
      begin=$(now_ms)
      # shellcheck disable=SC2086 # a command and its options
      run -69 --separate-stderr "$RLOCK" $command --timeout 300ms -u "$hole" "$K"
      took=$(($(now_ms) - begin))
      ((290 <= took && took < 3000))
      [ "$stderr" = "rlock: '$K': cannot connect to '$hole': Connection timed out" ]
    done
  done
}

@test "[21] a connection that nobody takes is 69 never later than -w" {
  start_holes
  for hole in "${HOLES[@]}"; do
    begin=$(now_ms)
    run -69 "$RLOCK" acquire -w 300ms --timeout 60s -u "$hole" "$K"
    took=$(($(now_ms) - begin))
    ((290 <= took && took < 3000))
    run -69 "$RLOCK" run -w 300ms --timeout 60s -u "$hole" "$K" touch started
  done

  [ ! -e started ]
}

@test "[21] a login that is not answered is 69 after --timeout" {
  proxy hold replies
  begin=$(now_ms)
  run -69 --separate-stderr "$RLOCK" status --timeout 300ms \
    -u "unix://alice:secret@${PROXY_URL#unix://}" "$K"

  took=$(($(now_ms) - begin))
  ((290 <= took && took < 3000))
  [ "$stderr" = "rlock: '$K': no answer in time from '$PROXY_URL'" ]
}

@test "[21] a reply that stops after the login is 69 never later than -w" {
  proxy hold replies
  begin=$(now_ms)
  start_job "$RLOCK" acquire -w 500ms --timeout 60s -u "$PROXY_URL" "$K"

  job_ends 69
  took=$(($(now_ms) - begin))
  ((490 <= took && took < 3500))
}

@test "[21] a wait whose server falls silent is 69 never later than -w" {
  cli SET "$K" other
  begin=$(now_ms)
  start_job "$RLOCK" acquire -q -w 1500ms --timeout 60s -u "$PROXY_URL" "$K"
  wait_until 5 'the waiter to be in line' eval \
    '[ "$(cli ZCARD "rlock:{$K}:queue")" = 1 ]'
  proxy hold

  job_ends 69
  took=$(($(now_ms) - begin))
  ((1490 <= took && took < 4500))
}
