"""servers.py - private servers, and what it takes to talk to them"""

import base64
import http.client
import json
import re
import shutil
import socket
import time

from jobs import wait_until


class Client:
    """One connection to a Redis or Valkey server, RESP2 on a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.calls = self.sent = self.received = 0

    def call(self, *words):
        parts = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        self.calls += 1
        self.sent += len(request)
        self.socket.sendall(request)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        self.received += len(line)
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == "-1":
                return None
            body = self.file.read(int(rest) + 2)
            self.received += len(body)
            return body[:-2].decode(errors="replace")
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise RuntimeError(rest or "the server closed the connection")

    def close(self):
        self.file.close()
        self.socket.close()


class Redis(Client):
    """A server of our own that keeps nothing, and a connection to it.

    Closing ends the server; Jobs would, too, at the end.
    """

    def __init__(self, jobs, path):
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        if not server:
            raise SystemExit("bench: neither redis-server nor valkey-server")
        self.jobs = jobs
        self.path = path
        self.pid = jobs.start([server, "--port", "0", "--unixsocket", path,
                               "--save", "", "--appendonly", "no",
                               "--logfile", path + ".log"])
        wait_until("the server to start", self.listens)
        super().__init__(path)

    def listens(self):
        try:
            Client(self.path).close()
        except OSError:
            return False
        return True

    def info(self):
        text = self.call("INFO", "all")
        return dict(line.split(":", 1) for line in text.split("\r\n")
                    if ":" in line)

    def hold(self, name):
        """The harness takes the lock, from whomever."""
        self.call("SET", name, "harness", "PX", 600000)

    def close(self):
        super().close()
        self.jobs.end({self.pid})


class Meter:
    """Counts what clients, not scripts and not the harness, ask of a server.

    The server's own counters also count the commands that scripts run, and
    MONITOR leaves out some that clients sent (servers before 7 hide CLIENT).
    So: the counters, less what MONITOR says was run by scripts, less our own.
    """

    def __init__(self, server):
        self.server = server
        self.monitor = Client(server.path)
        self.monitor.call("MONITOR")
        self.scripted = 0
        self.last = self.totals()

    def read_monitor(self, until):
        """Returns how many bytes came before the line that shows a command."""
        while True:
            before = self.monitor.received
            line = self.monitor.reply()
            if until in line:
                return before
            self.scripted += " lua] " in line.split('"', 1)[0]

    def totals(self):
        server = self.server
        # What the server could not write to us yet is missing in its counter.
        server.call("ECHO", "meter")
        self.read_monitor('"ECHO" "meter"')
        received = server.received
        info = server.info()
        monitored = self.read_monitor('"INFO" "all"')
        calls = sum(int(re.search(r"calls=(\d+)", value)[1])
                    for key, value in info.items()
                    if key.startswith("cmdstat_"))
        return (calls - self.scripted - (server.calls - 1),
                int(info["total_net_input_bytes"]) - server.sent,
                int(info["total_net_output_bytes"]) - received - monitored)

    def read(self):
        """(commands, bytes to the server, bytes from it) since the last time."""
        last, self.last = self.last, self.totals()
        return tuple(now - then for now, then in zip(self.last, last))

    def close(self):
        self.monitor.close()


class Etcd:
    """An etcd of our own on loopback, with its defaults: it syncs to disk."""

    def __init__(self, jobs, directory):
        self.jobs = jobs
        ports = free_ports(2)
        self.url, peer = (f"http://127.0.0.1:{port}" for port in ports)
        with open(directory + "/etcd.log", "wb") as log:
            self.pid = jobs.start(
                ["etcd", "--data-dir", directory + "/etcd",
                 "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url,
                 "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", "default=" + peer],
                {1: log.fileno(), 2: log.fileno()})
        self.http = http.client.HTTPConnection("127.0.0.1", ports[0])
        wait_until("etcd to start", self.is_healthy)
        self.lease = self.post("lease/grant", TTL=600)["ID"]

    def is_healthy(self):
        try:
            self.http.request("GET", "/health")
            return json.load(self.http.getresponse())["health"] == "true"
        except OSError:
            self.http.close()
            return False

    def post(self, path, **body):
        self.http.request("POST", "/v3/" + path, json.dumps(body))
        return json.load(self.http.getresponse())

    def hold(self, name):
        """The harness takes the lock; returns what unlock wants."""
        name = base64.b64encode(name.encode()).decode()
        return self.post("lock/lock", name=name, lease=self.lease)["key"]

    def unlock(self, key):
        """Frees the lock; returns the time of the reply, in ns."""
        self.post("lock/unlock", key=key)
        return time.monotonic_ns()

    def close(self):
        self.http.close()
        self.jobs.end({self.pid})


def free_ports(count):
    """Ports that nobody listens on.  Another may take them before us; rare."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
