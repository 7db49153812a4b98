#!/bin/sh
# tap.sh - run tests side by side, keep what they say, count it
#
#   tap.sh run SUITE TEST...   a TEST is a bats file, or a program that speaks
#                              TAP; output goes to $BUILD/tap/SUITE.NAME.tap
#   tap.sh servers SUITE TEST...   the same with each kind of server there is
#   tap.sh total DIR...        "N passed, N failed" over all that was kept
#
# A test that was skipped or did not run counts as failed.
set -u

# Runs one test and shows what did not pass.
run_one() {
  suite=$1
  test=$2
  name=$(basename "$test" .bats)
  out=$BUILD/tap/$suite.$name.tap
  begin=$(date +%s)
  case $test in
  *.bats) bats --tap "$test" >"$out" 2>&1 </dev/null ;;
  *) "$test" >"$out" 2>&1 </dev/null ;;
  esac
  status=$?
  passed=$(count_passed "$out")
  failed=$(count_failed "$out")
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || {
    echo "not ok - $name exits with $status" >>"$out"
    failed=1
  }
  echo "$suite/$name: $passed passed, $failed failed" \
    "($(($(date +%s) - begin)) s)"
  [ "$failed" -eq 0 ] || {
    sed 's/^/    /' "$out" | grep -v '^    ok '
    return 1
  }
}

count_passed() { grep '^ok ' "$1" | grep -vci '# skip'; }

# Failed, skipped, or planned and never run.
count_failed() {
  bad=$(grep -c '^not ok ' "$1")
  skipped=$(grep '^ok ' "$1" | grep -ci '# skip')
  planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$1" | head -n 1)
  ran=$(grep -c -E '^(ok|not ok) ' "$1")
  lost=$((${planned:-ran + 1} - ran))
  [ "$lost" -gt 0 ] || lost=0
  echo $((bad + skipped + lost))
}

case ${1-} in
run)
  suite=$2
  shift 2
  mkdir -p "$BUILD/tap"
  rm -f "$BUILD/tap/$suite".*.tap
  printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -n 1 "$0" one "$suite"
  ;;
servers)
  suite=$2
  shift 2
  status=0
  for SERVER in $(command -v redis-server) $(command -v valkey-server); do
    export SERVER
    "$0" run "$suite-${SERVER##*/}" "$@" || status=1
  done
  exit $status
  ;;
one)
  run_one "$2" "$3"
  ;;
total)
  shift
  passed=0
  failed=0
  for dir; do
    for file in "$dir"/*.tap; do
      [ -e "$file" ] || continue
      passed=$((passed + $(count_passed "$file")))
      failed=$((failed + $(count_failed "$file")))
    done
  done
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  ;;
*)
  echo "usage: tap.sh run SUITE TEST... | total DIR..." >&2
  exit 2
  ;;
esac
