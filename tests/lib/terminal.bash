# terminal.bash - shells at a terminal, for the tests that sit down at one
#
# Unless a file has its own,
# setup_file:  start_server, set_up_terminal
# setup:       fresh, sit_down
#
# Elsewhere, which is where pty.py's "do" and "until" run their commands:
#
#   $ASK ARG...        asks the server
#   $RUN, $WARDEN      print the process number of the run that holds $K, and
#                      of its warden
#   $RUN_IS_STOPPED    is run stopped?
#   $GONE PID...       have all of these ended, reaped or not?
#
# Steps besides pty.py's, which they are made of:
#
#   suspend            stops the job in front with Ctrl-Z; the shell prompts
#   gets TEXT          types TEXT, and who reads it says that it got it
#   exits N            the job is over, and its exit status is N

set_up_terminal() {
  cat >"$BATS_FILE_TMPDIR/ask" <<END
exec $CLI -s $BATS_FILE_TMPDIR/s "\$@"
END
  cat >"$BATS_FILE_TMPDIR/run" <<'END'
$ASK GET "$K" | cut -d : -f 3
END
  cat >"$BATS_FILE_TMPDIR/warden" <<'END'
run=$($RUN)
for pid in $(cat "/proc/$run/task/"*/children); do
  ! grep -qx rlock-warden "/proc/$pid/comm" || echo "$pid"
done
END
  cat >"$BATS_FILE_TMPDIR/is_stopped" <<'END'
# Each thread: only then is its shell told.
set -- "/proc/$($RUN)/task/"*/status
[ -e "$1" ] && ! grep -L '^State:.T' "$@" | grep -q .
END
  cat >"$BATS_FILE_TMPDIR/gone" <<'END'
for pid; do
  ! grep -q '^State:.[^ZX]' "/proc/$pid/status" || exit 1
done
END
  export GONE="sh $BATS_FILE_TMPDIR/gone"
  export ASK="sh $BATS_FILE_TMPDIR/ask"
  export RUN="sh $BATS_FILE_TMPDIR/run"
  export WARDEN="sh $BATS_FILE_TMPDIR/warden"
  export RUN_IS_STOPPED="sh $BATS_FILE_TMPDIR/is_stopped"
}

sit_down() {
  export K PS1='ready> ' ENV='' HISTFILE=''
}

setup_file() {
  start_server
  set_up_terminal
}

setup() {
  fresh
  sit_down
}

# Runs a program at a terminal: at_terminal PROGRAM... <STEPS
at_terminal() {
  # A python3 that is a shell script (pyenv's) loses PS1 on the way.
  spell_out |
    "$PYTHON" "$BATS_TEST_DIRNAME/../lib/pty.py" env PS1="$PS1" TERM=vt100 "$@"
}

# Puts the steps that are made of others in pty.py's words.
spell_out() {
  sed -E '
    s/^ *suspend$/key Z\nexpect Stopped\nexpect ready>/
    s/^ *gets (.*)/type \1\nexpect got \1/
    s/^ *exits (.*)/expect ready>\ntype echo "status $?"\nexpect status \1/'
}

# Does the same in bash and in dash, from the first prompt on: in_each_shell
# <STEPS.  What the steps left in "log" in bash is in "bash.log" then; all else
# that they left is gone before dash.
in_each_shell() {
  local steps file before=(*)
  steps="expect ready>"$'\n'$(cat)
  at_terminal bash --norc --noprofile --noediting -i <<<"$steps" || return
  is_free "$K" || return
  [ ! -e log ] || cp log bash.log || return
  for file in *; do
    [[ " ${before[*]} bash.log " == *" $file "* ]] || rm -f -- "$file" || return
  done
  at_terminal dash -i <<<"$steps" || return
  is_free "$K"
}
