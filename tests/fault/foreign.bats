# foreign.bats - a hostile holder is shown escaped, whoever meets it

load ../lib/common

# Values that would act on a terminal: a foreign token, and one of rlock's whose
# owner and message do.
hostile_values() {
  printf 'x\e[2J\e]0;t\a\nroot: \xff\xc0\xaf\xe2\x80\xae\0'
  printf 'rlock1:%%1B%%5B2J%%0A@%%07h:1:60000:1:%%1B%%5D0%%3Bt%%07%%0A%%FF%%E2%%80%%AE:%s\0' \
    00112233445566778899aabbccddeeff
}

# What was printed is lines of printable text: is_tame FILE...
is_tame() {
  "$PYTHON" - "$@" <<'END'
import sys, unicodedata
for name in sys.argv[1:]:
    text = open(name, "rb").read().decode() # UTF-8, or an exception
    for c in text.replace("\n", ""):
        assert unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp"), (name, text)
    for line in text.splitlines():
        assert not line.startswith("root:"), (name, text)
END
}

# Each command but run meets the value.
meets() {
  local command
  for command in "75 acquire -n" "75 acquire -v -w 300ms" "79 release --token t" \
    "79 release --json --token t" "79 release --force --holder t" \
    "79 extend --token t --by 5s" "79 extend --json --token t --to 5s" \
    "79 reacquire --token t --ttl 5s" \
    "79 reacquire --retake --token t --ttl 5s" "0 status" "0 status -v" \
    "0 status --json" "1 status --token t --json"; do
    # shellcheck disable=SC2086 # a status, a command and its options
    set -- $command
    run "-$1" "$RLOCK" "${@:2}" "$K"
    printf '%s\n' "$output" >said
    [ -s said ]
    is_tame said
  done
  run -75 "$RLOCK" run -n "$K" true
  printf '%s\n' "$output" >said
  is_tame said
}

@test "[7] a hostile holder is shown escaped by every command" {
  while read -r -d '' value; do
    printf %s "$value" | cli -x SET "$K"
    meets
  done < <(hostile_values)
}

@test "[7] a hostile holder that is evicted is shown escaped" {
  while read -r -d '' value; do
    printf %s "$value" | cli -x SET "$K"
    "$RLOCK" release --force --yes "$K" >said 2>&1
    [ -s said ]
    is_tame said
  done < <(hostile_values)
}

@test "[7] a hostile thief of run's lock is shown escaped" {
  while read -r -d '' value; do
    printf %s "$value" >value
    run -79 "$RLOCK" run -v "$K" sh -c \
      '"$0" -s "$1" -x SET "$2" <value >reply; sleep 30' \
      "$CLI" "$BATS_FILE_TMPDIR/s" "$K"
    printf '%s\n' "$output" >said
    is_tame said
    cli DEL "$K"
  done < <(hostile_values)
}

@test "[7] a hostile holder is shown escaped to who waits, on a terminal too" {
  while read -r -d '' value; do
    printf %s "$value" | cli -x SET "$K"
    run -75 "$RLOCK" acquire -w 1200ms "$K"
    printf '%s\n' "$output" >said
    is_tame said
    run -75 on_terminal '' "$RLOCK" acquire -w 1500ms "$K"
    # What moves the cursor in the line is rlock's own.
    [[ $output != *$'\e[2J'* && $output != *$'\e]'* && $output != *$'\a'* ]]
    [[ $output != *$'\nroot:'* ]]
  done < <(hostile_values)
}
