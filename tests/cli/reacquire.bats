# reacquire.bats - setting a lock's TTL back, or taking it again

load ../lib/common

@test "reacquire sets the TTL back to the one in the token, and says nothing" {
  "$RLOCK" acquire -f token -t 60s "$K"
  cli PEXPIRE "$K" 5000
  run -0 "$RLOCK" reacquire -f token "$K"

  [ -z "$output" ]
  has_left 59000 60000
  cli GET "$K" | cmp - token
}

@test "reacquire never adds up: what is left is never more than the TTL" {
  "$RLOCK" acquire -f token -t 10s "$K"
  for _ in 1 2 3 4 5; do
    "$RLOCK" reacquire -f token "$K"
  done

  has_left 9000 10000
}

@test "reacquire cuts what an extension had added" {
  "$RLOCK" acquire -f token -t 10s "$K"
  "$RLOCK" extend -f token --by 1h "$K"
  "$RLOCK" reacquire -f token "$K"

  has_left 9000 10000
}

@test "--ttl overrides the TTL in the token" {
  "$RLOCK" acquire -f token -t 10s "$K"
  run -0 "$RLOCK" reacquire -f token --ttl 60s "$K"

  has_left 59000 60000
}

@test "a token whose TTL is 0 makes the lock persistent again" {
  "$RLOCK" acquire -f token -t none "$K"
  cli PEXPIRE "$K" 5000
  run -0 "$RLOCK" reacquire -f token "$K"

  [ "$(cli PTTL "$K")" = -1 ]
}

@test "--ttl none makes the lock persistent" {
  "$RLOCK" acquire -f token -t 10s "$K"
  run -0 "$RLOCK" reacquire -f token --ttl none "$K"

  [ "$(cli PTTL "$K")" = -1 ]
}

@test "[10] --ttl gives a TTL to a lock that never expired" {
  "$RLOCK" acquire -f token -t none "$K"
  run -0 "$RLOCK" reacquire -f token --ttl 10s "$K"

  has_left 9000 10000
}

@test "[3] --ttl 0 is 64, and the key is untouched" {
  "$RLOCK" acquire -f token -t 10s "$K"
  run -64 "$RLOCK" reacquire -f token --ttl 0 "$K"

  [ "$output" = "rlock: --ttl '0' is less than a millisecond" ]
  has_left 9000 10000
}

@test "a foreign token needs --ttl: without it 64, and the key is untouched" {
  cli SET "$K" 0123456789abcdef PX 5000
  run -64 --separate-stderr "$RLOCK" reacquire --token 0123456789abcdef "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': the token does not say the TTL: give --ttl" ]
  has_left 4000 5000
}

@test "a foreign token with --ttl sets that TTL, and makes no fence" {
  cli SET "$K" 0123456789abcdef PX 5000
  run -0 "$RLOCK" reacquire --token 0123456789abcdef --ttl 60s "$K"

  has_left 59000 60000
  [ "$(cli EXISTS "rlock:{$K}:fence")" = 0 ]
}

@test "a token whose TTL is absurd needs --ttl" {
  token=rlock1:a@b:1:999999999999999999:1::0123456789abcdef0123456789abcdef
  cli SET "$K" "$token" PX 5000
  run -64 "$RLOCK" reacquire --token "$token" "$K"

  [ "$output" = "rlock: '$K': the token's TTL is absurd: give --ttl" ]
  has_left 4000 5000
}

@test "reacquire of a lock that is gone is 79, and does not take it" {
  "$RLOCK" acquire -f token "$K"
  cli DEL "$K"
  run -79 --separate-stderr "$RLOCK" reacquire -f token "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held: it expired, or was released already" ]
  is_free "$K"
  [ -e token ]
}

@test "reacquire of a lock that somebody else has is 79, and leaves it" {
  "$RLOCK" acquire -f token "$K"
  cli SET "$K" other PX 10000
  run -79 --separate-stderr "$RLOCK" reacquire -f token "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token other" ]
  has_left 9000 10000
}

@test "reacquire keeps the fence and sets its expiry anew" {
  "$RLOCK" acquire -f token -t 10s "$K"
  before=$(fence)
  cli PEXPIRE "rlock:{$K}:fence" 5000
  "$RLOCK" reacquire -f token "$K"

  [ "$(fence)" = "$before" ]
  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 86390000 && left <= 86400000))
}

@test "the fence's key of a lock made persistent expires all the same" {
  "$RLOCK" acquire -f token -t 10s "$K"
  "$RLOCK" reacquire -f token --ttl none "$K"

  left=$(cli PTTL "rlock:{$K}:fence")
  ((left > 31535990000 && left <= 31536000000))
}

@test "reacquire without a token is 64" {
  run -64 "$RLOCK" reacquire "$K"

  [ "$output" = "rlock: '$K': no token given (--token, --token-file or RLOCK_TOKEN)" ]
}

@test "reacquire --json prints name, fence and what is left" {
  "$RLOCK" acquire -f token -t 10s "$K"
  run -0 --separate-stderr "$RLOCK" reacquire --json -f token "$K"

  [ "$output" = "{\"name\":\"$K\",\"fence\":$(fence),\"expires_in_ms\":10000}" ]
}

@test "reacquire --json says null when the lock never expires" {
  "$RLOCK" acquire -f token -t none "$K"
  run -0 --separate-stderr "$RLOCK" reacquire --json -f token "$K"

  [ "$output" = "{\"name\":\"$K\",\"fence\":$(fence),\"expires_in_ms\":null}" ]
}

# --- --retake -------------------------------------------------------------

@test "--retake of a lock that is free takes it with the same token and a new fence" {
  "$RLOCK" acquire -f token -t 60s "$K"
  before=$(fence)
  cli DEL "$K"
  run -0 "$RLOCK" reacquire --retake -f token "$K"

  [ "$output" = "rlock: '$K' was lost, and has been taken again: others may have held it; its fence is now $(fence)" ]
  cli GET "$K" | cmp - token
  (($(fence) > before))
  has_left 59000 60000
}

@test "--retake takes a lock that expired" {
  "$RLOCK" acquire -f token "$K"
  cli PEXPIRE "$K" 20
  wait_until 5 'the lock to expire' is_free "$K"
  run -0 "$RLOCK" reacquire --retake -f token --ttl 60s "$K"

  cli GET "$K" | cmp - token
  has_left 59000 60000
}

@test "--retake of a lock that is still ours sets the TTL back and keeps the fence" {
  "$RLOCK" acquire -f token -t 60s "$K"
  before=$(fence)
  cli PEXPIRE "$K" 5000
  run -0 "$RLOCK" reacquire --retake -f token "$K"

  [ "$(fence)" = "$before" ]
  has_left 59000 60000
}

@test "--retake of a lock that somebody else has is 79 at once, and leaves it" {
  "$RLOCK" acquire -f token "$K"
  cli SET "$K" other PX 60000
  run -79 --separate-stderr "$RLOCK" reacquire --retake -f token "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token other" ]
}

@test "--retake with a foreign token needs --ttl" {
  run -64 "$RLOCK" reacquire --retake --token other "$K"
  [ "$output" = "rlock: '$K': the token does not say the TTL: give --ttl" ]
  is_free "$K"

  run -0 "$RLOCK" reacquire --retake --token other --ttl 60s "$K"
  [ "$(cli GET "$K")" = other ]
}

@test "--retake --json prints the new fence" {
  "$RLOCK" acquire -f token -t 10s "$K"
  cli DEL "$K"
  run -0 --separate-stderr "$RLOCK" reacquire --retake --json -f token "$K"

  [ "$output" = "{\"name\":\"$K\",\"fence\":$(fence),\"expires_in_ms\":10000}" ]
}
