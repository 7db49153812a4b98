# syscalls.bash - system calls that fail, one at a time
#
# setup:  fresh, then no_leaks
#
# fails 'STATUS...' CALL HOW JOB does JOB (see arrange) once for each CALL that
# rlock makes in it, and makes this one fail; HOW is strace's: error=ENOSPC.
# Each time the status must be one of those named, what it says must be so, and
# nothing may be left behind; and the first of those named must be seen.
#
# shellcheck disable=SC2016 # what is quoted is for the command to expand

# The leak sanitizer cannot work under strace.
no_leaks() {
  export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS-}
}

# What is there before the job, and $WORDS, its arguments.
arrange() {
  cli DEL "$K" >/dev/null
  rm -f -- token token.* out err trace pid ran
  case $1 in
  'acquire') WORDS=(acquire "$K") ;;
  'acquire -f') WORDS=(acquire -f token "$K") ;;
  'acquire --export') WORDS=(acquire --export "$K") ;;
  'release -f') WORDS=(release -f token "$K") ;;
  'extend') WORDS=(extend --to 100s -f token "$K") ;;
  'status') WORDS=(status "$K") ;;
  # Long enough for the keeper to connect.
  'run') WORDS=(run -t 3s "$K" sh -c 'echo $$ >pid; sleep 0.1; : >ran') ;;
  'run that renews')
    WORDS=(run -t 3s --renew 100ms "$K" sh -c 'echo $$ >pid; sleep 0.4; : >ran')
    ;;
  'run of nothing') WORDS=(run "$K" ./nothing) ;;
  esac
  case $1 in
  release* | extend | status)
    (umask 077 && echo mine >token)
    cli SET "$K" mine PX 50000 >/dev/null
    ;;
  esac
}

# Does the job with the N-th CALL of each of rlock's threads failing as HOW has
# it: strike CALL HOW N.  Its output is in out and err, the calls are in trace,
# its status is $STATUS.
strike() {
  STATUS=0
  timeout -k 5 60 strace -f -qq -b execve -o trace -e "trace=fcntl,$1" \
    ${2:+-e "inject=$1:$2:when=$3"} "$RLOCK" "${WORDS[@]}" >out 2>err 3>&- || STATUS=$?
}

# How many calls the loader and what comes before main made.  main begins with a
# look at its standard streams.
calls_before_main() {
  awk -v call="^(${1//,/|})\\\\(" '
    NR == 1 { first = $1 }
    /fcntl\(0, F_GETFD/ { exit }
    $1 == first && $2 ~ call { n++ }
    END { print n + 0 }' trace
}

# Did a call fail that was rlock's own?
struck_rlock() {
  awk '/fcntl\(0, F_GETFD/ { main = 1 }
    main && /\(INJECTED\)/ { struck = 1 }
    END { exit !struck }' trace
}

# Status 0: it is done.
is_done() {
  case $1 in
  'acquire') [ -s out ] && [ "$(<out)" = "$(cli GET "$K")" ] ;;
  'acquire -f') [ -s token ] && [ "$(<token)" = "$(cli GET "$K")" ] ;;
  'acquire --export')
    (eval "$(<out)" && [ "$RLOCK_TOKEN" = "$(cli GET "$K")" ])
    ;;
  'release -f') is_free "$K" ;;
  'extend') (($(cli PTTL "$K") > 50000)) ;;
  'status') grep -q "^$K .*held" out ;;
  run*) [ -e ran ] && is_free "$K" ;;
  esac
}

# Any other: one line names the lock, which is free, unless a second one hands
# its token over.  A table is not of one lock alone.
is_undone() {
  local lines=1
  case $1 in
  acquire* | run*)
    if grep -q 'may have been taken' err; then
      lines=2
      grep -qF "$(cli GET "$K")" err || return
    else
      is_free "$K" || return
    fi
    ;;
  *) [ "$(cat token)" = mine ] || return ;;
  esac
  case $1 in
  'acquire') [ ! -s out ] ;;
  'acquire -f') [ ! -e token ] ;;
  'acquire --export') [ "$(<out)" = "(exit $STATUS)" ] ;;
  'run' | 'run that renews') [ ! -e ran ] && { [ ! -s pid ] || is_dead "$(<pid)"; } ;;
  'run of nothing') : ;;
  # What could not be written may be there in part.
  *) [ ! -s out ] || [ "$STATUS" = 74 ] ;;
  esac || return
  [ "$(grep -c '^rlock: ' err)" = "$lines" ] &&
    [ "$(wc -l <err)" = "$lines" ] || return
  [ "$1 $STATUS" = 'status 74' ] || head -n 1 err | grep -qF "'$K'"
}

# Is what became of the job one of the statuses named, and true?
is_right() {
  [[ " $2 " == *" $STATUS "* ]] || return
  compgen -G 'token.*' >/dev/null && return 1
  if [ "$STATUS" = 0 ]; then is_done "$1"; else is_undone "$1"; fi
}

fails() {
  local statuses=$1 call=$2 how=$3 job=$4 n seen=
  arrange "$job"
  strike "$call" '' ''
  for ((n = $(calls_before_main "$call") + 1; ; n++)); do
    arrange "$job"
    strike "$call" "$how" "$n"
    grep -q INJECTED trace || break
    struck_rlock || continue
    is_right "$job" "$statuses" || {
      echo "$call, the $n-th, $how: $job ends with $STATUS"
      tail -n 20 out err trace
      ls -l
      cli KEYS '*'
      return 1
    } >&2
    seen+=" $STATUS"
  done
  [[ "$seen " == *" ${statuses%% *} "* ]] || {
    echo "never ${statuses%% *}, only:$seen" >&2
    return 1
  }
}
