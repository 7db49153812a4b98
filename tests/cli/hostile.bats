# hostile.bats - names and values that no well-meaning person would choose

load ../lib/common

NONCE=0123456789abcdef0123456789abcdef

# --- names ----------------------------------------------------------------

# takes NAME: acquire, status and release know the lock as the key NAME, byte
# for byte, and JSON shows it.
takes() {
  "$RLOCK" acquire --token t -- "$1"
  [ "$(printf '%s' "$1" | cli -x GET)" = t ]
  "$RLOCK" status --json -- "$1" >out
  run -0 /usr/bin/python3 -c '
import json, sys
text = open("out", "rb").read()
assert text.count(b"\n") == 1
assert not any(byte < 32 for byte in text[:-1])
assert json.loads(text)["name"] == sys.argv[1], text' "$1"
  "$RLOCK" release --token t -- "$1"
  [ "$(printf '%s' "$1" | cli -x EXISTS)" = 0 ]
}

@test "[6] a name may hold blanks" { takes "$K a  b "; }
@test "[6] a name may begin with a blank" { takes " $K"; }
@test "[6] a name may hold newlines" { takes "$K"$'\na\n\nb'; }
@test "[6] a name may hold quotes" { takes "$K\"a'b\`c"; }
@test "[6] a name may hold what a glob would take" { takes "$K*?[a-z]"; }
@test "a name may hold backslashes, dollars and colons" { takes "$K\\n\$HOME:%s%n"; }
@test "a name may hold escape sequences" { takes "$K"$'\e[31m\a\x7f'; }
@test "a name may hold braces" { takes "$K}{a{b}"; }
@test "a name may hold UTF-8" { takes "$K-grüße-锁-🔒"; }
@test "[6] a name may begin with a dash after --" { takes "-n$K"; }
@test "a name may be -- after --" { takes --; }
@test "a name may be of one byte" { takes x; }
@test "[6] a name may be of 1024 bytes" { takes "$(bytes 1024 "$K-")"; }
@test "a name may begin with rlock, but not with rlock:" { takes "rlock"; takes "Rlock:$K"; }

@test "[6] a name of invalid UTF-8 is the key, byte for byte" {
  name=$K$'\xff\xc3'
  "$RLOCK" acquire --token t "$name"

  [ "$(cli GET "$name")" = t ]
}

@test "a name of 1024 bytes is held and released inside a run" {
  run -0 "$RLOCK" run "$(bytes 1024 "$K-")" "$RLOCK" status --json

  [[ $output == *'"mine":true'* ]]
}

# refuses NAME TEXT: no command takes it, and none reaches a server.
refuses() {
  for command in acquire 'release --token t' 'extend --token t --to 5s' \
    'reacquire --token t' status 'release --force --yes'; do
    # shellcheck disable=SC2086 # a command and its options
    run -64 --separate-stderr "$RLOCK" $command -u unix:///nowhere "$1"
    [ -z "$output" ]
    [ "$stderr" = "rlock: $2" ]
  done
  run -64 --separate-stderr "$RLOCK" run -u unix:///nowhere --name "$1" -- echo
  [ -z "$output" ]
  [[ $stderr == "rlock: "*"$2" ]]
}

@test "an empty name is 64" {
  refuses '' "the lock's name is empty"
}

@test "a name of 1025 bytes is 64" {
  refuses "$(bytes 1025 x)" "the lock's name is longer than 1024 bytes"
}

@test "a name that begins with rlock: is 64" {
  refuses rlock:x "names starting with 'rlock:' are rlock's own"
  refuses rlock: "names starting with 'rlock:' are rlock's own"
}

@test "one bad name among several is 64 for status" {
  run -64 "$RLOCK" status -u unix:///nowhere "$K" rlock:x

  [ "$output" = "rlock: names starting with 'rlock:' are rlock's own" ]
}

@test "a name with control characters is shown escaped in messages" {
  name=$K$'\e[31m\n\t\\\x7f\xc2\x85'
  run -79 --separate-stderr "$RLOCK" release --token t "$name"

  [ "$stderr" = "rlock: '$K\\x1B[31m\\n\\t\\\\\\x7F\\xC2\\x85' on '$RLOCK_URL' is not held: it expired, or was released already" ]
}

@test "an unknown command and an unknown option are shown escaped" {
  run -64 "$RLOCK" $'a\e[31m'
  [ "$output" = "rlock: unknown command 'a\\x1B[31m' (try 'rlock --help')" ]

  run -64 "$RLOCK" acquire $'--a\e[31m'
  [ "$output" = "rlock: unknown option, or one without a value: '--a\\x1B[31m' (try 'rlock acquire --help')" ]
}

# --- values ---------------------------------------------------------------

# shown_as VALUE TEXT: a foreign value is in messages and in the table as TEXT,
# and JSON has one line of it, valid and without a control character.
shown_as() {
  printf '%s' "$1" | cli -x SET "$K"
  run -75 --separate-stderr "$RLOCK" acquire -n "$K"
  [ "$stderr" = "rlock: '$K' is held by foreign token $2, never expires" ]
  run -79 --separate-stderr "$RLOCK" release --token t "$K"
  [ "$stderr" = "rlock: '$K' on '$RLOCK_URL' is not held with this token, but by foreign token $2" ]
  run -0 "$RLOCK" status "$K"
  [ "${#lines[@]}" = 2 ]
  [[ ${lines[1]} == *"  foreign token $2  "* ]]
  is_json
}

# What status --json prints of $K is one line of JSON, safe on a terminal.
is_json() {
  "$RLOCK" status --json "$K" >out
  run -0 /usr/bin/python3 -c '
import json, unicodedata
text = open("out", encoding="utf-8", newline="").read()
assert text.count("\n") == 1 and text[-1] == "\n"
for c in text[:-1]:
    assert unicodedata.category(c) not in ("Cc", "Zl", "Zp"), ascii(c)
    assert unicodedata.bidirectional(c) not in (
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"), ascii(c)
    assert c not in "\u200e\u200f\u061c\ufeff", ascii(c)
print(ascii(json.loads(text)["token"]))'
}

@test "[7] a value with escape sequences is shown escaped" {
  shown_as $'\e[31mred' '\x1B[31mred'
  [ "$output" = "'\\x1b[31mred'" ]
}

@test "[7] a value with newlines is shown escaped, on one line" {
  shown_as $'a\nb\r\tc' 'a\nb\x0D\tc'
  [ "$output" = "'a\\nb\\r\\tc'" ]
}

@test "[7] a value of invalid UTF-8 is shown escaped" {
  shown_as $'a\xff\xfe' 'a\xFF\xFE'
  [ "$output" = "'a\\\\xFF\\\\xFE'" ]
}

@test "[7] a value of overlong UTF-8 is shown escaped" {
  shown_as $'\xc0\x9b[31m' '\xC0\x9B[31m'
}

@test "[7] a value of UTF-8 surrogates is shown escaped" {
  shown_as $'\xed\xa0\x80' '\xED\xA0\x80'
}

@test "[7] a value of UTF-8 that is cut off is shown escaped" {
  shown_as $'a\xe9\x94' 'a\xE9\x94'
}

@test "[7] a value with C1 control characters is shown escaped" {
  shown_as $'\xc2\x9b31m' '\xC2\x9B31m'
}

@test "a value with bidirectional controls is shown escaped" {
  shown_as $'a\u202eb' 'a\xE2\x80\xAEb'
  shown_as $'a\u2066b' 'a\xE2\x81\xA6b'
  shown_as $'a\u200fb' 'a\xE2\x80\x8Fb'
}

@test "a value with an Arabic letter mark is shown escaped" {
  shown_as $'a\u061cb' 'a\xD8\x9Cb'
}

@test "a value with line separators is shown escaped" {
  shown_as $'a\u2028b' 'a\xE2\x80\xA8b'
}

@test "a value with a byte order mark is shown escaped" {
  shown_as $'\ufeffab' '\xEF\xBB\xBFab'
}

@test "[7] a value with quotes and backslashes is shown without ambiguity" {
  shown_as '"\x1B'\' '"\\x1B'\'
  [ "$output" = "'\"\\\\x1B\\''" ] || [ "$output" = '"\"\\x1B'"'"'"' ] ||
    [ "$(/usr/bin/python3 -c 'import ast, sys; print(ast.literal_eval(sys.argv[1]), end="")' "$output")" = '"\x1B'\' ]
}

@test "[7] a value with a NUL is shown whole" {
  printf 'a\0b' | cli -x SET "$K"
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is held by foreign token a\\x00b, never expires" ]

  is_json
  [ "$output" = "'a\\x00b'" ]
}

@test "a token that a value with a NUL begins with does not own the lock" {
  printf 'a\0b' | cli -x SET "$K"
  RLOCK_NAME=$K RLOCK_TOKEN=a run -75 --separate-stderr \
    "$RLOCK" run -n "$K" echo started
  [ -z "$output" ]

  run -79 "$RLOCK" release --token a "$K"
  run -79 "$RLOCK" extend --to 5s --token a "$K"
  is_held "$K"
}

@test "a value with a NUL is not the lock of a run that encloses" {
  printf 'a\0b' | cli -x SET "$K"
  RLOCK_TOKEN=a run -75 "$RLOCK" acquire -w 300ms "$K"

  [ "$output" = "rlock: '$K' is held by foreign token a\\x00b, never expires" ]
}

@test "an empty value is a foreign token, and the lock is held" {
  cli SET "$K" ''
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is held by foreign token , never expires" ]

  run -0 "$RLOCK" status "$K"
  run -0 "$RLOCK" release --force --yes "$K"
  is_free "$K"
}

@test "a huge value of another program is shown by its beginning, and respected" {
  head -c 1000000 /dev/zero | tr '\0' x | cli -x SET "$K"
  run -75 "$RLOCK" acquire -n "$K"
  [ "$output" = "rlock: '$K' is held by foreign token xxxxxxxx..., never expires" ]

  is_json
  [ "$output" = None ]
  run -79 "$RLOCK" release --token "$(bytes 4096 x)" "$K"
  [ "$(cli STRLEN "$K")" = 1000000 ]
}

@test "a huge value cannot be evicted: 65, and it stays" {
  head -c 1000000 /dev/zero | tr '\0' x | cli -x SET "$K"
  run -65 "$RLOCK" release --force --yes "$K"

  [ "$output" = "rlock: '$K' on '$RLOCK_URL' has a value of more than 4096 bytes, which is no token: delete the key by hand" ]
  is_held "$K"
}

# --- owners and messages --------------------------------------------------

@test "[7] an owner and a message with escape sequences and newlines are shown escaped" {
  "$RLOCK" acquire --owner $'al\e[31mice\n@web' -m $'a\nb\e]0;x\a"\x7f' -t none "$K"
  run -75 --separate-stderr "$RLOCK" acquire -n "$K"
  [[ $stderr =~ ^"rlock: '$K' is held by al\\x1B[31mice\\n@web (pid "[0-9]+") for "[0-9]+m?"s, never expires: \"a\\nb\\x1B]0;x\\x07\"\\x7F\""$ ]]

  run -0 "$RLOCK" status "$K"
  [ "${#lines[@]}" = 2 ]
  [[ ${lines[1]} == *'  al\x1B[31mice\n@web  '*'  a\nb\x1B]0;x\x07"\x7F' ]]
  is_json
}

@test "[7] an owner and a message of invalid UTF-8 and bidirectional controls are shown escaped" {
  "$RLOCK" acquire --owner $'a\xff@web' -m $'x\u202ey\xc3' "$K"
  run -0 "$RLOCK" status "$K"

  [[ ${lines[1]} == *'  a\xFF@web  '*'  x\xE2\x80\xAEy\xC3' ]]
  is_json
}

@test "[7] a message of a kilobyte of control characters does not break a line off" {
  "$RLOCK" acquire -m "$(bytes 1024 $'\e')" "$K"
  run -75 --separate-stderr "$RLOCK" acquire -n "$K"

  [ "${#stderr_lines[@]}" = 1 ]
  [[ $stderr =~ '\x1B\x1B'.*'"'$ ]]
}

# --- forged tokens --------------------------------------------------------

# foreign TOKEN...: they are respected and never parsed.
foreign() {
  local i=0 token names=()
  for token; do
    names+=("$K.$((++i))")
    cli SET "$K.$i" "$token"
  done
  run -0 "$RLOCK" status --json "${names[@]}"
  [ "$(grep -c '"format":"foreign","owner":null,' <<<"$output")" = $# ]
  run -75 "$RLOCK" acquire -n "$K.1"
  [[ $output == "rlock: '$K.1' is held by foreign token "*'..., never expires' ]]
}

@test "a token of rlock's form is one of rlock's" {
  cli SET "$K" "rlock1:a:0:0:0::$NONCE"
  run -0 "$RLOCK" status --json "$K"

  [ "$(json "$output" format)" = rlock1 ]
}

@test "a token with another version is foreign" {
  foreign "rlock2:a@b:1:1:1::$NONCE" \
    "RLOCK1:a@b:1:1:1::$NONCE" \
    "rlock12:a@b:1:1:1::$NONCE"
}

@test "a token with six or eight fields is foreign" {
  foreign "rlock1:a@b:1:1:1:$NONCE" \
    "rlock1:a@b:1:1:1:::$NONCE" \
    "rlock1:a@b:1:1:1::$NONCE:"
}

@test "a token without an owner is foreign" {
  foreign "rlock1::1:1:1::$NONCE"
}

@test "a token whose numbers have signs, zeros, blanks or nothing is foreign" {
  tokens=()
  for number in '' -1 +1 01 00 ' 1' '1 ' 1x 0x1 1.0 1e3; do
    tokens+=("rlock1:a@b:$number:1:1::$NONCE"
      "rlock1:a@b:1:$number:1::$NONCE"
      "rlock1:a@b:1:1:$number::$NONCE")
  done
  foreign "${tokens[@]}"
}

@test "a token whose numbers are too large is foreign" {
  foreign "rlock1:a@b:99999999999:1:1::$NONCE" \
    "rlock1:a@b:1:99999999999999999999:1::$NONCE" \
    "rlock1:a@b:1:1:9223372036854775808::$NONCE"
}

@test "a token whose nonce is not 32 lower-case hex digits is foreign" {
  foreign "rlock1:a@b:1:1:1::${NONCE}0" \
    "rlock1:a@b:1:1:1::${NONCE:1}" \
    "rlock1:a@b:1:1:1::${NONCE^^}" \
    "rlock1:a@b:1:1:1::g${NONCE:1}" \
    "rlock1:a@b:1:1:1::"
}

@test "a token whose text is not encoded as rlock encodes it is foreign" {
  tokens=()
  for text in 'a b' '%' '%4' '%zz' '%7e' '%41' '%00' 'a~' 'ä' $'a\nb' '"'; do
    tokens+=("rlock1:$text:1:1:1::$NONCE" "rlock1:a@b:1:1:1:$text:$NONCE")
  done
  foreign "${tokens[@]}"
}

@test "a token whose owner or message is too long is foreign" {
  foreign "rlock1:$(bytes 256 a):1:1:1::$NONCE" \
    "rlock1:a@b:1:1:1:$(bytes 1025 a):$NONCE"
}

@test "a token with something before or behind it is foreign" {
  foreign " rlock1:a@b:1:1:1::$NONCE" \
    "rlock1:a@b:1:1:1::$NONCE " \
    "rlock1:a@b:1:1:1::$NONCE"$'\n'
}

@test "a token whose times are the largest numbers there are does no harm" {
  cli SET "$K" "rlock1:a@b:1:999999999999999999:999999999999999999::$NONCE"
  run -0 "$RLOCK" status "$K"
  run -0 "$RLOCK" status --json "$K"
  is_json
  run -75 "$RLOCK" acquire -n "$K"
}

# --- keys of other types --------------------------------------------------

# is_no_lock TYPE: every command says what the key is and leaves it alone, and
# none waits for it.
is_no_lock() {
  local before command
  before=$(cli DUMP "$K" | cksum)
  for command in 'acquire -n' 'acquire -w forever' 'release --token t' \
    'release --force --yes' 'extend --token t --by 5s' \
    'extend --token t --to 5s' 'reacquire --token t --ttl 5s' \
    'reacquire --retake --token t --ttl 5s' status; do
    # shellcheck disable=SC2086 # a command and its options
    run -65 --separate-stderr timeout 5 "$RLOCK" $command "$K"
    [ -z "$output" ]
    [ "$stderr" = "rlock: '$K': the key on '$RLOCK_URL' is a $1, not a lock" ]
  done
  run -65 --separate-stderr timeout 5 "$RLOCK" run "$K" echo started
  [ -z "$output" ]
  [ "$(cli DUMP "$K" | cksum)" = "$before" ]
  [ "$(cli PTTL "$K")" = -1 ]
  [ "$(cli EXISTS "rlock:{$K}:fence")" = 0 ]
}

@test "[11] a hash is no lock" { cli HSET "$K" a b; is_no_lock hash; }
@test "[11] a list is no lock" { cli LPUSH "$K" a; is_no_lock list; }
@test "[11] a stream is no lock" { cli XADD "$K" 1-1 a b; is_no_lock stream; }
@test "a set is no lock" { cli SADD "$K" a; is_no_lock set; }
@test "a sorted set is no lock" { cli ZADD "$K" 1 a; is_no_lock zset; }

@test "[11] a lock that turns into a hash while rlock waits for it ends the wait: 65" {
  cli SET "$K" other
  start_job "$RLOCK" acquire -w forever "$K"
  cli EVAL "redis.call('DEL', KEYS[1]); redis.call('HSET', KEYS[1], 'a', 'b')" \
    1 "$K"

  job_ends 65
  [ "$(<"$JOB_ERR")" = "rlock: '$K': the key on '$RLOCK_URL' is a hash, not a lock" ]
}

@test "a helper key of another type is 65, named, and left alone" {
  cli LPUSH "rlock:{$K}:fence" a
  run -65 --separate-stderr "$RLOCK" acquire "$K"

  [ -z "$output" ]
  [ "$stderr" = "rlock: '$K': one of the helper keys 'rlock:{$K}:*' on '$RLOCK_URL' is not rlock's" ]
  is_free "$K"
  [ "$(cli LLEN "rlock:{$K}:fence")" = 1 ]
}

@test "a helper key of another type is 65 for extend and reacquire, and the lock is untouched" {
  cli SET "$K" t PX 10000
  cli LPUSH "rlock:{$K}:fence" a
  for command in 'extend --by 1h' 'extend --to 1h' 'reacquire --ttl 1h'; do
    # shellcheck disable=SC2086 # a command and its options
    run -65 "$RLOCK" $command --token t "$K"
    [ "$output" = "rlock: '$K': one of the helper keys 'rlock:{$K}:*' on '$RLOCK_URL' is not rlock's" ]
  done

  (($(cli PTTL "$K") <= 10000))
}

@test "status and release do without a helper key of another type" {
  cli SET "$K" t
  cli LPUSH "rlock:{$K}:fence" a
  run -0 "$RLOCK" status --json "$K"
  [ "$(json "$output" fence)" = None ]
  run -0 "$RLOCK" release --token t "$K"
  is_free "$K"
}

# --- helper keys ----------------------------------------------------------

@test "[42] different names have different helper keys, as the manual has them" {
  # All names of up to four characters over a { }, and some more.
  run -0 /usr/bin/python3 - <<'EOF'
import itertools, os, socket, subprocess

path = os.environ["RLOCK_URL"][len("unix://"):].split("?")[0]
names = ["".join(name) for size in range(1, 5)
         for name in itertools.product("a{}", repeat=size)]
names += ["x", "{x}", "a}b", "{a}b}", "=x", "={x}", "x}", "{x", "}{x}", "x{y}z"]
names = list(dict.fromkeys(names))

def helper(name):
    start = name.find("{")
    end = name.find("}", start + 1) if start >= 0 else -1
    if end > start + 1:
        return "rlock:=%s:fence" % name
    return "rlock:{%s}:fence" % name

def ask(sock, commands):
    text = b""
    for command in commands:
        text += b"*%d\r\n" % len(command)
        for word in command:
            word = word.encode()
            text += b"$%d\r\n%s\r\n" % (len(word), word)
    sock.sendall(text)
    replies = sock.makefile("rb")
    for _ in commands:
        line = replies.readline()
        if line[:1] == b"$" and line != b"$-1\r\n":
            yield replies.read(int(line[1:]) + 2)[:-2].decode()
        else:
            yield line[1:-2].decode()

jobs = []
for i, name in enumerate(names):
    if len(jobs) >= 8:
        assert jobs.pop(0).wait() == 0
    jobs.append(subprocess.Popen(
        [os.environ["RLOCK"], "acquire", "-q", "--token", "t%d" % i, name],
        stdout=subprocess.DEVNULL))
for job in jobs:
    assert job.wait() == 0

sock = socket.socket(socket.AF_UNIX)
sock.connect(path)
keys = [helper(name) for name in names]
assert len(set(keys)) == len(names)
for i, (name, value, fence) in enumerate(zip(names,
        list(ask(sock, [["GET", name] for name in names])),
        list(ask(sock, [["GET", key] for key in keys])))):
    assert value == "t%d" % i, (name, value)
    assert fence.split(" ")[1:] == ["t%d" % i], (name, fence)
listed = subprocess.check_output([os.environ["RLOCK"], "status", "--json"],
                                 text=True)
import json
listed = {row["name"]: row["fence"] for row in map(json.loads,
                                                   listed.splitlines())}
for name in names:
    assert listed[name], name
print(len(names))
EOF
  ((output > 120))
}
