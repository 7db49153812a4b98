# exit_status.bats - the table of exit statuses, row by row

load ../lib/common

@test "[4] 0: acquire prints its token on stdout, and nothing else" {
  run -0 --separate-stderr "$RLOCK" acquire "$K"

  [ "$output" = "$(cli GET "$K")" ]
  [ -z "$stderr" ]
}

@test "0 and 1: status tells whether the lock is held" {
  run -1 "$RLOCK" status "$K"
  cli SET "$K" somebody

  run -0 "$RLOCK" status "$K"
}

@test "64: no lock is named" {
  run -64 "$RLOCK" acquire

  [ "$output" = "rlock: no lock named (try 'rlock acquire --help')" ]
}

@test "[11] 65: the key is a hash" {
  cli HSET "$K" field value
  run -65 "$RLOCK" acquire -n "$K"

  [ "$output" = "rlock: '$K': the key on '$RLOCK_URL' is a hash, not a lock" ]
}

@test "69: nobody listens" {
  run -69 "$RLOCK" acquire -u unix:///nowhere/s "$K"

  [ "$output" = "rlock: '$K': cannot connect to 'unix:///nowhere/s': No such file or directory" ]
}

@test "[4] 73: the token file cannot be written" {
  run -73 "$RLOCK" acquire -f missing/token "$K"

  [ "$output" = "rlock: '$K': cannot write token file 'missing/token': No such file or directory" ]
  is_free "$K"
}

@test "[4] 74: stdout cannot be written" {
  run -74 bash -c '"$RLOCK" acquire "$1" >/dev/full' bash "$K"

  [ "$output" = "rlock: '$K': cannot write to standard output: No space left on device" ]
  is_free "$K"
}

@test "[3] 75: somebody else holds it" {
  cli SET "$K" somebody
  run -75 "$RLOCK" acquire -n "$K"

  [ "$output" = "rlock: '$K' is held by foreign token somebody, never expires" ]
}

@test "[22] 77: the password is wrong" {
  run -77 "$RLOCK" acquire -u "unix://:wrong@$BATS_FILE_TMPDIR/s" "$K"

  [[ $output == "rlock: '$K': server '$RLOCK_URL' refuses: "* ]]
  is_free "$K"
}

@test "78: everybody can read the password" {
  echo secret >password
  chmod 644 password
  run -78 "$RLOCK" acquire --password-file password "$K"

  [ "$output" = "rlock: password file 'password': others can read it (chmod o-r)" ]
  is_free "$K"
}

@test "79: the token does not own the lock" {
  run -79 "$RLOCK" release --token mine "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
}

@test "[2] 126: the command cannot be executed" {
  run -126 "$RLOCK" run "$K" /

  [ "$output" = "rlock: '$K': cannot execute '/': Permission denied" ]
}

@test "[2] 127: the command is not found" {
  run -127 "$RLOCK" run "$K" ./no-such-command

  [ "$output" = "rlock: '$K': cannot execute './no-such-command': No such file or directory" ]
}

@test "[2] 128 + N: the command died of signal N" {
  run -137 "$RLOCK" run "$K" sh -c 'kill -KILL $$'

  [ -z "$output" ]
}

@test "[1] any other: the command's own" {
  run -3 "$RLOCK" run "$K" sh -c 'exit 3'

  [ -z "$output" ]
}
