"""players.py - who takes part: servers, wires that fail, and runs of rlock"""

import asyncio
import collections
import os
import pathlib
import signal
import subprocess
import sys

from checker import MS, S, now

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "line"))

from resp import Client
from waiters import RLOCK, SERVER, Job

SECTION = os.environ.get("SECTION") or str(
    pathlib.Path(RLOCK).parent / "soak/section"
)
PROXY = str(HERE.parent / "lib/proxy.py")

WIRES = ["delay", "hold", "drop", "cut", "split", "refuse"]
COMMANDS = ["deaf", "child", "setsid", "timeout", "nested", "untidy"]
INNER = "n"  # at the end of the number of a run inside another one
TTL_MAX = 2000  # ms


def spread(rng, least, most):
    """Between the two, each order of magnitude as likely as the other."""
    return least * (most / least) ** rng.random()


def duration(rng):
    """Of a section, in ms: mostly short, sometimes longer than a lease."""
    if rng.random() < 0.12:
        return str(rng.randrange(TTL_MAX, 2 * TTL_MAX))
    return str(int(spread(rng, 20, 600)))


class Troubles:
    """When something was not as it should be."""

    def __init__(self):
        self.past = collections.deque(maxlen=200)  # (begin, end)
        self.present = []  # when they began

    def __enter__(self):
        self.present.append(now())

    def __exit__(self, *_):
        self.past.append((self.present.pop(0), now()))

    def between(self, begin, end):
        return any(start <= end for start in self.present) or any(
            start <= end and stop >= begin for start, stop in self.past
        )


class Server:
    """A real server on a Unix socket."""

    def __init__(self, number, dir):
        self.number = number
        self.dir = dir
        self.path = f"{dir}/s{number}"
        self.process = None
        self.client = None
        self.lock = asyncio.Lock()  # for the client
        self.troubles = Troubles()

    async def ask(self, *commands):
        async with self.lock:
            return await self.client.many(*commands)

    async def start(self):
        self.process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", self.path, "--save", ""]
            + ["--appendonly", "no", "--dir", self.dir],
            stdin=subprocess.DEVNULL,
            stdout=open(self.path + ".log", "ab"),
            stderr=subprocess.STDOUT,
        )
        while self.process.poll() is None:
            try:
                opened = await asyncio.open_unix_connection(self.path)
                self.client = Client(*opened)
                await self.client("PING")
                return
            except (OSError, EOFError):
                await asyncio.sleep(0.005)
        raise RuntimeError(f"{SERVER} does not start")

    def signal(self, number):
        self.process.send_signal(number)

    async def restart(self, gap):
        """Without its data."""
        self.end()
        await asyncio.sleep(gap)
        await self.start()

    def end(self):
        if self.client:
            self.client.close()
        if self.process:
            self.process.kill()
            self.process.wait()


class Failure:
    """How a wire fails; drawn beforehand."""

    def __init__(self, rng, kinds, least):
        self.kind = rng.choice(kinds)
        self.way = rng.choice(["requests", "replies", "both", "both"])
        self.which = rng.choice(["", "", "", "1", "2", "2+"])
        self.time = spread(rng, least, 1.5 * TTL_MAX / 1000)
        self.delay = str(int(spread(rng, 1, 500)))
        self.cut = rng.random() < 0.5

    def __str__(self):
        cut = ", cut" if self.cut else ""
        return (
            f"{self.kind} {self.way} {self.which or 'all'}"
            f" {self.time * 1000:.0f} ms{cut}"
        )


class Wire:
    """A proxy on the way from one slot to its server."""

    def __init__(self, number, server, dir, note):
        self.path = f"{dir}/w{number}"
        self.note = note
        self.lock = asyncio.Lock()  # one failure at a time
        self.troubles = Troubles()
        control, answer = self.path + ".control", self.path + ".answer"
        os.mkfifo(control)
        os.mkfifo(answer)
        self.control = os.open(control, os.O_RDWR | os.O_NONBLOCK)
        self.answer = os.open(answer, os.O_RDWR | os.O_NONBLOCK)
        self.process = subprocess.Popen(
            [sys.executable, PROXY, self.path, server.path, control, answer]
        )
        asyncio.get_running_loop().add_reader(self.answer, self.hear)

    def hear(self):
        said = os.read(self.answer, 4096).decode()
        if set(said.split()) != {"ok"}:
            raise RuntimeError(f"the proxy says: {said}")

    def tell(self, *words):
        os.write(self.control, (" ".join(words) + "\n").encode())

    async def fail(self, plan):
        """For a while."""
        async with self.lock:
            self.note(str(plan))
            with self.troubles:
                await self.spoil(plan)
            self.note(f"{plan.kind} is over")

    async def spoil(self, plan):
        if plan.kind == "delay":
            self.tell("delay", plan.delay, plan.way, plan.which)
        elif plan.kind == "refuse":
            self.tell("refuse")
            if plan.cut:
                self.tell("cut", plan.which)
        elif plan.kind != "cut":
            self.tell(plan.kind, plan.way, plan.which)
        await asyncio.sleep(0 if plan.kind == "cut" else plan.time)
        # A connection that has lost something is of no use any more.
        if plan.cut or plan.kind in ("cut", "drop"):
            self.tell("cut", plan.which)
        self.mend()

    def mend(self):
        self.tell("go")
        self.tell("accept")

    def end(self):
        self.process.kill()
        self.process.wait()


class Run(Job):
    """One `rlock run` of a slot, and what was done to it."""

    def __init__(self, slot, number, rng, kinds):
        self.number = f"r{number}"
        self.slot = slot
        self.signals = set()  # sent to rlock itself
        self.own = rng.choice([0, 0, 3, 42])
        self.stopped = 0  # how often SIGSTOP is in force
        self.halved = False  # its second process has been killed
        self.disturbed = False  # something was done to it
        self.over = None  # when it has ended
        kind = rng.choice(["plain", *sorted(kinds - {"deaf"})])
        deaf = "deaf" in kinds and rng.random() < 0.2
        self.tidy = kind != "untidy"
        self.nests = False
        self.ttl = rng.randrange(1000, TTL_MAX + 1)
        self.kill_after = rng.randrange(100, 301)
        self.command = self.make_command(rng, kind, deaf)
        self.options = self.make_options(rng)
        super().__init__(
            slot,
            f"{self.number}.err",
            *["run", *self.options, slot.name, "--", *self.command],
            news=asyncio.Event(),
            SOAK_RUN=self.number,
            SOAK_INNER=self.number + INNER,
        )

    def make_options(self, rng):
        options = self.lease()
        limit = rng.choice(["-n", "-w", "-w", "", "", ""])
        self.limited = limit != ""
        if limit == "-w":
            limit += f"{int(spread(rng, 100, 10000))}ms"
        if limit:
            options.append(limit)
        if rng.random() < 0.5:
            options.append(f"--renew={rng.choice([50, 100, 200, 300])}ms")
        if rng.random() < 0.7:
            options.append(f"--timeout={int(spread(rng, 100, 5000))}ms")
        if rng.random() < 0.3:
            options.append(f"--message=number {self.number}")
        if rng.random() < 0.3:
            options.append("--on-lost=stop")
        return options

    def lease(self):
        return ["-v", f"-t{self.ttl}ms", f"-k{self.kill_after}ms"]

    def make_command(self, rng, kind, deaf):
        log = self.slot.log
        length, child_length = duration(rng), duration(rng)
        front = rng.random() < 0.5
        flags = ["-d"] if deaf else []
        body = [SECTION, *flags, log, length, str(self.own)]
        witness = [SECTION, "-w", log, child_length, "0"]
        deaf_witness = ["setsid", SECTION, "-w", "-d", *witness[2:]]
        if kind == "child":
            return body + witness
        if kind == "setsid":
            return body + ["setsid", *witness]
        if kind == "timeout":
            if front:
                return ["timeout", "20", *body]
            return body + ["timeout", "20", *witness]
        if kind == "untidy" and front:
            # A shell that does not become the command.
            return ["sh", "-c", '"$@"; exit $?', "sh", *body]
        if kind == "untidy":
            return [SECTION, "-u", *body[1 + len(flags) :], *deaf_witness]
        if kind == "nested" and self.slot.inner:
            name, inner_log = self.slot.inner
            inner = [SECTION, "-o", log, inner_log, child_length, "0"]
            self.nests = True
            return body + (
                [RLOCK, "run", *self.lease(), "-w2s", name, "--", *inner]
            )
        return body

    def on_end(self):
        super().on_end()
        self.over = now()

    def describe(self):
        end = f"ended with {self.status}" if self.status is not None else "runs"
        sent = ", ".join(signal.Signals(n).name for n in sorted(self.signals))
        return (
            f"{self.number} (pid {self.pid}, slot {self.slot.number}) {end}"
            f"{', was sent ' + sent if sent else ''}: rlock run "
            + " ".join([*self.options, self.slot.name, "--", *self.command])
        )


class Slot:
    """Who runs rlock again and again, over a wire of its own."""

    def __init__(self, number, name, log, server, dir, note):
        self.number = number
        self.name = name
        self.log = log
        self.server = server
        self.dir = dir
        self.inner = None  # a lock for runs inside, and its log
        self.run = None
        self.wire = Wire(number, server, dir, lambda text: note(self, text))

    def environment(self):
        """What Job asks its server for."""
        clean = {k: v for k, v in os.environ.items() if k[:6] != "RLOCK_"}
        return clean | {"RLOCK_URL": f"unix://{self.wire.path}"}

    async def ready(self):
        while not os.path.exists(self.wire.path):
            await asyncio.sleep(0.01)


def alive(process):
    return process.poll() is None


def is_quiet(run, begin, end):
    """Was nothing in the way of a run in that time?"""
    return not run.disturbed and not any(
        troubles.between(begin, end)
        for troubles in (run.slot.wire.troubles, run.slot.server.troubles)
    )
