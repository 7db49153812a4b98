"""liar.py - a server that lies, for tests

    liar.py LISTEN SERVER PLAN LOG

Answers those who connect to the Unix socket LISTEN as the file PLAN says, and
passes on to the server at the Unix socket SERVER what the file says nothing of.
The file is read anew for each request, so a lie may begin at any time.  LOG
gets a line for each request: what was asked for.

A line of the file is WHEN DEED [TEXT].  All lines of the same WHEN are done, one
after the other, in the place of the answer.  WHEN is what was asked for:

    acquire release extend look scan    one of rlock's scripts
    auth setname id subscribe tracking caching publish
    any      any of these that has no lines of its own
    connect  nothing yet
    ear      nothing: the connection is one that subscribed.  Once each time
             that the plan is changed

and DEED is (what follows on one another goes out in one write)

    say TEXT      TEXT goes out, with Python's escapes (\\r\\n, \\xff)
    crawl TEXT    the same, a byte every 20 ms
    endless TEXT  the same, again and again
    real          the server's own answer
    ask           nothing, but the server was asked
    hush          no answer, and no further one on this connection
    close         the connection ends
"""
import os
import select
import socket
import sys
import threading
import time

SCRIPTS = (  # a word that only this one has, in this order
    (b"'join'", "acquire"),
    (b"'undo'", "release"),
    (b"'anew'", "extend"),
    (b"'none'", "look"),
    (b"'SCAN'", "scan"),
)


class Over(Exception):
    """The connection has ended."""


class Plan:
    def __init__(self, path):
        self.path = path

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def deeds(self, when, text=None):
        """What to do, as (deed, bytes); None: nothing is said of it."""
        lines = (text or self.read()).splitlines()
        words = [line.split(" ", 2) for line in lines if line]
        found = [rest for first, *rest in words if first == when]
        if not found and when not in ("connect", "ear", "any"):
            return self.deeds("any", text)
        return [
            (deed, to_bytes(text[0]) if text else b"") for deed, *text in found
        ] or None


def to_bytes(text):
    escaped = text.encode("latin-1").decode("unicode_escape")
    return escaped.encode("latin-1")


class Stream:
    """A socket, read by lines and counts."""

    def __init__(self, sock):
        self.sock = sock
        self.ahead = b""

    def more(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Over
        self.ahead += data

    def take(self, count):
        while len(self.ahead) < count:
            self.more()
        data, self.ahead = self.ahead[:count], self.ahead[count:]
        return data

    def line(self):
        while b"\r\n" not in self.ahead:
            self.more()
        return self.take(self.ahead.index(b"\r\n") + 2)

    def value(self):
        """The bytes of one RESP value, and its texts, flat."""
        raw = self.line()
        kind, texts = raw[:1], []
        if kind == b"*":
            for _ in range(int(raw[1:])):
                inner, inner_texts = self.value()
                raw += inner
                texts += inner_texts
        elif kind == b"$" and int(raw[1:]) >= 0:
            data = self.take(int(raw[1:]) + 2)
            raw += data
            texts.append(data[:-2])
        return raw, texts


def kind_of(words):
    first = words[0].upper()
    if first == b"EVAL":
        return next(name for word, name in SCRIPTS if word in words[1])
    if first == b"CLIENT":
        first = words[1]
    return first.decode().lower()


class Connection:
    def __init__(self, near, server, plan, log):
        self.near = Stream(near)
        self.far = Stream(connect_to(server))
        self.plan = plan
        self.log = log
        self.hushed = False

    def send(self, data):
        try:
            self.near.sock.sendall(data)
        except OSError as error:
            raise Over from error

    def do(self, deeds, answer=b""):
        ready = b""
        for deed, text in deeds:
            if deed in ("say", "real"):
                ready += text if deed == "say" else answer
                continue
            self.send(ready)
            ready = b""
            if deed == "crawl":
                for byte in text:
                    self.send(bytes([byte]))
                    time.sleep(0.02)
            elif deed == "endless":
                some = text * max(1, 65536 // len(text))
                while True:
                    self.send(some)
            elif deed == "hush":
                self.hushed = True
            elif deed == "close":
                raise Over
            elif deed != "ask":
                raise SystemExit(f"there is no such deed: {deed}")
        self.send(ready)

    def request(self):
        raw, words = self.near.value()
        kind = kind_of(words)
        os.write(self.log, f"{kind}\n".encode())
        deeds = self.plan.deeds(kind) or [("real", b"")]
        answer = b""
        if any(deed in ("real", "ask") for deed, text in deeds):
            self.far.sock.sendall(raw)
            answer = self.far.value()[0]
        if not self.hushed:
            self.do(deeds, answer)
        return kind

    def listen(self):
        """From here on the server speaks unasked, and so do we."""
        known = ""
        while True:
            self.send(self.far.ahead)
            self.far.ahead = b""
            text = self.plan.read()
            if text != known and not self.hushed:
                known = text
                self.do(self.plan.deeds("ear", text) or [])
            both = (self.near.sock, self.far.sock)
            ready = select.select(both, (), (), 0.02)[0]
            if self.far.sock in ready:
                self.far.more()
            if self.near.sock in ready:
                self.near.more()  # rlock asks nothing more here

    def serve(self):
        try:
            self.do(self.plan.deeds("connect") or [])
            while self.request() != "subscribe":
                pass
            self.listen()
        except Over:
            pass
        finally:
            self.near.sock.close()
            self.far.sock.close()


def connect_to(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def main(listen, server, plan, log):
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen + ".new")
    listener.listen(128)
    os.rename(listen + ".new", listen)  # now it can be found, and listens
    while True:
        near = listener.accept()[0]
        connection = Connection(near, server, Plan(plan), log)
        threading.Thread(target=connection.serve, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
