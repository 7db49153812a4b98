# secrets.bats - passwords and tokens are nowhere to be seen

load ../lib/common

setup_file() {
  start_server
  cli ACL SETUSER alice on '>hunter2' '~*' +@all
}
setup() {
  fresh
  URL_AS_ALICE=unix://alice:hunter2@$BATS_FILE_TMPDIR/s
}

ends_by_term() {
  kill -TERM "$JOB"
  job_ends 143
}

# --- passwords ------------------------------------------------------------

# The command lines of a process and of all below it, one a line.
command_lines() {
  local children child
  tr '\0' ' ' <"/proc/$1/cmdline"
  echo
  children=$(cat "/proc/$1"/task/*/children)
  for child in $children; do command_lines "$child"; done
}

@test "[40] the password of --url is in no command line while run waits" {
  cli SET "$K" other
  start_job "$RLOCK" run --url="$URL_AS_ALICE" "$K" true
  wait_until 10 'run to wait' is_held "rlock:{$K}:queue"

  command_lines "$JOB" >lines
  run -1 grep hunter2 lines
  # What is left can be read.
  run -0 grep -F "run --url=unix://alice:" lines
  ends_by_term
}

@test "[40] the password of --url is in no command line while the command runs" {
  start_job "$RLOCK" run -u "$URL_AS_ALICE" "$K" \
    sh -c ': >ready; sleep 60; exit 3'
  wait_until 10 'the command' [ -e ready ]

  command_lines "$JOB" >lines
  run -1 grep hunter2 lines
  # All of them were looked at.
  run -0 grep -xF "sleep 60 " lines
  run -0 grep -F "run -u unix://alice:" lines
  ends_by_term
}

@test "[40] a password is in no command line while the server says nothing" {
  start_proxy
  proxy hold replies
  start_job "$RLOCK" acquire -u "unix://alice:hunter2@${PROXY_URL#unix://}" "$K"
  wait_until 10 'rlock to ask' eval '(($(proxy held replies) > 0))'

  command_lines "$JOB" >lines
  run -1 grep hunter2 lines
  ends_by_term
}

@test "[40] a server that does not know AUTH and repeats the password is not quoted" {
  own_server own --rename-command AUTH ''
  for login in alice:hunter2 :hunter2; do
    for command in "acquire -v $K" "status $K" "release --token t $K" \
      "run -v $K true"; do
      # shellcheck disable=SC2086 # a command, its options and operands
      RLOCK_URL=unix://$login@$BATS_TEST_TMPDIR/own run -69 "$RLOCK" $command

      [[ $output != *hunter2* ]]
      [[ $output == *"refuses: ERR unknown command "?AUTH?* ]]
    done
  done
  [ "$(own_cli own DBSIZE)" = 0 ]
}

@test "[40] a password of any source is in no message of a refused login" {
  (umask 077 && echo swordfish >password)
  local url=unix://alice@$BATS_FILE_TMPDIR/s

  run -77 "$RLOCK" acquire -v -u "unix://alice:swordfish@$BATS_FILE_TMPDIR/s" "$K"
  [[ $output != *swordfish* ]]
  RLOCK_URL=unix://alice:swordfish@$BATS_FILE_TMPDIR/s run -77 "$RLOCK" run -v "$K" true
  [[ $output != *swordfish* ]]
  run -77 "$RLOCK" status -v -u "$url" --password-file password "$K"
  [[ $output != *swordfish* ]]
  REDISCLI_AUTH=swordfish run -77 "$RLOCK" release -v --token t -u "$url" "$K"
  [[ $output != *swordfish* ]]
}

# --- tokens ---------------------------------------------------------------

@test "[40] the token of run is in no command line" {
  start_job "$RLOCK" run "$K" sh -c ': >ready; sleep 60; exit 3'
  wait_until 10 'the command' [ -e ready ]
  token=$(cli GET "$K")

  command_lines "$JOB" >lines
  run -1 grep -F "${token##*:}" lines
  run -0 grep -xF "sleep 60 " lines
  ends_by_term
}

@test "[40] -v shows no token, whichever the command" {
  "$RLOCK" acquire -v "$K" >token 2>said
  {
    "$RLOCK" extend -v -f token --by 5s "$K"
    "$RLOCK" reacquire -v -f token "$K"
    "$RLOCK" status -v -f token "$K" >table
    RLOCK_TOKEN=$(<token) "$RLOCK" release -v "$K"
  } 2>>said
  nonces=$(cut -d: -f7 token)

  start_job "$RLOCK" run -v --renew 100ms "$K" sleep 0.5
  wait_until 10 'the lock to be taken' is_held "$K"
  nonces+=$'\n'$(cli GET "$K" | cut -d: -f7)
  start_job "$RLOCK" acquire -v "$K"
  job_ends 0
  nonces+=$'\n'$(cut -d: -f7 "$JOB_OUT")
  cat job*.err >>said

  [ "$(grep -cx '[0-9a-f]\{32\}' <<<"$nonces")" = 3 ]
  (($(wc -l <said) > 10))
  run -1 grep -F "$nonces" said
}

@test "[40] a token file under umask 0 is its owner's alone from its first byte" {
  umask 0
  # The leak sanitizer cannot work under strace.
  ASAN_OPTIONS=detect_leaks=0 run -0 strace -f -qq -o trace \
    -e trace=open,openat,creat "$RLOCK" acquire -f token "$K"

  [ "$(stat -c %a token)" = 600 ]
  # Whatever was made there was made so.
  made=$(grep O_CREAT trace)
  [ -n "$made" ]
  run -1 grep -v ', 0600) = ' <<<"$made"
}

@test "[40] a symbolic link that appears during the wait is not followed" {
  echo mine >target
  cli SET "$K" other
  start_job "$RLOCK" acquire -f token "$K"
  wait_until 10 'rlock to wait' is_held "rlock:{$K}:queue"
  ln -s target token
  cli DEL "$K"
  job_ends 0

  [ ! -L token ]
  [ "$(<token)" = "$(cli GET "$K")" ]
  [ "$(<target)" = mine ]
  [ "$(echo *)" = 'job0.err job0.out target token' ]
}
