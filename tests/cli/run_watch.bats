# run_watch.bats - a command whose lock is lost is told at once

load ../lib/common
load ../lib/line

setup_file() {
  # Times are measured, and what the server tells is looked at as a whole.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
  cli ACL SETUSER no-subscribe on '>secret' '~*' +@all -subscribe
  cli ACL SETUSER no-subscribe '&*' # Redis 6.0 knows no channels

  # A command that notes in "told" when it gets TERM, in us, and ends; before
  # that it ends when there is a file "end".
  cat >"$BATS_FILE_TMPDIR/command" <<'END'
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
open("ready", "w").close()
while not os.path.exists("end"):
    if signal.sigtimedwait([signal.SIGTERM], 0.02):
        now = time.time_ns() // 1000
        with open("told", "w") as file:
            file.write(f"{now}\n")
        break
END
}
teardown() {
  touch end
  stop_jobs
}

# Starts the command under the lock, which the server watches when this returns:
# start_command OPTION...
start_command() {
  start_job "$RLOCK" run -t 30s "$@" "$K" "$PYTHON" "$BATS_FILE_TMPDIR/command"
  wait_until 5 'the command' [ -e ready ]
}
start_watched() {
  start_command "$@"
  wait_until 5 'the lock to be watched' tells
}

# The command was told to stop so many ms after what matches PATTERN was asked of
# the server, and rlock says HOW it lost the lock: told_within MS PATTERN HOW
told_within() {
  job_ends 79
  # With -v, other lines stand around it.
  [ "$(grep ' was lost: ' "$JOB_ERR")" = \
    "rlock: '$K' on '$RLOCK_URL' was lost: $3; the command is stopped" ]
  (($(<told) >= $(asked_at "$2")))
  in_time "$1" "$(asked_at "$2")" "$(<told)"
}

GONE='it expired, or was deleted'

# The lock is deleted, and the command told at most so many ms later.
deleted_told_within() {
  start_monitor
  cli DEL "$K"
  told_within "$1" '"DEL"' "$GONE"
}

# The command goes on, and its lock is its own.
goes_on() {
  [ ! -e told ]
  touch end
  job_ends 0
  [ ! -s "$JOB_ERR" ]
}

# --- lost -------------------------------------------------------------------

@test "[26] a command whose lock is deleted is told at once" {
  start_watched
  deleted_told_within 50
  is_free "$K"
}

@test "[26] a command whose lock is unlinked is told at once" {
  start_watched
  start_monitor
  cli UNLINK "$K"
  told_within 50 '"UNLINK"' "$GONE"
}

@test "[26] a command whose lock is renamed is told at once, and the new name left alone" {
  start_watched
  start_monitor
  token=$(cli GET "$K")
  cli RENAME "$K" "$K.old"
  told_within 50 '"RENAME"' "$GONE"
  [ "$(cli GET "$K.old")" = "$token" ]
}

@test "[25] a command whose lock goes with all keys is told at once, and nothing is made anew" {
  start_watched
  start_monitor
  cli FLUSHALL
  told_within 50 '"FLUSHALL"' "$GONE"
  [ "$(cli DBSIZE)" = 0 ]
}

@test "[26] a command whose lock is overwritten is told at once, and the other's is left alone" {
  start_watched
  start_monitor
  cli SET "$K" thief PX 60000
  told_within 50 '"SET"' 'it is held by foreign token thief'
  [ "$(cli GET "$K")" = thief ]
  (($(cli PTTL "$K") > 50000))
}

# The lock is made to expire in so many ms, and the command told then; nothing
# is told of an expiry by a server that deletes no key by itself.
told_when_expired() {
  move_to_own_server --enable-debug-command yes
  cli DEBUG SET-ACTIVE-EXPIRE 0
  start_watched
  start_monitor
  cli PEXPIRE "$K" "$1"
  told_within $(($1 + 50)) '"PEXPIRE"' "$GONE"
}

@test "a command whose lock is made to expire is told at once" {
  told_when_expired 1
}

@test "a command whose lock is made to expire soon is told when it does" {
  told_when_expired 300
}

@test "a command whose lock is released with its token is told at once" {
  start_watched
  start_monitor
  "$RLOCK" release --token "$(cli GET "$K")" "$K"
  told_within 50 '"DEL"' "$GONE"
}

@test "a command whose lock becomes something else is told at once" {
  start_watched
  start_monitor
  printf '%s\n' MULTI "DEL $K" "RPUSH $K a" EXEC | cli
  told_within 50 '"RPUSH"' "the key on '$RLOCK_URL' is a list, not a lock"
  [ "$(cli LRANGE "$K" 0 -1)" = a ]
}

@test "a command in another db is told at once" {
  export RLOCK_URL="unix://$BATS_FILE_TMPDIR/s?db=3"
  cli() { "$CLI" -s "$BATS_FILE_TMPDIR/s" -n 3 "$@"; }
  start_watched
  deleted_told_within 50
}

@test "a command that goes on without the lock is warned of at once" {
  start_watched --on-lost continue
  start_monitor
  cli DEL "$K"
  wait_until 5 'the warning' [ -s "$JOB_ERR" ]
  in_time 50 "$(asked_at '"DEL"')" "$(date -r "$JOB_ERR" +%s%6N)"
  [ "$(<"$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: $GONE; the command goes on without it" ]
  touch end
  job_ends 79
}

# --- still watched ------------------------------------------------------------

renewals() { grep -c 'renewed for' "$JOB_ERR"; }
has_renewed() { (($(renewals) >= $1)); }

@test "the lock is still watched after several renewals" {
  start_watched -v --renew 150ms
  wait_until 5 'renewals' has_renewed 3
  deleted_told_within 50
}

@test "the lock is watched however the renewals fall" {
  for ((i = 1; i <= 10; i++)); do
    rm -f ready told
    cli FLUSHALL
    start_watched -v --renew 100ms
    wait_until 5 'renewals' has_renewed $((1 + i % 3))
    sleep "0.0$i"
    deleted_told_within 50
  done
}

# The keeper's connections: the one that asks, having its keys tracked, and the
# one that hears.
asks() { cli CLIENT LIST | sed -n 's/^id=\([0-9]*\) .* name=rlock .* flags=[A-Za-z]*t.*/\1/p'; }
hears() { cli CLIENT LIST | sed -n 's/^id=\([0-9]*\) .* name=rlock .* sub=1 .*/\1/p'; }
has_others() {
  [[ -n $(asks) && $(asks) != "$1" && -n $(hears) && $(hears) != "$2" ]]
}

# The keeper loses connections, and nothing else: survives NUMBER...
survives() {
  local id asks hears
  start_watched
  asks=$(asks) hears=$(hears)
  sleep 0.3
  for id; do cli CLIENT KILL ID "${!id}"; done
  wait_until 1 'the keeper to come again' has_others "$asks" "$hears"
  [ ! -e told ]
  deleted_told_within 50
}

@test "the lock is watched again when the keeper's connection was cut" { survives asks; }
@test "the lock is watched again when the connection on which the keeper hears was cut" { survives hears; }
@test "the lock is watched again when both were cut" { survives asks hears; }

# The connections of so many seconds go, and the lock in the same moment.
told_when_cut() {
  start_watched
  sleep "$1"
  start_monitor
  printf '%s\n' "CLIENT KILL ID $(asks)" "CLIENT KILL ID $(hears)" "DEL $K" | cli
  told_within 50 '"DEL"' "$GONE"
}

@test "a command whose lock is deleted as the connections are cut is told at once" {
  told_when_cut 0.3
}

@test "a command whose lock is deleted as the connections are cut as soon as they are there is told at once" {
  told_when_cut 0
}

@test "the lock is still watched after SCRIPT FLUSH" {
  start_watched
  cli SCRIPT FLUSH
  deleted_told_within 50
}

# --- not lost -----------------------------------------------------------------

# What happens to a watched lock that stays the command's: a look in vain.
flush_another_db() { cli -n 5 SET x y && cli -n 5 FLUSHDB; }
extend() { "$RLOCK" extend --token "$(cli GET "$K")" --to 40s "$K"; }
write_elsewhere() { cli -n 5 SET "$K" x; }

# not_disturbed_by COMMAND: the command is not, and is told at once of a loss
# right after it, or later.
not_disturbed_by() {
  start_watched
  "$1"
  deleted_told_within 50

  rm ready told
  cli FLUSHALL
  start_watched
  "$1"
  sleep 0.3
  [ ! -e told ]
  deleted_told_within 50
}

@test "deleting the keys of another db does not disturb the command" { not_disturbed_by flush_another_db; }
@test "a key of the same name in another db does not disturb the command" { not_disturbed_by write_elsewhere; }
@test "extending the lock with its token does not disturb the command" { not_disturbed_by extend; }

@test "extending the lock from inside does not disturb the command" {
  start_job "$RLOCK" run -t 30s "$K" sh -c '
    sleep 0.1; "$RLOCK" extend --to 40s; touch extended
    exec "$0" "$1"' "$PYTHON" "$BATS_FILE_TMPDIR/command"
  wait_until 5 'the lock to be extended' [ -e extended ]
  wait_until 5 'the command' [ -e ready ]
  (($(cli PTTL "$K") > 30000))
  goes_on
}

@test "many looks in vain are no reason to ask all the time" {
  start_watched
  cli CONFIG RESETSTAT
  begin=$(now_us)
  for i in {1..200}; do cli -n 5 SET "$K" "$i" >/dev/null; done

  # Some in a row are borne, and then four a second.
  (($(calls eval) <= 60 + ($(now_us) - begin) / 250000))
  goes_on
}

# --- what it costs ------------------------------------------------------------

@test "a command of less than 20 ms costs no connection of the keeper's" {
  # One that is shorter, whatever else the machine does.
  short=0
  for i in {1..15}; do
    cli CONFIG RESETSTAT >/dev/null
    "$RLOCK" run "$K" true
    # The other one asks for this number.
    [ "$(info stats total_connections_received)" != 2 ] || ((short += 1))
  done

  ((short >= 10))
}

@test "while nothing happens a renewal is all that the server is asked" {
  start_watched -v --renew 100ms
  wait_until 5 'renewals' has_renewed 1
  cli CONFIG RESETSTAT
  before=$(renewals)
  wait_until 10 'renewals' has_renewed 15
  evals=$(calls eval) cachings=$(calls 'client|caching') subscribes=$(calls subscribe)
  after=$(renewals)

  # Some of them are on their way.
  ((evals >= 10 && evals <= after - before + 2))
  ((cachings <= evals + 1))
  [ "$subscribes" = 0 ]
  touch end
  job_ends 0
}

# --- where the server does not tell -------------------------------------------

@test "without the right to SUBSCRIBE the lock is renewed, and a loss noticed at the next renewal" {
  url=unix://no-subscribe:secret@$BATS_FILE_TMPDIR/s
  start_command -v -u "$url" -t 1s --renew 300ms
  wait_until 5 'renewals' has_renewed 4
  grep -q "^rlock: '$RLOCK_URL' does not tell of changes$" "$JOB_ERR"
  (($(cli PTTL "$K") > 500))
  start_monitor
  cli DEL "$K"
  job_ends 79

  in_time 350 "$(asked_at '"DEL"')" "$(<told)"
  [ "$(tail -n 1 "$JOB_ERR")" = "rlock: '$K' on '$RLOCK_URL' was lost: $GONE; the command is stopped" ]
}

@test "without the right to SUBSCRIBE the server is asked no more than the renewals" {
  url=unix://no-subscribe:secret@$BATS_FILE_TMPDIR/s
  start_command -v -u "$url" --renew 100ms
  wait_until 5 'renewals' has_renewed 2
  cli CONFIG RESETSTAT
  before=$(renewals)
  wait_until 10 'renewals' has_renewed 12
  evals=$(calls eval) subscribes=$(calls subscribe)
  after=$(renewals)

  ((evals <= after - before + 2))
  [ "$subscribes" = 0 ]
  touch end
  job_ends 0
}

# --- -v -----------------------------------------------------------------------

@test "[40] -v tells of the watch and of renewals, and shows no token" {
  start_watched -v --renew 100ms
  token=$(cli GET "$K")
  wait_until 5 'renewals' has_renewed 2
  cli SET "$K" 0123456789abcdef
  job_ends 79

  grep -qx "rlock: told of changes by '$RLOCK_URL'" "$JOB_ERR"
  grep -qx 'rlock: renewed for 30000 ms' "$JOB_ERR"
  run -1 grep -F -e "${token##*:}" -e 0123456789 "$JOB_ERR"
}
