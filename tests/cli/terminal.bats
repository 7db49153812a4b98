# terminal.bats - run at a terminal: keys, job control, and who reads
#
# Each test sits down at an interactive shell, bash and dash in turn; see
# tests/lib/terminal.bash and tests/lib/pty.py for what it can do there.

load ../lib/common
load ../lib/terminal

setup_file() {
  start_server
  set_up_terminal

  # A command that INT ends: it notes in "log" each INT that comes, for a while
  # after the first one, too.
  cat >"$BATS_FILE_TMPDIR/interruptible" <<'END'
import os, signal, sys
log = open("log", "a", buffering=1)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("started", file=log)
print("working")
signal.sigwait([signal.SIGINT])
while True:
    print("INT", file=log)
    if not signal.sigtimedwait([signal.SIGINT], 0.3):
        break
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
os.kill(os.getpid(), signal.SIGINT)
END
  export INTERRUPTIBLE="$PYTHON $BATS_FILE_TMPDIR/interruptible"
}

# --- Ctrl-C ----------------------------------------------------------------

@test "[33] Ctrl-C reaches the command once and ends a loop typed at the shell" {
  in_each_shell <<'END'
    type while :; do $RLOCK run $K $INTERRUPTIBLE; done
    expect working
    key C
    expect ready>
    type echo still he''re
    expect still here
    times 1 working
END

  [ "$(<bash.log)" = $'started\nINT' ]
  [ "$(<log)" = $'started\nINT' ]
}

@test "[33] Ctrl-C reaches the command once and ends a script with a loop" {
  echo "while :; do $RLOCK run $K $INTERRUPTIBLE; done" >bash.sh
  cp bash.sh dash.sh
  in_each_shell <<'END'
    type bash ./bash.sh
    expect working
    key C
    expect ready>
    type dash ./dash.sh
    expect working
    key C
    expect ready>
    times 2 working
END

  [ "$(<bash.log)" = $'started\nINT\nstarted\nINT' ]
  [ "$(<log)" = $'started\nINT\nstarted\nINT' ]
}

@test "[33] a command that survives Ctrl-C ends as it likes, and the loop goes on" {
  in_each_shell <<'END'
    type for i in 1 2; do $RLOCK run $K sh -c 'trap "exit 5" INT; echo working; read -r x'; echo "status $?"; done
    expect working
    key C
    expect status 5
    expect working
    key C
    expect status 5
    expect ready>
END
}

@test "[32] [33] Ctrl-C while run waits for a held lock ends it with 130 and leaves nothing" {
  in_each_shell <<'END'
    do $ASK SET $K somebody
    type $RLOCK run $K touch started
    until $ASK CLIENT LIST | grep ' name=rlock '
    key C
    exits 130
    until ! $ASK CLIENT LIST | grep ' name=rlock '
    do [ ! -e started ]
    do [ "$($ASK GET $K)" = somebody ]
    do [ -z "$($ASK --scan --pattern "rlock:{$K}*")" ]
    do $ASK DEL $K
END
}

# --- reading ---------------------------------------------------------------

@test "[33] the command reads from the terminal" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'echo working; read -r x; echo "got $x"'
    expect working
    gets a line
    expect ready>
END
}

@test "[33] the command reads from the terminal while its output goes into a pipe" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'echo working; read -r x; echo "got $x"' | cat
    expect working
    gets a line
    expect ready>
END
}

@test "[33] a command in the background that reads can be brought to the front" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'read -r x; echo "got $x"; exit 6' &
    until $RUN_IS_STOPPED
    type fg
    gets a line
    exits 6
END
}

@test "[33] a command in the background that sets the terminal can be brought to the front" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'stty -echo; echo working; read -r x; echo "got $x"' &
    until $RUN_IS_STOPPED
    type fg
    expect working
    gets a line
    expect ready>
END
}

@test "[33] after run the script around it can read from the terminal" {
  cat >script <<'END'
$RLOCK run $K sh -c "$1"
echo "status $?"
read -r x
echo "got $x"
END
  in_each_shell <<'END'
    type dash ./script true
    expect status 0
    gets one
    expect ready>
    type bash ./script 'kill -KILL $$'
    expect status 137
    gets two
    expect ready>
    type bash ./script 'exec ./missing'
    expect status 127
    gets three
    expect ready>
    type dash ./script "$RLOCK release"
    expect status 79
    gets four
    expect ready>
END
}

@test "[33] after a command that cannot be executed the shell has its terminal" {
  in_each_shell <<'END'
    type $RLOCK run $K ./missing
    expect cannot execute './missing'
    expect ready>
    type sh -c 'read -r x; echo "got $x"'
    gets a line
END
}

# --- Ctrl-Z ----------------------------------------------------------------

@test "[33] Ctrl-Z stops the command and run, and fg renews the lock and goes on" {
  in_each_shell <<'END'
    type $RLOCK run -t 90s $K sh -c 'echo $$ >pid; echo working; read -r x; echo "got $x"; exit 6'
    expect working
    suspend
    do $RUN_IS_STOPPED
    do grep '^State:.T' /proc/$(cat pid)/status
    # The next renewal by the clock is due only after half a minute.
    do $ASK PEXPIRE $K 20000
    type fg
    until [ $($ASK PTTL $K) -gt 60000 ]
    gets a line
    exits 6
END
}

@test "[33] Ctrl-Z and fg work more than once" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'echo working; read -r x; echo "got $x"; read -r x; echo "got $x"'
    expect working
    suspend
    type fg
    gets one
    suspend
    type fg
    gets two
    expect ready>
END
}

@test "[33] Ctrl-Z stops the script around run as well, and fg continues both" {
  cat >script <<'END'
$RLOCK run $K sh -c 'echo working; read -r x; echo "got $x"; exit 6'
echo "status $?"
read -r x
echo "read $x"
END
  in_each_shell <<'END'
    type dash ./script
    expect working
    suspend
    type fg
    gets one
    expect status 6
    type two
    expect read two
    expect ready>
END
}

@test "[33] a lock that was lost while the command was stopped ends it at fg" {
  in_each_shell <<'END'
    type $RLOCK run -k 100ms $K sh -c 'trap "" TERM; echo working; read -r x; touch went_on'
    expect working
    suspend
    do $ASK DEL $K
    type fg
    expect was lost: it expired, or was deleted; the command is stopped
    exits 79
    do [ ! -e went_on ]
END
}

@test "[33] a lock that another took while the command was stopped stays the other's" {
  in_each_shell <<'END'
    type $RLOCK run $K sh -c 'echo working; read -r x; touch went_on'
    expect working
    suspend
    do $ASK SET $K somebody
    type fg
    expect was lost: it is held by foreign token somebody; the command is stopped
    exits 79
    do [ ! -e went_on ]
    do [ "$($ASK GETDEL $K)" = somebody ]
END
}

# --- a terminal that is not stdin ------------------------------------------

@test "[33] a command whose stdin is a pipe reads the terminal all the same" {
  in_each_shell <<'END'
    type echo hi | $RLOCK run $K sh -c 'read -r x; read -r y </dev/tty; echo "got $x and $y"'; echo "status $?"
    until $ASK EXISTS $K
    type from the keyboard
    expect got hi and from the keyboard
    expect status 0
    expect ready>
END
}
