#!/bin/bash
# run.sh - give each target made-up bytes for so long, and keep what it says
#
#   run.sh SECONDS TARGET...   $JOBS side by side; TAP goes to
#                              $BUILD/tap/fuzz.TARGET.tap
#
# It starts from tests/fuzz/corpus/TARGET, where nothing is written, and from
# what earlier runs found worth keeping in $BUILD/fuzz/corpus.  What a target
# does not bear is in $BUILD/fuzz/found, and its name in the TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
: "${BUILD:=build-fuzz}"
# What was freed is remembered, which costs memory.
export ASAN_OPTIONS=quarantine_size_mb=16:${ASAN_OPTIONS-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS-}

# One target, under bounds of memory and of time for each input: 0 if it bore
# everything.
fuzz() {
  "$BUILD/fuzz/$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=512 \
    -malloc_limit_mb=32 -close_fd_mask=2 -print_final_stats=1 \
    -artifact_prefix="$BUILD/fuzz/found/$1-" "$BUILD/fuzz/corpus/$1" \
    "tests/fuzz/corpus/$1" >"$BUILD/fuzz/$1.log" 2>&1 </dev/null
}

# What went wrong, as comments: the end of the log, but not how it got there.
tell() {
  local input
  input=$(sed -n 's/.*Test unit written to //p' "$2" | tail -n 1)
  echo "# input: ${input:-none was kept}"
  echo "# again: $BUILD/fuzz/$1 ${input:-FILE}"
  echo "# mended: cp ${input:-FILE} tests/fuzz/corpus/$1/WHAT_IT_IS"
  grep -vE '^#[0-9]+[[:space:]]' "$2" | tail -n 60 | sed 's/^/# /'
}

one() {
  local target=$1 log=$BUILD/fuzz/$1.log out=$BUILD/tap/fuzz.$1.tap runs
  mkdir -p "$BUILD/fuzz/corpus/$target"
  if fuzz "$target" "$2"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "ok 1 - $target bears what is made up for it" >"$out"
    echo "1..1" >>"$out"
    echo "fuzz/$target: passed (${runs:-?} runs, $2 s)"
    return
  fi
  {
    echo "not ok 1 - $target bears what is made up for it"
    tell "$target" "$log"
    echo "1..1"
  } >"$out"
  echo "fuzz/$target: failed"
  sed 's/^/    /' "$out"
  return 1
}

if [ "$1" = one ]; then
  one "$3" "$2"
  exit
fi
seconds=$1
shift
mkdir -p "$BUILD/tap" "$BUILD/fuzz/found"
printf '%s\n' "$@" |
  xargs -P "${JOBS:-2}" -I TARGET "$0" one "$seconds" TARGET
