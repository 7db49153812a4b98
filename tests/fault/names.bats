# names.bats - names, tokens, helper keys and the slots of a cluster

load ../lib/common

setup_file() {
  # The keys of the whole cluster are counted.
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  start_server
  start_cluster
}
teardown_file() {
  stop_server
  kill -KILL "$(<"$BATS_FILE_TMPDIR/cluster.pid")"
}

# Starts a cluster of one node at $BATS_FILE_TMPDIR/c.
start_cluster() {
  local port at=$BATS_FILE_TMPDIR
  # Another test may take the port, or the one of the bus, in this moment.
  until answers_as_cluster; do
    port=$("$PYTHON" -c '
import random, socket
while True:
    port = random.randrange(10000, 22000)
    try:
        for number in port, port + 10000:
            with socket.socket() as s:
                s.bind(("127.0.0.1", number))
    except OSError:
        continue
    print(port)
    break')
    "$SERVER" --port "$port" --bind 127.0.0.1 --unixsocket "$at/c" --save '' \
      --appendonly no --dir "$at" --logfile cluster.log --cluster-enabled yes \
      >/dev/null 2>&1 3>&- &
    echo $! >"$at/cluster.pid"
    disown
    wait_until 10 'the cluster to answer, or to give up' eval \
      'answers_as_cluster || is_gone "$(<"$BATS_FILE_TMPDIR/cluster.pid")"'
  done
  # shellcheck disable=SC2046 # each slot is a word
  node CLUSTER ADDSLOTS $(seq 0 16383)
  wait_until 20 'the cluster to be well' eval \
    '[[ $(node CLUSTER INFO) == *cluster_state:ok* ]]'
}
answers_as_cluster() { [ "$(node PING 2>&1)" = PONG ]; }
node() { cli -s "$BATS_FILE_TMPDIR/c" "$@"; }
slot() { node CLUSTER KEYSLOT "$1"; }

# --- byte for byte --------------------------------------------------------

# The server has the token for the name, and both byte for byte; and it is the
# one to release it with: keeps NAME TOKEN
keeps() {
  "$RLOCK" acquire --token "$2" -- "$1" >out
  printf '%s\n' "$2" | cmp - out
  cli GET "$1" | cmp - out
  "$RLOCK" release --token "$2" -- "$1"
  is_free "$1"
}

@test "[6] tokens with quotes, UTF-8, blanks and newlines are on the server byte for byte" {
  local token
  for token in 'a"b' "it's" '`x` $(y) \n' 'grüße 锁 🔒' ' blanks ' $'two\nlines' \
    $'\e[31m' '*' '-t' '--'; do
    keeps "$K" "$token"
  done
}

@test "[6] names with all that is hostile at once are on the server byte for byte" {
  keeps $'-- "'"$K"$'" \n\'*\' ?[a] \\ $(x) `y` %s grüße \xff ' token
  keeps "-$K" "-t"
}

@test "[6] a hostile name is the command's RLOCK_NAME, byte for byte" {
  name=$K$' a\n"*\'$(x)\xff '
  "$RLOCK" run --name "$name" sh -c 'printf %s "$RLOCK_NAME"' >out

  printf %s "$name" | cmp - out
}

# --- helper keys ----------------------------------------------------------

@test "[42] each helper key is in its lock's slot, or the name is refused: all names of up to four characters over a { }" {
  node FLUSHALL
  run -0 "$PYTHON" - "$RLOCK" "$BATS_FILE_TMPDIR/c" <<'EOF'
import itertools, subprocess, sys

rlock, path = sys.argv[1:]
names = ["x", "{x}", "a}b", "{a}b}"]
names += ["".join(name) for size in range(1, 5)
          for name in itertools.product("a{}", repeat=size)]

def has_tag(name):
    start = name.find("{")
    return start >= 0 and name.find("}", start + 1) > start + 1

taken = refused = 0
for name in names:
    made = subprocess.run([rlock, "acquire", "-u", "unix://" + path,
                           "--token", "t" + name, "--", name],
                          capture_output=True, text=True)
    if "}" in name and not has_tag(name):
        assert made.returncode == 64, (name, made)
        refused += 1
    else:
        assert made.returncode == 0, (name, made)
        taken += 1
print(taken, refused)
EOF
  [ "$output" = '49 75' ]

  # A token names its lock: none is another's, no two have a helper in common,
  # and helpers are where their locks are.
  local fences=0 key name
  while read -r key; do
    [[ $key == rlock:*:fence ]] || continue
    name=$(node GET "$key")
    name=${name#* t}
    [ "$(slot "$key")" = "$(slot "$name")" ]
    [ "$(node GET "$name")" = "t$name" ]
    fences=$((fences + 1))
  done < <(node --scan)
  [ "$fences" = 49 ]
  [ "$(node DBSIZE)" = 98 ]
}

@test "[42] on a cluster a name with a brace that closes and no tag is 64, whichever the command" {
  export RLOCK_URL=unix://$BATS_FILE_TMPDIR/c
  local command
  for command in acquire 'acquire -n' 'acquire -w 5s' status \
    'release --token t' 'release --force --yes' 'extend --by 5s --token t' \
    'reacquire --ttl 5s --token t'; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr timeout 20 "$RLOCK" $command "$K}b"

    [ -z "$output" ]
    [[ $stderr == "rlock: '$K}b': "*"in a cluster a name with '}' needs a '{tag}'"* ]]
  done
  run -64 "$RLOCK" run "$K}b" touch started
  [ ! -e started ]
  [ -z "$(node --scan --pattern "*$K}b*")" ]
}

@test "[42] on a cluster one waits for a name with a tag as for any other" {
  export RLOCK_URL=unix://$BATS_FILE_TMPDIR/c
  local name
  for name in "$K" "{$K}" "{$K}}b" "a{$K}b"; do
    node SET "$name" other
    start_job "$RLOCK" acquire -q "$name"
    wait_until 10 'the waiter to be in line' eval \
      'node --scan --pattern "rlock:*:queue" | grep -F "$name}:" ||
      node --scan --pattern "rlock:*:queue" | grep -F "=$name:"'
    node DEL "$name"
    job_ends 0
    "$RLOCK" release --token "$(<"$JOB_OUT")" "$name"
  done
}

@test "[42] two locks whose names differ by braces are two locks" {
  for name in "$K" "{$K}" "$K}" "{$K" "$K{}" "{$K}}"; do
    run -0 "$RLOCK" acquire -n "$name"
  done
  [ "$(cli --scan --pattern "*$K*" | grep -c ':fence$')" = 6 ]
}
