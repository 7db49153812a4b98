# unknown.bats - waiting in line on a server that lacks a command, or has its
# scripts and connections taken from it

load ../lib/common
load ../lib/line

is_marked() { [[ $(presence_of "$1") == *.5 ]]; }

# On a server without the command bob, who waits, is told nothing and says so;
# he polls, and keeps his place before carol: polls_without COMMAND
polls_without() {
  move_to_own_server --rename-command "$1" ''
  cli SET "$K" other
  enter bob -v -w 15s
  wait_until 5 'bob to say so' grep -q \
    "^rlock: '$RLOCK_URL' does not tell of changes" "$JOB_ERR"
  wait_until 5 'bob to be marked' is_marked bob
  ticket=$(ticket_of bob)
  enter carol -w 15s
  run -75 "$RLOCK" acquire -n "$K"
  line_is 'bob carol'
  [ "$(ticket_of bob)" = "$ticket" ]

  cli DEL "$K"
  ends bob 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
  line_is carol
  "$RLOCK" release --token "$(<"$JOB_OUT")" "$K"
  ends carol 0
  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[16] on a server without SUBSCRIBE a waiter polls, and keeps the place" { polls_without SUBSCRIBE; }
@test "[16] on a server without CLIENT a waiter polls, and keeps the place" { polls_without CLIENT; }
@test "[16] on a server without PUBLISH a waiter polls, and keeps the place" { polls_without PUBLISH; }

@test "[16] on a server without PUBLISH nobody takes a lock without knowing it" {
  move_to_own_server --rename-command PUBLISH ''
  local owner
  cli SET "$K" other
  for owner in a b c d; do
    enter "$owner" -q -w 15s
    # Somebody hears it, so there is a reason to call.
    start_job cli SUBSCRIBE "rlock:{$K}:turn:$(id_of "$owner")"
    disown "$JOB"
    wait_until 5 'the channel' grep -q '^subscribe$' "$JOB_OUT"
  done
  cli DEL "$K"

  # Each of them has it in turn, and says so; no other value is ever there.
  for owner in a b c d; do
    ends "$owner" 0
    [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
    run -0 "$RLOCK" release --token "$(<"$JOB_OUT")" "$K"
  done
  is_free "$K"
  [ "$(cli ZCARD "rlock:{$K}:queue")" = 0 ]
}

@test "[16] on a server without any of them run waits, runs and releases" {
  move_to_own_server --rename-command SUBSCRIBE '' --rename-command PUBLISH '' \
    --rename-command CLIENT ''
  cli SET "$K" other PX 700
  run -5 "$RLOCK" run -q -w 20s "$K" sh -c 'exit 5'

  is_free "$K"
}

@test "[16] all connections killed again and again while two wait: still both have it, in order" {
  cli SET "$K" other
  enter_first bob -q -w 30s
  enter carol -q -w 30s
  tickets=$(ticket_of bob; ticket_of carol)
  for _ in 1 2 3 4 5; do
    cli CLIENT KILL TYPE normal
    cli CLIENT KILL TYPE pubsub
    cli SCRIPT FLUSH
    wait_until 5 'both to be there again' eval '[ "$(cli CLIENT LIST |
      grep -c "name=rlock .* sub=2 ")" = 2 ]'
  done
  [ "$(ticket_of bob; ticket_of carol)" = "$tickets" ]
  cli DEL "$K"
  ends bob 0
  line_is carol
  cli DEL "$K"
  ends carol 0

  [ "$(<"$JOB_OUT")" = "$(cli GET "$K")" ]
}

@test "[16] SCRIPT KILL while somebody waits changes nothing" {
  cli SET "$K" other
  enter_first bob -w 15s
  run -0 cli SCRIPT KILL
  [[ $output == NOTBUSY* ]]
  # A script of another's, which keeps the server from answering, is ended so.
  cli CONFIG SET lua-time-limit 50
  start_job cli EVAL 'while true do end' 0
  disown "$JOB"
  wait_until 5 'the server to be busy' eval '[[ $(cli PING 2>&1) == BUSY* ]]'
  cli SCRIPT KILL

  deleted_takes_within 300 bob
}
