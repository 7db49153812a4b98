# lag.bash - times that may not be exceeded, also on a machine that is busy
#
# Loaded after common.bash.  A test that measures has note_lag before; in_time
# says whether it was fast enough.

# From here to the end of the test it is noted how late processes are let run.
note_lag() {
  LAG=$BATS_TEST_TMPDIR/lag
  # It ends with this shell.
  "$(dirname "$RLOCK")/tests/lag" "$LAG" >/dev/null 2>&1 3>&- &
  disown $!
  wait_until 5 'the lag to be noted' [ -e "$LAG" ]
}

# The wall clock, which is the server's too, in us.
now_us() { date +%s%6N; }

# It took MS at most: in_time MS BEGIN END, both in us by the wall clock.  What
# the machine kept those waiting who had only to wake up is not counted.
in_time() {
  local took=$(($3 - $2)) lag
  lag=$(awk -v begin="$2" -v end="$3" \
    '$1 >= begin && $1 - $2 <= end { sum += $2 } END { print sum + 0 }' "$LAG")
  ((took <= $1 * 1000 + lag)) || {
    echo "it took $took us, and the machine was late by $lag us" >&2
    return 1
  }
}

# So many ms have passed since BEGIN, in us, and not many more than MOST, as
# above: passed LEAST MOST BEGIN.
passed() {
  local end
  end=$(now_us)
  (($1 * 1000 <= end - $3))
  in_time "$2" "$3" "$end"
}
