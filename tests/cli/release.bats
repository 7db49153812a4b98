# release.bats - freeing a lock, and breaking somebody else's

load ../lib/common
load ../lib/terminal

# --- one's own ------------------------------------------------------------

@test "release frees the lock and says nothing" {
  token=$("$RLOCK" acquire "$K")
  run -0 "$RLOCK" release --token "$token" "$K"

  [ -z "$output" ]
  is_free "$K"
}

@test "release keeps the fence" {
  token=$("$RLOCK" acquire "$K")
  before=$(cli GET "rlock:{$K}:fence")
  "$RLOCK" release --token "$token" "$K"

  [ "$(cli GET "rlock:{$K}:fence")" = "$before" ]
}

@test "[8] release frees a lock that another program took, with its token" {
  cli SET "$K" 'AbC+/= {"a": 1}' PX 60000
  run -0 "$RLOCK" release --token 'AbC+/= {"a": 1}' "$K"

  is_free "$K"
}

@test "release frees a lock that never expires" {
  "$RLOCK" acquire --token t -t none "$K"
  run -0 "$RLOCK" release --token t "$K"

  is_free "$K"
}

@test "release of a lock that is gone is 79, and says so" {
  run -79 --separate-stderr "$RLOCK" release --token t "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
}

@test "release of a lock that rlock took over is 79, names the holder and leaves it" {
  "$RLOCK" acquire --owner alice@web3 "$K" >token
  pid=$(cut -d: -f3 token)
  run -79 --separate-stderr "$RLOCK" release --token t "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by alice@web3 (pid $pid)" ]
  cli GET "$K" | cmp - token
}

@test "release of a lock that another program took over shows 8 characters of its token" {
  cli SET "$K" 0123456789abcdef
  run -79 "$RLOCK" release --token t "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token 01234567..." ]
  [ "$(cli GET "$K")" = 0123456789abcdef ]
}

@test "-q does not silence 79" {
  run -79 "$RLOCK" release -q --token t "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
}

@test "a token that only begins or ends like the holder's is not the holder's" {
  "$RLOCK" acquire --token abc "$K"

  run -79 "$RLOCK" release --token ab "$K"
  run -79 "$RLOCK" release --token abcd "$K"
  run -79 "$RLOCK" release --token ABC "$K"
  run -79 "$RLOCK" release --token ' abc' "$K"
  is_held "$K"
}

@test "release without a token is 64" {
  cli SET "$K" other
  run -64 --separate-stderr "$RLOCK" release "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': no token given (--token, --token-file or RLOCK_TOKEN)" ]
  is_held "$K"
}

@test "release without a name is 64" {
  run -64 "$RLOCK" release --token t

  [ "$output" = "rlock: no lock named (try 'rlock release --help')" ]
}

# --- the token file -------------------------------------------------------

@test "release reads the token from a file and removes the file" {
  "$RLOCK" acquire -f token "$K"
  run -0 "$RLOCK" release -f token "$K"

  is_free "$K"
  [ ! -e token ]
}

@test "the token file is removed when the lock is gone" {
  "$RLOCK" acquire -f token "$K"
  cli DEL "$K"
  run -79 "$RLOCK" release -f token "$K"

  [ ! -e token ]
}

@test "the token file is removed when somebody else has the lock" {
  "$RLOCK" acquire -f token "$K"
  cli SET "$K" other
  run -79 "$RLOCK" release -f token "$K"

  [ ! -e token ]
}

@test "the token file is kept when the server is away" {
  "$RLOCK" acquire -f token "$K"
  cp token copy
  run -69 "$RLOCK" release -u unix:///nowhere -f token "$K"

  cmp token copy
}

@test "the token file is kept when the usage is wrong" {
  "$RLOCK" acquire -f token "$K"
  run -64 "$RLOCK" release -f token "$K" another

  [ -e token ]
}

@test "the token file is kept when the key is no lock" {
  "$RLOCK" acquire -f token "$K"
  cli DEL "$K"
  cli LPUSH "$K" a
  run -65 "$RLOCK" release -f token "$K"

  [ -e token ]
  [ "$(cli LLEN "$K")" = 1 ]
}

@test "a token file without a newline at its end will do" {
  "$RLOCK" acquire --token t "$K"
  printf t >token
  run -0 "$RLOCK" release -f token "$K"

  [ ! -e token ]
}

@test "a script that -f names by mistake is not removed" {
  printf '#!/bin/sh\necho deploying\n' >deploy.sh
  printf '#!/bin/sh\n' >empty.sh
  chmod 755 empty.sh
  run -79 "$RLOCK" release -f deploy.sh "$K"
  run -79 "$RLOCK" release -f empty.sh "$K"

  [ -e deploy.sh ]
  [ -e empty.sh ]
}

@test "only the last newline of a token file does not belong to the token" {
  "$RLOCK" acquire --token $'one\ntwo\n' "$K"
  printf 'one\ntwo\n\n' >token
  run -0 "$RLOCK" release -f token "$K"

  is_free "$K"
}

@test "a symbolic link to a token file is read, and the file that it points at stays" {
  "$RLOCK" acquire -f token "$K"
  ln -s token link
  run -0 "$RLOCK" release -f link "$K"

  is_free "$K"
  [ -e token ]
}

@test "a token file that is a pipe is read, and stays" {
  "$RLOCK" acquire --token t "$K"
  run -0 sh -c 'echo t | "$RLOCK" release -f /dev/stdin "$1"' sh "$K"

  is_free "$K"
}

@test "a token file that does not exist is 65" {
  run -65 --separate-stderr "$RLOCK" release -f nosuch "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': cannot read token file 'nosuch': No such file or directory" ]
}

@test "a token file that is empty is 65, and stays" {
  : >token
  run -65 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'token': it holds no token" ]
  [ -e token ]
}

@test "a token file that holds only a newline is 65" {
  echo >token
  run -65 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'token': it holds no token" ]
}

@test "a token file that is too long is 65" {
  head -c 5000 /dev/zero | tr '\0' x >token
  run -65 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'token': what it holds is no token" ]
}

@test "a token file with a NUL in it is 65" {
  printf 'a\0b\n' >token
  run -65 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'token': what it holds is no token" ]
}

@test "a token file that is a directory is 65" {
  mkdir token
  run -65 "$RLOCK" release -f token "$K"

  [ "$output" = "rlock: '$K': cannot read token file 'token': Is a directory" ]
}

# --- by force -------------------------------------------------------------

@test "--force --yes breaks the lock and prints who was evicted" {
  "$RLOCK" acquire --owner alice@web3 "$K" >token
  pid=$(cut -d: -f3 token)
  run -0 --separate-stderr "$RLOCK" release --force --yes "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' was taken from alice@web3 (pid $pid)" ]
  is_free "$K"
}

@test "--force --yes says so under -q too" {
  cli SET "$K" other
  run -0 "$RLOCK" release -q --force --yes "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' was taken from foreign token other" ]
}

@test "--force --holder breaks the lock of exactly that holder" {
  token=$("$RLOCK" acquire "$K")
  run -0 "$RLOCK" release --force --holder "$token" "$K"

  is_free "$K"
}

@test "--force --holder leaves the lock of anybody else: 79" {
  cli SET "$K" somebody-new
  run -79 --separate-stderr "$RLOCK" release --force --holder somebody "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is held by foreign token somebody..., not by the holder given" ]
  [ "$(cli GET "$K")" = somebody-new ]
}

@test "--yes does not make --holder any less strict" {
  cli SET "$K" new
  run -79 "$RLOCK" release --force --yes --holder old "$K"

  is_held "$K"
}

# evicts VALUE: --holder takes a token as status --json shows it.
evicts() {
  printf '%s' "$1" | cli -x SET "$K"
  shown=$(json "$("$RLOCK" status --json "$K")" token)
  run -0 "$RLOCK" release --force --holder "$shown" "$K"
  is_free "$K"
}

@test "--holder takes a token with blanks and quotes as status --json shows it" {
  evicts $'a "b" \'c\' é\n\td'
}

@test "--holder takes a token with control characters as status --json shows it" {
  evicts $'a\e[31mb\x01'
}

@test "--holder takes a token with a backslash as status --json shows it" {
  evicts 'a\b\\c'
}

@test "--holder takes a token of invalid UTF-8 as status --json shows it" {
  evicts $'a\xff\xfeb\xc3'
}

@test "--holder takes a token of invalid UTF-8 and control characters as status --json shows it" {
  evicts $'a\\b\e[31m\xffc'
}

@test "--holder takes a token as the messages show it" {
  printf 'a\e\377' | cli -x SET "$K"
  run -0 "$RLOCK" release --force --holder 'a\x1B\xFF' "$K"

  is_free "$K"
}

@test "a token with a NUL in it can be evicted" {
  printf 'a\0b' | cli -x SET "$K"
  run -0 "$RLOCK" release --force --yes "$K"

  is_free "$K"
}

@test "--holder does not take what a token with a NUL in it begins with" {
  printf 'a\0b' | cli -x SET "$K"
  run -79 "$RLOCK" release --force --holder a "$K"

  is_held "$K"
}

@test "--force of a lock that is free is 79" {
  run -79 "$RLOCK" release --force --yes "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
}

@test "--force without a terminal needs --holder or --yes: 64, and the lock stays" {
  cli SET "$K" other
  run -64 "$RLOCK" release --force "$K" </dev/null

  [ "$output" = "rlock: '$K': --force without a terminal needs --holder TOKEN or --yes" ]
  is_held "$K"
}

@test "--force with a pipe for an answer needs --holder or --yes: 64, and the lock stays" {
  cli SET "$K" other
  run -64 sh -c 'echo yes | "$RLOCK" release --force "$1"' sh "$K"

  is_held "$K"
}

@test "on a terminal --force shows the holder and asks; yes breaks the lock" {
  "$RLOCK" acquire --owner alice@web3 -m why -t 30s "$K" >token
  pid=$(cut -d: -f3 token)
  run -0 on_terminal $'yes\n' "$RLOCK" release --force "$K"

  [[ $output =~ "rlock: '$K' is held by alice@web3 (pid $pid) for "[0-9]+m?s", expires in "(29|30)s": \"why\"" ]]
  [[ $output == *"rlock: break this lock on '$RLOCK_URL'? only yes will do: "* ]]
  [[ $output == *"rlock: '$K' on '$RLOCK_URL' was taken from alice@web3 (pid $pid)" ]]
  is_free "$K"
}

# refuses ANSWER: anything but yes leaves the lock.
refuses() {
  cli SET "$K" other
  run -75 on_terminal "$1" "$RLOCK" release --force "$K"
  [[ $output == *"rlock: '$K' is left alone" ]]
  [ "$(cli GET "$K")" = other ]
}

@test "on a terminal y does not count as yes" { refuses $'y\n'; }
@test "on a terminal YES does not count as yes" { refuses $'YES\n'; }
@test "on a terminal 'yes please' does not count as yes" { refuses $'yes please\n'; }
@test "on a terminal ' yes' does not count as yes" { refuses $' yes\n'; }
@test "on a terminal no does not count as yes" { refuses $'no\n'; }
@test "on a terminal an empty line does not count as yes" { refuses $'\n'; }
@test "on a terminal the end of input does not count as yes" { refuses $'\4'; }

@test "on a terminal the holder is shown under -q too" {
  cli SET "$K" other
  run -0 on_terminal $'yes\n' "$RLOCK" release -q --force "$K"

  [[ $output == *"rlock: '$K' is held by foreign token other, never expires"* ]]
}

@test "--force evicts the holder it showed, never a newer one" {
  cli SET "$K" old
  at_terminal "$RLOCK" release --force "$K" <<'END'
    expect will do:
    # The lock changes hands while the question stands.
    do $ASK SET $K new
    type yes
    expect not held with this token, but by foreign token new
    ended 79
END
  [ "$(cli GET "$K")" = new ]
}

# --- --json ---------------------------------------------------------------

@test "--json says released" {
  "$RLOCK" acquire --token t "$K"
  run -0 --separate-stderr "$RLOCK" release --json --token t "$K"

  [ "$output" = "{\"name\":\"$K\",\"outcome\":\"released\"}" ]
  [ -z "$stderr" ]
}

@test "--json says gone" {
  run -79 --separate-stderr "$RLOCK" release --json --token t "$K"

  [ "$output" = "{\"name\":\"$K\",\"outcome\":\"gone\"}" ]
}

@test "--json says taken" {
  cli SET "$K" other
  run -79 --separate-stderr "$RLOCK" release --json --token t "$K"

  [ "$output" = "{\"name\":\"$K\",\"outcome\":\"taken\"}" ]
}

@test "--json says nothing when the outcome is unknown" {
  run -69 --separate-stderr "$RLOCK" release --json --token t \
    -u unix:///nowhere "$K"

  [ -z "$output" ]
}

@test "--json that cannot be written is 74" {
  "$RLOCK" acquire --token t "$K"
  run -74 sh -c '"$RLOCK" release --json --token t "$1" >/dev/full' sh "$K"

  [ "$output" = "rlock: '$K': cannot write to standard output: No space left on device" ]
  is_free "$K"
}
