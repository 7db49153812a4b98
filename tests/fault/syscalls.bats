# syscalls.bats - system calls that fail: what the kernel refuses is told, and
# nothing is left behind

load ../lib/common
load ../lib/syscalls

setup() { fresh; no_leaks; }

# --- the way to the server -------------------------------------------------

@test "acquire without a socket is 69, and takes nothing" { fails 69 socket error=EMFILE acquire; }
@test "acquire -f without a socket is 69, and leaves no file" { fails 69 socket error=ENFILE 'acquire -f'; }
@test "acquire --export without a socket is 69, and fails in eval" { fails 69 socket error=ENOBUFS 'acquire --export'; }
@test "release -f without a socket is 69, and keeps the file" { fails 69 socket error=EMFILE 'release -f'; }
@test "extend without a socket is 69" { fails 69 socket error=EMFILE extend; }
@test "status without a socket is 69" { fails 69 socket error=EMFILE status; }
@test "run without a socket is 69, but goes on when it is the keeper's" { fails '69 0' socket error=EMFILE run; }

@test "acquire that cannot connect is 69, and takes nothing" { fails 69 connect error=ECONNREFUSED acquire; }
@test "acquire that may not connect is 77" { fails 77 connect error=EACCES acquire; }
@test "acquire -f that cannot connect is 69, and leaves no file" { fails 69 connect error=ENETUNREACH 'acquire -f'; }
@test "acquire --export that cannot connect is 69, and fails in eval" { fails 69 connect error=ETIMEDOUT 'acquire --export'; }
@test "release -f that cannot connect is 69, and keeps the file" { fails 69 connect error=ECONNREFUSED 'release -f'; }
@test "extend that cannot connect is 69" { fails 69 connect error=ECONNREFUSED extend; }
@test "status that cannot connect is 69" { fails 69 connect error=ECONNREFUSED status; }
@test "run that cannot connect is 69, but goes on when it is the keeper" { fails '69 0' connect error=ECONNREFUSED run; }
@test "a full backlog is tried again" { fails 0 connect error=EAGAIN acquire; }

@test "acquire that cannot send is 69, and takes nothing" { fails 69 sendto error=ENOBUFS acquire; }
@test "acquire -f that cannot send is 69, and leaves no file" { fails 69 sendto error=EPIPE 'acquire -f'; }
@test "acquire --export that cannot send is 69, and fails in eval" { fails 69 sendto error=ENOMEM 'acquire --export'; }
@test "release -f that cannot send is 69, and keeps the file" { fails 69 sendto error=EPIPE 'release -f'; }
@test "extend that cannot send is 69" { fails 69 sendto error=EPIPE extend; }
@test "status that cannot send is 69" { fails 69 sendto error=EPIPE status; }
@test "run that cannot send is 69, but asks again on a new connection once it has the lock" { fails '69 0' sendto error=EPIPE run; }
@test "sending that is interrupted or has no room is done again" {
  fails 0 sendto error=EINTR acquire
  fails 0 sendto error=EAGAIN acquire
  fails 0 sendto error=EAGAIN run
}

@test "[18] acquire that cannot receive asks again, and has the lock" { fails 0 recvfrom error=ECONNRESET acquire; }
@test "[18] acquire -f that cannot receive asks again, and has the lock" { fails 0 recvfrom error=ENOMEM 'acquire -f'; }
@test "[18] acquire --export that cannot receive asks again, and has the lock" { fails 0 recvfrom error=EIO 'acquire --export'; }
@test "[19] release -f that cannot receive asks again, and the lock is free" { fails 0 recvfrom error=ECONNRESET 'release -f'; }
@test "extend that cannot receive asks again" { fails 0 recvfrom error=ECONNRESET extend; }
@test "status that cannot receive asks again" { fails 0 recvfrom error=ECONNRESET status; }
@test "[18] run that cannot receive asks again, and runs the command" { fails 0 recvfrom error=ECONNRESET run; }
@test "receiving that is interrupted is done again" {
  fails 0 recvfrom error=EINTR acquire
  fails 0 recvfrom error=EINTR run
}

@test "waiting for an answer that fails is done again" {
  start_proxy
  export RLOCK_URL=$PROXY_URL
  proxy delay 150 replies
  fails 0 poll,ppoll error=EINTR acquire
  fails 0 poll,ppoll error=ENOMEM acquire
  fails 0 poll,ppoll error=EINTR 'release -f'
  fails 0 poll,ppoll error=ENOMEM status
}

@test "waiting for the command that fails is done again" {
  fails 0 poll,ppoll error=EINTR run
  fails 0 poll,ppoll error=ENOMEM run
}

# --- what a command needs of the kernel ------------------------------------

@test "acquire without a descriptor for signals is 71, and takes nothing" { fails 71 signalfd4 error=EMFILE acquire; }
@test "acquire -f without a descriptor for signals is 71, and leaves no file" { fails 71 signalfd4 error=EMFILE 'acquire -f'; }
@test "acquire --export without a descriptor for signals is 71, and fails in eval" { fails 71 signalfd4 error=EMFILE 'acquire --export'; }
@test "run without a descriptor for signals is 71, and the lock is free" { fails 71 signalfd4 error=ENFILE run; }
@test "[29] run without a timer is 71, the command stopped and the lock free" { fails 71 timerfd_create error=EMFILE run; }
@test "[29] run without a pipe is 71, the command stopped and the lock free" { fails 71 pipe2 error=EMFILE run; }
@test "[29] run without a process is 71, and the lock is free" { fails 71 vfork,fork,clone,clone3 error=EAGAIN run; }
@test "[29] run without a thread is 71, the command stopped and the lock free" {
  arrange run
  strike clone3 '' ''

  # Older C libraries make threads with clone(2); a sanitizer has one of its
  # own, and can do without.
  if grep -q 'clone3(' trace; then
    fails '71 0' clone3 error=EAGAIN run
  else
    fails '71 0' clone error=EAGAIN run
  fi
}

# The C library asks as well, for its own ends, and can do without.  For the name
# of a file it asks now and then, so acquire -f is not tried.
@test "[37] acquire without random bits is 71, and takes nothing" { fails '71 0' getrandom error=ENOSYS acquire; }
@test "[37] acquire --export without random bits is 71, and fails in eval" { fails '71 0' getrandom error=EFAULT 'acquire --export'; }
@test "[37] run without random bits is 71, and runs nothing" { fails '71 0' getrandom error=ENOSYS run; }
@test "[37] asking for random bits that is interrupted is done again" { fails 0 getrandom error=EINTR acquire; }
@test "[37] fewer random bits than wanted are no token" { fails '71 0' getrandom retval=8 acquire; }

@test "a look at the standard streams that fails does no harm" {
  fails 0 fcntl error=EBADF acquire
  fails 0 fcntl error=EBADF run
}

@test "a descriptor that cannot be closed does no harm" {
  fails 0 close error=EIO acquire
  fails 0 close error=EINTR 'release -f'
  fails 0 close error=EIO status
}

# --- files and streams -----------------------------------------------------

@test "[4] acquire -f that can open no file is 73, and the lock is free" { fails 73 openat error=ENOSPC 'acquire -f'; }
@test "[4] acquire -f that cannot give the file its mode is 73, and the lock is free" { fails 73 fchmod error=EPERM 'acquire -f'; }
@test "[4] acquire -f that cannot write the file is 73, and the lock is free" { fails 73 write error=ENOSPC 'acquire -f'; }
@test "[4] acquire -f that cannot write the file to the disk is 73, and the lock is free" { fails 73 fsync error=EIO 'acquire -f'; }
@test "[4] acquire -f that cannot rename the file is 73, and the lock is free" { fails 73 rename,renameat,renameat2 error=EACCES 'acquire -f'; }
@test "writing the token file that is interrupted is done again" { fails 0 write error=EINTR 'acquire -f'; }

@test "[4] acquire that cannot write to stdout is 74, and the lock is free" { fails 74 write error=EIO acquire; }
@test "[4] acquire --export that cannot write to stdout is 74, fails in eval, and the lock is free" { fails 74 write error=ENOSPC 'acquire --export'; }
@test "[4] status that cannot write to stdout is 74" { fails 74 write error=EIO status; }

@test "release -f that cannot open the file is 65, and the lock is held on" { fails 65 openat error=EMFILE 'release -f'; }
@test "release -f that cannot read the file is 65, and the lock is held on" { fails 65 read error=EIO 'release -f'; }
@test "extend that cannot read the token file is 65" { fails 65 read error=EIO extend; }
@test "reading the token file that is interrupted is done again" { fails 0 read error=EINTR 'release -f'; }
@test "reading that is interrupted does a command no harm" { fails 0 read error=EINTR run; }
@test "writing that is interrupted does a command no harm" { fails 0 write error=EINTR 'run that renews'; }

@test "[4] stdout that nobody reads is 74, and the lock is free" {
  mkfifo pipe
  # Opened for both first, so that the writer need not wait for a reader.
  run -74 bash -c 'exec 5<>pipe 6>pipe 5<&-; exec "$RLOCK" acquire "$1" >&6' \
    bash "$K"

  [ "$output" = "rlock: '$K': cannot write to standard output: Broken pipe" ]
  is_free "$K"
}

@test "[4] a part of stdout that could not be written is 74, though the rest could" {
  local names=()
  for i in {1..60}; do names+=("$K-$i"); done
  run -74 bash -c 'strace -qq -o trace -P "$PWD/out" -e trace=write \
    -e inject=write:error=ENOSPC:when=1 "$RLOCK" status --json "$@" >out' \
    bash "${names[@]}"

  [ "$output" = 'rlock: cannot write to standard output: some of it is lost' ]
}

# What is acquired without the streams that REDIRECTIONS close, and without
# anything to put in their place: not_without REDIRECTIONS [OPTION...].
not_without() {
  local closed=$1
  shift
  # Else the token would be written to the server, and nobody would have it.
  run -71 --separate-stderr strace -qq -o trace -P /dev/null -e trace=openat \
    -e inject=openat:error=ENOENT:when=1+ \
    bash -c "exec \"\$RLOCK\" acquire $* '$K' $closed"
  grep -q INJECTED trace
  is_free "$K"
}

@test "[4] [34] a closed stdout that nothing can be put in place of is 71, and nothing is taken" {
  not_without '>&-'
  [ "$stderr" = "rlock: cannot open '/dev/null' in place of a stream that is closed: No such file or directory" ]
  not_without '<&- >&-'
  not_without '<&- >&- 2>&-'
}

@test "[4] a closed stdin that nothing can be put in place of fails in eval" {
  not_without '<&-' --export
  [ "$output" = '(exit 71)' ]
}
