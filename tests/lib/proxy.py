"""proxy.py - a wire that can fail, for tests

    proxy.py LISTEN SERVER CONTROL ANSWER

Passes bytes between those who connect to LISTEN and the server at SERVER, each
of them the path of a Unix socket or HOST:PORT.  What it does to them is told
to it while it runs: a command a line in the FIFO CONTROL, and a line in the FIFO
ANSWER for each ("ok", a number, or "error ...").

    delay MS [WAY] [WHICH]  what comes from now on gets through MS later
    hold [WAY] [WHICH]      nothing gets through, until it is let go
    drop [WAY] [WHICH]      what comes from now on is lost
    split [WAY] [WHICH]     each byte gets through alone
    go [WAY] [WHICH]        none of these any more; what was held gets through
    cut [WHICH]             closes connections, on both sides
    refuse                  nobody can connect
    accept                  everybody can again
    open [WHICH]            how many connections there are
    held [WAY] [WHICH]      how many bytes are held or late

WAY is requests (to the server), replies, or both; both when it is left out.
WHICH is N for the N-th connection of each client, N+ for that and all later
ones; all when it is left out.  A client is a process where sockets tell (Unix),
else a host; a connection has the lowest number that no other one of its client
has.  A rule is also for connections that are yet to come.

An end of the stream takes its turn behind what came before it, so a connection
that is held is not seen to end either.
"""
import collections
import os
import select
import socket
import struct
import sys
import time

ROOM = 1 << 20  # bytes held in one direction before the sender must wait
APART = 0.0001  # seconds between two bytes that are split
WAYS = ("requests", "replies")
ALL = range(1, sys.maxsize)  # connections


class Mistake(Exception):
    """A command that makes no sense."""


class Rule:
    """What happens to the bytes of some connections, in one direction or both.

    Of several rules for the same bytes, the last one of each kind counts; "go"
    takes back all kinds.
    """

    def __init__(self, kind, value, ways, which):
        self.kind = kind
        self.value = value
        self.ways = ways
        self.which = which

    def covers(self, flow):
        return flow.way in self.ways and flow.number in self.which


class Flow:
    """One direction of one connection."""

    def __init__(self, way, number, source, sink):
        self.way = way
        self.number = number
        self.source = source
        self.sink = sink
        self.queue = collections.deque()  # [due, bytes], empty: the end
        self.size = 0
        self.ended = False  # the source has; it may still be queued
        self.done = False  # the sink was told so
        self.blocked = False  # the sink takes no more
        self.not_before = 0  # for bytes that are split
        self.rules = {}

    def obey(self, rules):
        self.rules = {}
        for rule in rules:
            if rule.covers(self):
                if rule.kind == "go":
                    self.rules = {}
                else:
                    self.rules[rule.kind] = rule.value

    def let_go(self):
        """What was held or late so far goes at once."""
        for entry in self.queue:
            entry[0] = 0

    def wants_input(self):
        return not self.ended and self.size < ROOM

    def read(self, now):
        try:
            data = self.source.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = not data
        if data and "drop" in self.rules:
            return
        self.queue.append([now + self.rules.get("delay", 0), data])
        self.size += len(data)

    def due(self):
        """When the next bytes can be passed on; None: nobody knows."""
        if not self.queue or "hold" in self.rules or self.blocked:
            return None
        return max(self.queue[0][0], self.not_before)

    def write(self, now):
        """Passes on what is due; raises OSError when the sink is gone."""
        while (due := self.due()) is not None and due <= now:
            data = self.queue[0][1]
            if not data:
                self.queue.popleft()
                self.done = True
                self.sink.shutdown(socket.SHUT_WR)
                return
            split = "split" in self.rules
            try:
                sent = self.sink.send(data[:1] if split else data)
            except BlockingIOError:
                self.blocked = True
                return
            self.size -= sent
            self.queue[0][1] = data[sent:]
            if sent == len(data):
                self.queue.popleft()
            if split:
                self.not_before = time.monotonic() + APART


class Connection:
    def __init__(self, client, number, near, far):
        self.client = client
        self.number = number
        self.near = near
        self.far = far
        self.flows = (
            Flow("requests", number, near, far),
            Flow("replies", number, far, near),
        )

    def is_open(self):
        """Does the client have it still?"""
        return not self.flows[0].ended

    def is_over(self):
        return all(flow.done for flow in self.flows)

    def close(self):
        self.near.close()
        self.far.close()


class Proxy:
    def __init__(self, listen, server, control, answer):
        self.address = listen
        self.server = server
        self.control = os.open(control, os.O_RDWR | os.O_NONBLOCK)
        self.answer = os.open(answer, os.O_RDWR)
        self.typed = b""
        self.rules = []
        self.connections = []
        self.listener = None
        self.accept()

    # --- commands ----------------------------------------------------------

    def accept(self):
        if not self.listener:
            self.listener = listen_at(self.address)

    def refuse(self):
        if self.listener:
            self.listener.close()
            self.listener = None

    def add_rule(self, kind, value, ways, which):
        rule = Rule(kind, value, ways, which)
        self.rules.append(rule)
        for connection in self.connections:
            for flow in connection.flows:
                flow.obey(self.rules)
                if kind == "go" and rule.covers(flow):
                    flow.let_go()
        if kind == "go" and ways == WAYS and which == ALL:
            self.rules.clear()

    def cut(self, which):
        for connection in self.connections[:]:
            if connection.number in which:
                self.end(connection)

    def obey(self, line):
        word, *rest = line.split()
        if word == "delay":
            milliseconds = number(rest.pop(0) if rest else "")
            self.add_rule(word, milliseconds / 1000, *scope(rest))
        elif word in ("hold", "drop", "split", "go"):
            self.add_rule(word, True, *scope(rest))
        elif word == "held":
            ways, which = scope(rest)
            return sum(
                flow.size
                for connection in self.connections
                for flow in connection.flows
                if flow.way in ways and flow.number in which
            )
        elif word == "open":
            which = scope(rest)[1]
            return sum(
                connection.number in which
                for connection in self.connections
                if connection.is_open()
            )
        elif word == "cut":
            self.cut(scope(rest)[1])
        elif word in ("refuse", "accept") and not rest:
            getattr(self, word)()
        else:
            raise Mistake(f"there is no such command: {line}")
        return "ok"

    def hear(self):
        self.typed += os.read(self.control, 4096)
        *lines, self.typed = self.typed.split(b"\n")
        for line in filter(bytes.strip, lines):
            try:
                answer = self.obey(line.decode())
            except Mistake as mistake:
                answer = f"error {mistake}"
            os.write(self.answer, f"{answer}\n".encode())

    # --- connections -------------------------------------------------------

    def welcome(self):
        try:
            near = self.listener.accept()[0]
        except OSError:
            return  # has changed his mind
        try:
            far = connect_to(self.server)
        except OSError:
            near.close()
            return
        near.setblocking(False)
        far.setblocking(False)
        client = peer_of(near)
        taken = [
            connection.number
            for connection in self.connections
            if connection.client == client and connection.is_open()
        ]
        lowest = next(n for n in range(1, len(taken) + 2) if n not in taken)
        connection = Connection(client, lowest, near, far)
        for flow in connection.flows:
            flow.obey(self.rules)
        self.connections.append(connection)

    def end(self, connection):
        connection.close()
        self.connections.remove(connection)

    def pass_on(self, connection, now):
        try:
            for flow in connection.flows:
                flow.write(now)
            if connection.is_over():
                self.end(connection)
        except OSError:
            self.end(connection)

    # --- the loop ----------------------------------------------------------

    def wait(self):
        """Sleeps until there is something to do; what can be read, by fd."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        if self.listener:
            poll.register(self.listener, select.POLLIN)
        events = collections.defaultdict(int)
        soonest = None
        for connection in self.connections:
            for flow in connection.flows:
                if flow.wants_input():
                    events[flow.source.fileno()] |= select.POLLIN
                if flow.blocked:
                    events[flow.sink.fileno()] |= select.POLLOUT
                due = flow.due()
                if due is not None and (soonest is None or due < soonest):
                    soonest = due
        for fd, wanted in events.items():
            poll.register(fd, wanted)
        if soonest is None:
            return dict(poll.poll())
        left = soonest - time.monotonic()
        if left > 0.001:
            return dict(poll.poll(1000 * left))
        time.sleep(max(left, 0))
        return dict(poll.poll(0))

    def run(self):
        while True:
            ready = self.wait()
            now = time.monotonic()
            for connection in self.connections[:]:
                for flow in connection.flows:
                    if ready.get(flow.sink.fileno(), 0) & ~select.POLLIN:
                        flow.blocked = False
                    if flow.wants_input() and flow.source.fileno() in ready:
                        flow.read(now)
                self.pass_on(connection, now)
            if self.control in ready:
                self.hear()
            # Last: who connects again has closed what he had before.
            if self.listener and self.listener.fileno() in ready:
                self.welcome()


# --- words -------------------------------------------------------------------


def number(word):
    if not word.isdigit():
        raise Mistake(f"not a number: {word}")
    return int(word)


def scope(words):
    """WAY and WHICH, as a tuple of ways and a range of numbers."""
    words = list(words)
    ways = WAYS
    which = ALL
    if words and words[0] in WAYS + ("both",):
        way = words.pop(0)
        ways = WAYS if way == "both" else (way,)
    if words:
        word = words.pop(0)
        first = number(word.rstrip("+"))
        which = range(first, sys.maxsize if word.endswith("+") else first + 1)
    if words:
        raise Mistake(f"too many words: {' '.join(words)}")
    return ways, which


# --- sockets -----------------------------------------------------------------


def is_path(address):
    return "/" in address


def host_and_port(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def listen_at(address):
    if not is_path(address):
        return socket.create_server(host_and_port(address), backlog=128)
    listener = socket.socket(socket.AF_UNIX)
    new = address + ".new"
    listener.bind(new)
    listener.listen(128)
    os.rename(new, address)  # now it can be found, and listens
    return listener


def connect_to(address):
    if not is_path(address):
        far = socket.create_connection(host_and_port(address))
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return far
    far = socket.socket(socket.AF_UNIX)
    far.connect(address)
    return far


def peer_of(near):
    if near.family != socket.AF_UNIX:
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return near.getpeername()[0]
    cred = near.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    return struct.unpack("3i", cred)[0]


if __name__ == "__main__":
    Proxy(*sys.argv[1:]).run()
