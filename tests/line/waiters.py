"""waiters.py - servers, and the rlock processes that wait at them

The program under test is $RLOCK, the server $SERVER, as everywhere in tests/.
Times are in microseconds of the wall clock, which the server's TIME shares.
"""

import asyncio
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Client, Error

MS = 1000
S = 1000 * MS

HERE = pathlib.Path(__file__).resolve().parent
RLOCK = os.environ.get("RLOCK") or str(HERE.parent.parent / "build/rlock")
SERVER = (
    os.environ.get("SERVER")
    or shutil.which("redis-server")
    or shutil.which("valkey-server")
)


def now():
    return time.time_ns() // 1000


def instant(reply):
    """What TIME says, in microseconds."""
    return int(reply[0]) * S + int(reply[1])


def prepare():
    """What every waiter inherits.  And each costs this process a few files,
    and the server two."""
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
        signal.signal(number, signal.SIG_DFL)  # nohup and & ignore them
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def until(what, limit, test):
    """Polls until test() is true; what is said when that takes too long."""
    end = now() + limit
    while not (found := await test()):
        if now() > end:
            raise TimeoutError(f"waited in vain: {what}")
        await asyncio.sleep(0.005)
    return found


class Server:
    """A server of its own, on a free port of the loopback interface."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="rlock-line.")
        self.process = None
        self.port = 0

    async def __aenter__(self):
        for _ in range(5):  # somebody else may take the port first
            self.port = free_port()
            self.process = subprocess.Popen(
                [SERVER, "--port", str(self.port), "--bind", "127.0.0.1"]
                + ["--save", "", "--appendonly", "no", "--dir", self.dir],
                stdin=subprocess.DEVNULL,
                stdout=open(self.dir + "/server.log", "ab"),
                stderr=subprocess.STDOUT,
            )
            while self.process.poll() is None:
                try:
                    client = await Client.open(self.port)
                    await client("PING")
                    client.close()
                    return self
                except OSError:
                    await asyncio.sleep(0.005)
        raise RuntimeError(f"{SERVER} does not start")

    async def __aexit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def environment(self):
        clean = {k: v for k, v in os.environ.items() if k[:6] != "RLOCK_"}
        return clean | {"RLOCK_URL": f"redis://127.0.0.1:{self.port}"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Job:
    """One rlock process.

    token   the first line of its stdout
    status  None while it lives; minus the signal that ended it
    news    an asyncio.Event, set when one of them has changed

    Without news nobody reads its stdout, and only gone() learns of its end.
    """

    def __init__(self, server, log, *words, news=None, **variables):
        self.token = None
        self.status = None
        self.ended = None  # when
        self.said = b""
        self.news = news
        self.log = f"{server.dir}/{log}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [RLOCK, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if news else subprocess.DEVNULL,
                stderr=log,
                env=server.environment() | variables,
            )
        self.pid = self.process.pid
        if news:
            self.stdout = self.process.stdout.fileno()
            os.set_blocking(self.stdout, False)
            self.handle = os.pidfd_open(self.pid)
            self.loop = asyncio.get_running_loop()
            self.loop.add_reader(self.stdout, self.on_stdout)
            self.loop.add_reader(self.handle, self.on_end)

    def on_stdout(self):
        try:
            some = os.read(self.stdout, 65536)
        except BlockingIOError:
            return
        self.said += some
        if not some:
            self.loop.remove_reader(self.stdout)
        elif self.token is None and b"\n" in self.said:
            self.token = self.said.partition(b"\n")[0].decode()
            self.news.set()

    def on_end(self):
        self.on_stdout()  # what it said last
        self.loop.remove_reader(self.stdout)
        self.loop.remove_reader(self.handle)
        self.process.stdout.close()
        os.close(self.handle)
        self.status = self.process.wait()
        self.ended = now()
        self.news.set()

    def signal(self, number):
        if self.status is None:
            self.process.send_signal(number)

    def gone(self):
        if not self.news and self.status is None:
            self.status = self.process.poll()
        return self.status is not None

    def end(self):
        """Ends it whatever it does, at the end of a test."""
        if not self.gone():
            self.process.kill()
            if self.news:
                self.on_end()
            else:
                self.status = self.process.wait()

    def stderr(self):
        return pathlib.Path(self.log).read_text(errors="replace").strip()


class Waiter(Job):
    """A rlock process that waits, known at the server by its owner, wN@t."""

    def __init__(self, server, number, command, name, *words, news=None):
        self.number = number
        owner = f"w{number}@t"
        words = [command, "--owner", owner, "-t", "60s", name, *words]
        super().__init__(server, f"w{number}", *words, news=news)

    async def connections(self, ask):
        """Its addresses: (the one it asks on, the one it listens on)."""
        mine = addresses(self.pid)
        asking = listening = None
        for client in clients(await ask("CLIENT", "LIST")):
            if client["addr"] in mine:
                if client["sub"] == "0":
                    asking = client["addr"]
                else:
                    listening = client["addr"]
        return asking, listening


def clients(listed):
    """CLIENT LIST as dictionaries."""
    for line in listed.splitlines():
        yield dict(word.partition("=")[::2] for word in line.split())


def addresses(pid):
    """The local addresses of a process's connections."""
    inodes = set()
    try:
        for fd in os.scandir(f"/proc/{pid}/fd"):
            link = os.readlink(fd.path)
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    except OSError:  # it is gone
        return set()
    found = set()
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            fields = line.split()
            if fields[9] in inodes:
                port = int(fields[1].rpartition(":")[2], 16)
                found.add(f"127.0.0.1:{port}")
    return found


def number_of(token):
    """The number of the waiter that made a token, or None."""
    owner = token.split(":")[1] if token.startswith("rlock1:") else ""
    return int(owner[1:-2]) if owner[:1] == "w" and owner[-2:] == "@t" else None


async def line_of(ask, name):
    """{number of a waiter: ticket}, in the order of the line."""
    queue = await ask("ZRANGE", f"rlock:{{{name}}}:queue", 0, -1, "WITHSCORES")
    pairs = zip(queue[::2], queue[1::2])
    return {number_of(member): int(float(ticket)) for member, ticket in pairs}


async def left_behind(ask):
    """The keys that are not fences, or that never expire."""
    keys = await ask("KEYS", "*")
    left = [key for key in keys if not key.endswith(":fence")]
    for key in keys:
        if await ask("PTTL", key) == -1:
            left.append(f"{key} (never expires)")
    return left


SHOWN = "id addr name age idle flags sub redir oll cmd".split()


async def state(ask, name):
    """What the server knows of a lock, to print when something went wrong."""
    said = []
    for words in (
        ["GET", name],
        ["PTTL", name],
        ["GET", f"rlock:{{{name}}}:fence"],
        ["ZRANGE", f"rlock:{{{name}}}:queue", 0, -1, "WITHSCORES"],
        ["ZRANGE", f"rlock:{{{name}}}:seen", 0, -1, "WITHSCORES"],
        ["CLIENT", "LIST"],
        ["TIME"],
    ):
        (reply,) = await ask.many(words)
        if isinstance(reply, list) and words[0] == "ZRANGE":
            reply = "".join(
                f"\n  {m} {t}" for m, t in zip(reply[::2], reply[1::2])
            )
        elif words[0] == "CLIENT":
            reply = "".join(
                "\n  " + " ".join(f"{k}={c[k]}" for k in SHOWN if k in c)
                for c in clients(reply)
            )
        elif isinstance(reply, Error):
            reply = f"(error) {reply}"
        said.append(f"{' '.join(map(str, words))}: {reply}")
    return "\n".join(said)


STOP, CONT = signal.SIGSTOP, signal.SIGCONT
TERM, KILL = signal.SIGTERM, signal.SIGKILL
