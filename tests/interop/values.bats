# values.bats - what other libraries and people write is respected as it is

load ../lib/common

# Values that other libraries, and people, write.
others() {
  OTHERS=(
    'q83vASNFZ4mrze/+VGVzdA=='
    '+/=+/='
    'held by the night job'
    ' blanks around '
    'web3:4711:1:worker-3'
    ':'
    '{"owner":"web3","pid":4711,"tags":["a b"]}'
    '"in quotes"'
    "it's \`mine\` \$HOME \\n"
    $'gr\303\274n \342\202\254'
    $'two\nlines'
    '8a1d53a2-98e2-4c4e-9f5c-0d5a1d1f0b0e'
    '1'
    '*'
  )
}

@test "[11] a value of another library is shown as it is" {
  others
  for value in "${OTHERS[@]}"; do
    cli SET "$K" "$value" PX 60000 >/dev/null

    run -0 "$RLOCK" status --json "$K"

    [ "$(json "$output" token)" = "$value" ]
    run -75 "$RLOCK" acquire -n "$K"
    [ "$(cli GET "$K")" = "$value" ]
  done
}

@test "[11] a value of another library releases its lock as --token" {
  others
  for value in "${OTHERS[@]}"; do
    cli SET "$K" "$value" PX 60000 >/dev/null
    run -79 "$RLOCK" release --token "${value}x" "$K"
    is_held "$K"

    run -0 "$RLOCK" release --token "$value" "$K"

    is_free "$K"
  done
}

@test "[11] a value of another library releases its lock from a file" {
  others
  for value in "${OTHERS[@]}"; do
    cli SET "$K" "$value" PX 60000 >/dev/null
    printf '%s\n' "$value" >token

    run -0 "$RLOCK" release -f token "$K"

    is_free "$K"
    [ ! -e token ]
  done
}

@test "a value of another library breaks its lock as --holder from the JSON" {
  others
  # What JSON cannot carry is shown escaped, and is good for --holder still.
  OTHERS+=($'\377\376' $'\377\nx' $'\377\\' $'\377"\342\200\256')
  for value in "${OTHERS[@]}"; do
    cli SET "$K" "$value" PX 60000 >/dev/null
    holder=$(json "$("$RLOCK" status --json "$K")" token)

    run -0 "$RLOCK" release --force --holder "$holder" "$K"

    is_free "$K"
  done
}

@test "--holder names the whole value, not what it starts with" {
  printf 'abc\0def' | cli -x SET "$K"

  run -79 "$RLOCK" release --force --holder abc "$K"

  is_held "$K"
}
