# extend.bats - adding to, or setting, the time that a lock has left

load ../lib/common

@test "extend --by adds to what is left, and says nothing" {
  "$RLOCK" acquire --token t -t 10s "$K"
  run -0 "$RLOCK" extend --token t --by 10s "$K"

  [ -z "$output" ]
  has_left 19000 20000
  [ "$(cli GET "$K")" = t ]
}

@test "[9] extend --by 10s five times on a lock of 10 s leaves 60 s" {
  "$RLOCK" acquire --token t -t 10s "$K"
  for _ in 1 2 3 4 5; do
    "$RLOCK" extend --token t --by 10s "$K"
  done

  has_left 59000 60000
}

@test "extend --to sets what is left" {
  "$RLOCK" acquire --token t -t 10s "$K"
  run -0 "$RLOCK" extend --token t --to 1m "$K"

  [ -z "$output" ]
  has_left 59000 60000
}

@test "extend --to may shorten what is left" {
  "$RLOCK" acquire --token t -t 10m "$K"
  "$RLOCK" extend --token t --to 5s "$K"

  has_left 4000 5000
}

@test "[8] extend works with the token of another program, and makes no fence" {
  cli SET "$K" other PX 10000
  run -0 "$RLOCK" extend --token other --by 10s "$K"

  has_left 19000 20000
  [ "$(cli EXISTS "rlock:{$K}:fence")" = 0 ]
}

@test "extend reads the token from a file and keeps the file" {
  "$RLOCK" acquire -f token -t 10s "$K"
  run -0 "$RLOCK" extend -f token --to 60s "$K"

  has_left 59000 60000
  [ -e token ]
}

@test "extend takes name and token from the environment" {
  "$RLOCK" acquire --token t -t 10s "$K"
  RLOCK_NAME=$K RLOCK_TOKEN=t run -0 "$RLOCK" extend --to 60s

  has_left 59000 60000
}

@test "extend with neither --by nor --to is 64" {
  run -64 "$RLOCK" extend --token t "$K"

  [ "$output" = 'rlock: extend takes one of --by and --to' ]
}

@test "extend with both --by and --to is 64, and the key is untouched" {
  "$RLOCK" acquire --token t -t 10s "$K"
  run -64 "$RLOCK" extend --token t --by 10s --to 10s "$K"

  [ "$output" = 'rlock: extend takes one of --by and --to' ]
  has_left 9000 10000
}

# refuses OPTION DUR WHY: 64, and the key is untouched.
refuses() {
  "$RLOCK" acquire --token t -t 10s "$K"
  run -64 "$RLOCK" extend --token t "$1" "$2" "$K"
  [ "$output" = "rlock: $1 '$2' $3" ]
  has_left 9000 10000
  [ "$(cli GET "$K")" = t ]
}

@test "[9] extend --by 0 is 64" {
  refuses --by 0 'is less than a millisecond'
}

@test "[9] extend --to 0 is 64" {
  refuses --to 0 'is less than a millisecond'
}

@test "[9] extend --by 0.4ms is 64" {
  refuses --by 0.4ms 'is less than a millisecond'
}

@test "[9] extend --by -5s is 64" {
  refuses --by -5s 'is no duration (500ms, 1.5s, 10m, 2h, 1d)'
}

@test "[9] extend --to -10m is 64" {
  refuses --to -10m 'is no duration (500ms, 1.5s, 10m, 2h, 1d)'
}

@test "extend --to none is 64" {
  refuses --to none 'is no duration (500ms, 1.5s, 10m, 2h, 1d)'
}

@test "[3] extend --by 9223372036854775807ms is 64" {
  refuses --by 9223372036854775807ms 'is no duration (500ms, 1.5s, 10m, 2h, 1d)'
}

@test "extend --by of a hundred years, again and again, never shortens a lock" {
  "$RLOCK" acquire --token t -t 36500d "$K"
  "$RLOCK" extend --token t --by 36500d "$K"
  "$RLOCK" extend --token t --by 36500d "$K"

  day=86400000
  has_left $((3 * 36500 * day - 10000)) $((3 * 36500 * day))
}

@test "[10] extend of a lock that never expires is 65, and the lock stays so" {
  "$RLOCK" acquire --token t -t none "$K"
  for option in --by --to; do
    run -65 --separate-stderr "$RLOCK" extend --token t $option 10s "$K"

    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' never expires: there is nothing to extend (reacquire --ttl gives it a TTL)" ]
    [ "$(cli PTTL "$K")" = -1 ]
  done
}

@test "extend of a lock that is gone is 79, and does not take it" {
  for option in --by --to; do
    run -79 --separate-stderr "$RLOCK" extend --token t $option 10s "$K"

    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
    is_free "$K"
  done
}

@test "extend of a lock that somebody else has is 79, and leaves it" {
  cli SET "$K" other PX 10000
  for option in --by --to; do
    run -79 --separate-stderr "$RLOCK" extend --token t $option 60s "$K"

    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token other" ]
    has_left 9000 10000
  done
}

@test "[10] extend of a lock without expiry that somebody else has is 79, not 65" {
  cli SET "$K" other
  run -79 "$RLOCK" extend --token t --by 60s "$K"
}

@test "extend sets the fence's expiry anew: a day at the least" {
  "$RLOCK" acquire --token t "$K"
  cli PEXPIRE "rlock:{$K}:fence" 5000
  "$RLOCK" extend --token t --by 10s "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 86390000 && left <= 86400000))
}

@test "extend sets the fence's expiry anew: twice what is left of the lock" {
  "$RLOCK" acquire --token t -t 1d "$K"
  "$RLOCK" extend --token t --by 4d "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  day=86400000
  ((left > 10 * day - 10000 && left <= 10 * day))
}

@test "extend leaves a fence of another token alone" {
  "$RLOCK" acquire --token t "$K"
  cli SET "$K" other PX 10000
  cli PEXPIRE "rlock:{$K}:fence" 5000
  "$RLOCK" extend --token other --by 10s "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 4000 && left <= 5000))
}

@test "extend --json prints name, fence and what is left" {
  "$RLOCK" acquire --token t "$K"
  run -0 --separate-stderr "$RLOCK" extend --json --token t --to 30s "$K"

  fence=$(fence)
  [ "$output" = "{\"name\":\"$K\",\"fence\":$fence,\"expires_in_ms\":30000}" ]
}

@test "extend --json says null for the fence of another program's lock" {
  cli SET "$K" other PX 10000
  run -0 --separate-stderr "$RLOCK" extend --json --token other --to 30s "$K"

  [ "$output" = "{\"name\":\"$K\",\"fence\":null,\"expires_in_ms\":30000}" ]
}

@test "extend --json prints nothing when it fails" {
  run -79 --separate-stderr "$RLOCK" extend --json --token t --to 30s "$K"

  [ -z "$output" ]
}

@test "extend without a token is 64" {
  run -64 "$RLOCK" extend --to 30s "$K"

  [ "$output" = "rlock: '$K': no token given (--token, --token-file or RLOCK_TOKEN)" ]
}
