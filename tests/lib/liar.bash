# liar.bash - what the files about faults share: a server that lies, bounds
#
# To be loaded after common.bash.

# What a sanitizer keeps of freed memory is not rlock's.
export ASAN_OPTIONS=quarantine_size_mb=1:${ASAN_OPTIONS-}

# Starts a server that lies, in front of the file's server or the one at SOCKET:
# start_liar [SOCKET].  $LIAR_URL is its address; stop_jobs ends it.  It tells
# the truth until it gets a plan.
start_liar() {
  local at=$BATS_TEST_TMPDIR/liar
  : >"$at.plan"
  start_between liar "${1-$BATS_FILE_TMPDIR/s}" "$at.plan" "$at.log"
  # shellcheck disable=SC2034 # the tests use it
  LIAR_URL=unix://$at
}

# What the liar does from now on, a line each (liar.py has the words): lie LINE...
lie() {
  local at=$BATS_TEST_TMPDIR/liar.plan
  printf '%s\n' "$@" >"$at.new"
  mv "$at.new" "$at"
}

# How often the liar was asked for WHAT: asked WHAT.  True when it was at least
# so often: asked_for WHAT COUNT.
asked() { grep -cx "$1" "$BATS_TEST_TMPDIR/liar.log" || true; }
asked_for() { (($(asked "$1") >= $2)); }

# Runs a command and passes on its output and exit status, unless it takes more
# than so much time or memory, which is 98: bounded SECONDS MEGABYTES COMMAND...
# A sanitizer's own memory is on top of that.
bounded() {
  "$PYTHON" -c '
import os, subprocess, sys, time
seconds, megabytes, *command = sys.argv[1:]
idle = subprocess.Popen([os.environ["RLOCK"], "--version"],
                        stdout=subprocess.DEVNULL)
base = os.wait4(idle.pid, 0)[2].ru_maxrss
begin = time.monotonic()
child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command])
status, usage = os.wait4(child.pid, 0)[1:]
took = time.monotonic() - begin
used = (usage.ru_maxrss - base) / 1024
if took > float(seconds) or used > float(megabytes):
    print("it took %.3f s and %.1f MB" % (took, used), file=sys.stderr)
    os._exit(98)
status = os.waitstatus_to_exitcode(status)
os._exit(128 - status if status < 0 else status)' "$@"
}
