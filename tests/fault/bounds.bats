# bounds.bats - replies that no server of good will would give

load ../lib/common

setup() {
  fresh
  export RLOCK_URL=unix://$PWD/liar
}

# A server that says the same to whoever asks for the first time, whatever it
# is, and nothing more: the bytes that the Python expression stands for.
liar() {
  start_job "$PYTHON" -c '
import os, socket, sys
text = eval("(" + sys.argv[1] + ")")
server = socket.socket(socket.AF_UNIX)
server.bind("new")
server.listen()
os.rename("new", "liar")
kept = []
while True:
    client = server.accept()[0]
    client.recv(65536)
    try:
        client.sendall(b"+OK\r\n" + text)
    except OSError:
        pass
    kept.append(client)' "$1"
  disown "$JOB"
  wait_until 10 'the server to listen' [ -S liar ]
}

# refused: what the server says is too much, and rlock says so.
refused() {
  run -69 --separate-stderr "$RLOCK" status --timeout 1s k
  [ -z "$output" ]
  [ "$stderr" = "rlock: 'k': 'unix://$PWD/liar' sends a reply that is too long" ]
}

@test "[20] a reply that announces 512 MB is refused after 4 MB" {
  liar 'b"$536870912\r\n" + (6 << 20) * b"x"'
  refused
}

@test "[20] a reply of more than 65,536 elements in all is refused" {
  liar 'b"*3\r\n+a\r\n" + 2 * (b"*32767\r\n" + 32767 * b":1\r\n")'
  refused
}

@test "[20] an array that announces 65,537 elements is refused before they come" {
  liar 'b"*65537\r\n"'
  refused
}

@test "[20] arrays five deep are refused before more comes" {
  liar '5 * b"*1\r\n"'
  refused
}

@test "[20] a reply of 65,536 elements, four deep, is read" {
  liar 'b"*2\r\n+a\r\n*1\r\n*1\r\n*65532\r\n" + 65532 * b":1\r\n"'
  run -69 --separate-stderr "$RLOCK" status k

  # Read, that is, and found to be no answer of a script of ours.
  [ "$stderr" = "rlock: 'k': 'unix://$PWD/liar' gave an answer that makes no sense" ]
}

@test "[20] what comes behind a reply is not the answer to the next request" {
  liar 'b"*6\r\n+none\r\n+\r\n:-2\r\n+0\r\n:0\r\n*0\r\n"
    b"*6\r\n+string\r\n+t\r\n:-1\r\n+0\r\n:0\r\n*0\r\n"'
  run -1 --separate-stderr "$RLOCK" status k l

  [ "$stderr" = "rlock: no lock on 'unix://$PWD/liar' is held" ]
}

@test "[20] a fence with a sign makes no sense" {
  liar 'b"*6\r\n+string\r\n+t\r\n:-1\r\n+-5\r\n:0\r\n*0\r\n"'
  run -69 --separate-stderr "$RLOCK" status --timeout 1s k

  [ "$stderr" = "rlock: 'k': 'unix://$PWD/liar' gave an answer that makes no sense" ]
}
