# environment.bats - what is taken from RLOCK_*, and what is not

load ../lib/common

# --- options --------------------------------------------------------------

@test "RLOCK_TTL is --ttl, for acquire and reacquire" {
  RLOCK_TTL=90s run -0 "$RLOCK" acquire --json --token t "$K"
  [ "$(json "$output" ttl_ms)" = 90000 ]

  RLOCK_TTL=60s run -0 "$RLOCK" reacquire --json --token t "$K"
  [ "$(json "$output" expires_in_ms)" = 60000 ]
}

@test "RLOCK_NONBLOCK is --nonblock" {
  cli SET "$K" other
  RLOCK_NONBLOCK=1 run -75 timeout 5 "$RLOCK" acquire "$K"
}

@test "RLOCK_WAIT is --wait" {
  cli SET "$K" other
  RLOCK_WAIT=100ms run -75 timeout 5 "$RLOCK" acquire "$K"
}

@test "RLOCK_TOKEN_FILE is --token-file" {
  RLOCK_TOKEN_FILE=token run -0 "$RLOCK" acquire "$K"
  [ -z "$output" ]
  cli GET "$K" | cmp - token

  RLOCK_TOKEN_FILE=token run -0 "$RLOCK" release "$K"
  is_free "$K"
  [ ! -e token ]
}

@test "RLOCK_MESSAGE and RLOCK_OWNER are --message and --owner" {
  RLOCK_MESSAGE=why RLOCK_OWNER=me@here run -0 "$RLOCK" acquire "$K"

  [[ $output == rlock1:me@here:*:why:* ]]
}

@test "RLOCK_CONFLICT_EXIT_CODE is --conflict-exit-code" {
  cli SET "$K" other
  RLOCK_CONFLICT_EXIT_CODE=9 run -9 "$RLOCK" acquire -n "$K"
}

@test "RLOCK_MATCH is --match" {
  "$RLOCK" acquire "$K.a"
  "$RLOCK" acquire "$K.b"
  RLOCK_MATCH="$K.a" run -0 "$RLOCK" status

  [[ $output == *"$K.a "* ]]
  [[ $output != *"$K.b "* ]]
}

@test "RLOCK_URL is --url" {
  RLOCK_URL=unix:///nowhere run -69 "$RLOCK" status "$K"

  [ "$output" = "rlock: '$K': cannot connect to 'unix:///nowhere': No such file or directory" ]
}

@test "RLOCK_TIMEOUT is --timeout" {
  RLOCK_TIMEOUT=x run -64 "$RLOCK" status "$K"

  [ "$output" = "rlock: RLOCK_TIMEOUT 'x' is no duration (500ms, 1.5s, 10m, 2h, 1d)" ]
}

@test "RLOCK_PASSWORD_FILE is --password-file" {
  RLOCK_PASSWORD_FILE=nosuch run -78 "$RLOCK" status "$K"

  [ "$output" = "rlock: password file 'nosuch': No such file or directory" ]
}

@test "RLOCK_QUIET is --quiet" {
  RLOCK_QUIET=1 run -1 --separate-stderr "$RLOCK" status "$K"

  [ -z "$stderr" ]
}

@test "RLOCK_VERBOSE is --verbose" {
  RLOCK_VERBOSE=1 run -0 --separate-stderr "$RLOCK" acquire "$K"

  [[ $stderr == *"rlock: connected to '$RLOCK_URL'"* ]]
}

@test "RLOCK_JSON is --json" {
  RLOCK_JSON=1 run -0 "$RLOCK" acquire "$K"

  [ "$(json "$output" name)" = "$K" ]
}

@test "a bad value in the environment is 64 and names the variable" {
  RLOCK_TTL=soon run -64 "$RLOCK" acquire "$K"
  [ "$output" = "rlock: RLOCK_TTL 'soon' is no duration (500ms, 1.5s, 10m, 2h, 1d)" ]

  RLOCK_CONFLICT_EXIT_CODE=256 run -64 "$RLOCK" acquire "$K"
  [ "$output" = "rlock: RLOCK_CONFLICT_EXIT_CODE '256' is no number from 0 to 255" ]
}

@test "a variable of an option that the command does not have is not looked at" {
  RLOCK_TTL=soon RLOCK_WAIT=x RLOCK_CONFLICT_EXIT_CODE=x \
    run -1 "$RLOCK" status "$K"
}

@test "an empty variable is none" {
  RLOCK_TTL='' RLOCK_WAIT='' RLOCK_NONBLOCK='' RLOCK_OWNER='' RLOCK_URL=$RLOCK_URL \
    RLOCK_TOKEN_FILE='' RLOCK_JSON='' run -0 "$RLOCK" acquire "$K"

  [[ $output == rlock1:*:600000:* ]]
}

@test "an empty RLOCK_URL is none" {
  # Whatever may be at the default address, it is what is spoken of.
  RLOCK_URL='' run "$RLOCK" status --json --timeout 500ms "$K"

  ((status == 0 || status == 1 || status == 69 || status == 77))
  [[ $output == *redis://127.0.0.1:6379/0* ]]
}

# --- precedence -----------------------------------------------------------

@test "an option beats its variable" {
  url=$RLOCK_URL
  RLOCK_TTL=90s RLOCK_OWNER=env@x RLOCK_MESSAGE=env RLOCK_URL=unix:///nowhere \
    run -0 "$RLOCK" acquire -t 60s --owner option@x -m option --url "$url" "$K"

  [[ $output == rlock1:option@x:*:60000:*:option:* ]]
}

@test "a bad variable does no harm when the option is given" {
  RLOCK_TTL=soon run -0 "$RLOCK" acquire -t 60s "$K"
}

@test "-n beats RLOCK_WAIT" {
  cli SET "$K" other
  RLOCK_WAIT=forever run -75 timeout 5 "$RLOCK" acquire -n "$K"
}

@test "-w beats RLOCK_NONBLOCK" {
  cli SET "$K" other PX 200
  RLOCK_NONBLOCK=1 run -0 "$RLOCK" acquire -w 5s "$K"
}

@test "--json beats RLOCK_TOKEN_FILE, and so does --export" {
  RLOCK_TOKEN_FILE=token run -0 "$RLOCK" acquire --json "$K.a"
  [ "$(json "$output" name)" = "$K.a" ]
  RLOCK_TOKEN_FILE=token run -0 "$RLOCK" acquire --export "$K.b"
  [[ $output == "export RLOCK_NAME='$K.b' "* ]]

  [ ! -e token ]
}

@test "-f and --export beat RLOCK_JSON" {
  RLOCK_JSON=1 run -0 "$RLOCK" acquire -f token "$K.a"
  [ -z "$output" ]
  [ -s token ]

  RLOCK_JSON=1 run -0 "$RLOCK" acquire --export "$K.b"
  [[ $output == "export RLOCK_NAME='$K.b' "* ]]
}

# --- flags ----------------------------------------------------------------

@test "a flag's variable is on as 1, yes or true" {
  cli SET "$K" other
  for on in 1 yes true YES True; do
    RLOCK_NONBLOCK=$on run -75 timeout 5 "$RLOCK" acquire "$K"
  done
}

@test "a flag's variable is off as 0, no or false" {
  for off in 0 no false NO False ''; do
    RLOCK_JSON=$off run -0 "$RLOCK" acquire -q --token t "$K"
    [ "$output" = t ]
  done
}

@test "a flag's variable that is anything else is 64" {
  for bad in 2 on off y n ' 1' 01; do
    RLOCK_JSON=$bad run -64 --separate-stderr "$RLOCK" acquire "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: RLOCK_JSON is '$bad', not 1, yes, true, 0, no or false" ]
  done
  is_free "$K"
}

@test "a flag that is switched off does not silence what it excludes" {
  cli SET "$K" other PX 200
  RLOCK_NONBLOCK=0 RLOCK_WAIT=5s run -0 "$RLOCK" acquire "$K"
}

# --- what is not read -----------------------------------------------------

@test "RLOCK_NAME is no name for acquire and run" {
  RLOCK_NAME=$K run -64 "$RLOCK" acquire
  [ "$output" = "rlock: no lock named (try 'rlock acquire --help')" ]

  RLOCK_NAME=$K run -0 "$RLOCK" run -- sh -c 'echo "$RLOCK_NAME"'
  [[ $output == run:sh:* ]]
  is_free "$K"
}

@test "RLOCK_TOKEN is no token for acquire and run" {
  RLOCK_NAME=$K RLOCK_TOKEN=inherited run -0 "$RLOCK" acquire "$K"
  [[ $output == rlock1:* ]]

  RLOCK_TOKEN=inherited run -0 "$RLOCK" run "$K.b" sh -c 'echo "$RLOCK_TOKEN"'
  [[ $output == rlock1:* ]]
}

@test "RLOCK_BY and RLOCK_TO are not read" {
  "$RLOCK" acquire --token t "$K"
  RLOCK_BY=5s run -64 "$RLOCK" extend --token t "$K"
  [ "$output" = 'rlock: extend takes one of --by and --to' ]

  RLOCK_TO=5s run -64 "$RLOCK" extend --token t "$K"
  RLOCK_BY=5s run -0 "$RLOCK" extend --token t --to 30s "$K"
}

@test "RLOCK_RETAKE is not read" {
  RLOCK_RETAKE=1 run -79 "$RLOCK" reacquire --token t --ttl 5s "$K"

  is_free "$K"
}

@test "RLOCK_FORCE, RLOCK_YES and RLOCK_HOLDER are not read" {
  cli SET "$K" other
  RLOCK_FORCE=1 RLOCK_YES=1 RLOCK_HOLDER=other run -64 "$RLOCK" release "$K"
  [ "$output" = "rlock: '$K': no token given (--token, --token-file or RLOCK_TOKEN)" ]

  RLOCK_YES=1 RLOCK_HOLDER=other run -64 "$RLOCK" release --force "$K" </dev/null
  [ "$output" = "rlock: '$K': --force without a terminal needs --holder TOKEN or --yes" ]
  is_held "$K"
}

@test "RLOCK_EXPORT is not read" {
  RLOCK_EXPORT=1 run -0 "$RLOCK" acquire --token t "$K"

  [ "$output" = t ]
}

@test "RLOCK_COMMAND is not read" {
  RLOCK_COMMAND='echo no' run -64 --separate-stderr "$RLOCK" run "$K"

  [ -z "$output" ]
}

@test "RLOCK_HELP and RLOCK_VERSION are not read" {
  RLOCK_HELP=1 RLOCK_VERSION=1 run -0 "$RLOCK" acquire --token t "$K"

  [ "$output" = t ]
}

@test "garbage in a variable that is not read does no harm" {
  RLOCK_BY=x RLOCK_TO=x RLOCK_RETAKE=x RLOCK_FORCE=x RLOCK_YES=x \
    RLOCK_EXPORT=x RLOCK_HELP=x RLOCK_VERSION=x RLOCK_NONSENSE=x RLOCK_FENCE=x \
    run -0 "$RLOCK" acquire --token t "$K"
}

# --- name and token -------------------------------------------------------

@test "release, extend, reacquire and status take the name from RLOCK_NAME" {
  "$RLOCK" acquire --token t "$K"
  export RLOCK_NAME=$K

  run -0 "$RLOCK" status --json
  [ "$(json "$output" name)" = "$K" ]
  run -0 "$RLOCK" extend --token t --to 5m
  run -0 "$RLOCK" reacquire --token t --ttl 5m
  run -0 "$RLOCK" release --token t
  is_free "$K"
}

@test "a NAME given beats RLOCK_NAME" {
  "$RLOCK" acquire --token t "$K"
  RLOCK_NAME=other run -0 "$RLOCK" release --token t "$K"

  is_free "$K"
}

@test "RLOCK_NAME that no lock can have is 64" {
  RLOCK_NAME=rlock:x run -64 "$RLOCK" status

  [ "$output" = "rlock: names starting with 'rlock:' are rlock's own" ]
}

@test "release, extend and reacquire take the token from RLOCK_TOKEN" {
  "$RLOCK" acquire --token t "$K"
  export RLOCK_TOKEN=t

  run -0 "$RLOCK" extend --to 5m "$K"
  run -0 "$RLOCK" reacquire --ttl 5m "$K"
  run -0 "$RLOCK" release "$K"
  is_free "$K"
}

@test "--token beats RLOCK_TOKEN" {
  "$RLOCK" acquire --token t "$K"
  RLOCK_TOKEN=other run -0 "$RLOCK" release --token t "$K"
}

@test "-f beats RLOCK_TOKEN" {
  "$RLOCK" acquire -f token "$K"
  RLOCK_TOKEN=other run -0 "$RLOCK" release -f token "$K"
}

@test "--token beats RLOCK_TOKEN_FILE, and the file stays" {
  "$RLOCK" acquire --token t "$K"
  echo other >token
  RLOCK_TOKEN_FILE=token run -0 "$RLOCK" release --token t "$K"

  [ -e token ]
}

@test "RLOCK_TOKEN beats RLOCK_TOKEN_FILE, and the file stays" {
  "$RLOCK" acquire --token t "$K"
  echo other >token
  RLOCK_TOKEN=t RLOCK_TOKEN_FILE=token run -0 "$RLOCK" release "$K"

  is_free "$K"
  [ -e token ]
}

@test "of --token and -f the last one counts" {
  "$RLOCK" acquire --token t "$K"
  echo other >token
  run -79 "$RLOCK" release --token t -f token "$K"
  [ ! -e token ]

  echo other >token
  run -0 "$RLOCK" release -f token --token t "$K"
  [ -e token ]
}

@test "RLOCK_TOKEN that goes with another RLOCK_NAME is no token: 64" {
  "$RLOCK" acquire --token t "$K"
  export RLOCK_NAME=other RLOCK_TOKEN=t

  for command in release 'extend --to 5s' 'reacquire --ttl 5s'; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr "$RLOCK" $command "$K"
    [ "$stderr" = "rlock: '$K': no token given (--token, --token-file or RLOCK_TOKEN)" ]
  done
  is_held "$K"
}

@test "RLOCK_TOKEN counts for RLOCK_NAME when it is given as NAME" {
  "$RLOCK" acquire --token t "$K"
  RLOCK_NAME=$K RLOCK_TOKEN=t run -0 "$RLOCK" release "$K"
}

@test "RLOCK_TOKEN_FILE counts for another lock than RLOCK_NAME" {
  "$RLOCK" acquire -f token "$K"
  RLOCK_NAME=other RLOCK_TOKEN=t RLOCK_TOKEN_FILE=token \
    run -0 "$RLOCK" release "$K"
}

@test "what --export exports is what release takes" {
  run -0 sh -euc '
    eval "$("$RLOCK" acquire --export "$1")"
    "$RLOCK" extend --to 5m
    "$RLOCK" status --json
    "$RLOCK" release' sh "$K"

  [ "$(json "$output" mine)" = True ]
  is_free "$K"
}

@test "a token too long in RLOCK_TOKEN is 64" {
  RLOCK_TOKEN=$(printf '%04097d' 0) run -64 "$RLOCK" release "$K"

  [ "$output" = "rlock: RLOCK_TOKEN is longer than 4096 bytes" ]
}
