#!/bin/bash
# lint.sh - every check that needs no server; TAP in $BUILD/tap/lint.tap
set -u
cd "$(dirname "$0")/../.." || exit 2
: "${BUILD:=build}"
mkdir -p "$BUILD/tap"
count=0

# check "what holds" COMMAND...: a line of TAP, and the output if it failed
check() {
  local what=$1 said
  shift
  count=$((count + 1))
  if said=$("$@" 2>&1) && [ -z "$said" ]; then
    echo "ok $count - $what"
  else
    echo "not ok $count - $what"
    printf '%s\n' "${said//$'\n'/$'\n'# }" | sed '1s/^/# /'
  fi
}

headers_alone() {
  local header
  for header in src/*/*.h; do
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -Isrc -Wall -Wextra -Wpedantic -Werror \
      -fsyntax-only -x c "$header" || return
  done
}

formatted() {
  clang-format --dry-run -Werror src/*.c src/*/*.[ch] tests/*/*.[ch] \
    bench/*.c
}

no_trailing_space() {
  ! git grep -nI '[[:space:]]$' -- ':!*.tap'
}

scripts_open_with_a_contract() {
  local script
  for script in src/lock/scripts/*.lua; do
    head -n 1 "$script" | grep -q "^-- $(basename "$script") - " ||
      echo "$script"
  done
}

# A status that is not named is a crash that passes.
runs_name_their_status() {
  ! git grep -nE '^[[:space:]]*run( --separate-stderr)? "?[^-!"]' -- '*.bats'
}

# What must not go wrong has numbers, which tests/README.md lists: each stands
# at the beginning of some test's title, or in the head of a soak or fuzz test.
each_fault_has_a_test() {
  local file number titles
  titles=$(
    grep -rhoE '"(\[[0-9]+\] )+' tests/*/*.bats tests/unit tests/line
    for file in tests/soak/* tests/fuzz/*; do
      [ -f "$file" ] && head -n 30 "$file" | grep -oE '^(\[[0-9]+\] )+'
    done
  )
  grep -oE '^[0-9]+\. ' tests/README.md | while IFS=. read -r number _; do
    grep -qF "[$number]" <<<"$titles" || echo "$number is in no title"
  done
  # And no title has a number that is not in the list.
  grep -oE '[0-9]+' <<<"$titles" | sort -nu | while read -r number; do
    grep -q "^$number\. " tests/README.md || echo "nothing has number $number"
  done
}

# In a bats file what is quoted is for a command to expand, bats and lib/ set
# some names, and what a test changes is for that test alone.
shell_is_clean() {
  shellcheck .ci/run tests/*/*.sh completions/rlock.bash &&
    shellcheck -s bash tests/lib/*.bash &&
    shellcheck -s bats -e SC2016,SC2030,SC2031,SC2153,SC2154 tests/*/*.bats
}

{
  check 'each header stands alone' headers_alone
  check 'the code is formatted' formatted
  check 'the rooms keep their rules' tests/lint/rooms.sh
  check 'no line ends in blanks' no_trailing_space
  check 'each script opens with its contract' scripts_open_with_a_contract
  check 'each run names the status it expects' runs_name_their_status
  check 'each fault that is listed has a test' each_fault_has_a_test
  check 'the shell scripts are clean' shell_is_clean
  check 'the manual is clean' mandoc -T lint -W warning man/rlock.1
  echo "1..$count"
} >"$BUILD/tap/lint.tap"
cat "$BUILD/tap/lint.tap"
! grep -q '^not ok' "$BUILD/tap/lint.tap"
