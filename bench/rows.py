"""rows.py - the measurements; each returns Tables

Only what stands side by side in one table was measured side by side.
"""

import math
import os
import random
import sys
import time
from dataclasses import dataclass

import peers
from jobs import Lines, readable, wait_until
from servers import Meter


@dataclass
class Table:
    title: str
    header: tuple
    rows: list
    note: str = ""


def quantile(values, share):
    """The nearest rank: of 100 values, 0.99 is the second worst."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ms(value):
    return f"{value:.2f}"


# --- start-up ------------------------------------------------------------

def alternate(bench, commands, fds=None):
    """Medians of alternating runs in us, in the order of the commands."""
    argv = [bench.build + "/bench/alternate", str(bench.rounds)]
    for command in commands:
        argv += [*command, ":::"]
    pid, fd = bench.jobs.reading(argv[:-1], fds)
    # Nothing comes before the end of all rounds, however long that takes.
    with open(fd) as out:
        medians = [float(line.split()[0]) for line in out]
    bench.jobs.wait(pid)
    return medians


def start_up(bench):
    server = bench.redis
    bare = bench.build + "/bench/bare"
    python = [sys.executable, bench.redis_py]
    acquire = [("libc only (`bench/bare.c`)",
                [bare, "acquire", server.path, "a{}"]),
               ("**rlock acquire -n**", [bench.rlock, "acquire", "-n", "b{}"])]
    run = [("libc only (`bench/bare.c`)",
            [bare, "run", server.path, "c{}", "true"]),
           ("**rlock run**", [bench.rlock, "run", "d{}", "true"])]
    if bench.cli:
        acquire += [(f"{os.path.basename(bench.cli)} SET NX PX",
                     [bench.cli, "-s", server.path,
                      "SET", "e{}", "v", "NX", "PX", "30000"])]
    if bench.flock:
        acquire += [("flock, on an open file", ["flock", "-n", "9"])]
        run += [("flock", ["flock", "-n", bench.dir + "/flock", "true"])]
    if bench.has_redis_py:
        acquire += [("redis-py", [*python, "acquire", server.path, "f{}"])]
        run += [("redis-py", [*python, "run", server.path, "g{}", "true"])]
    if bench.etcd:
        # It has no way to take a lock and end.
        run += [("etcdctl lock", ["etcdctl", "lock", "h{}", "true"])]
    with open(bench.dir + "/flock-fd", "w") as file:
        for title, commands in (("Start-up: take a free lock and end", acquire),
                                ("Start-up: hold a lock around `true`", run)):
            medians = alternate(bench, [argv for _, argv in commands],
                                {9: file.fileno()})
            yield Table(
                title, ("command", "median ms", "ratio"),
                [(name, ms(median / 1000), ms(median / medians[0]))
                 for (name, _), median in zip(commands, medians)],
                f"{bench.rounds} runs each, in a new random order each round.")


# --- hand-over -----------------------------------------------------------

def hand_over_once(peer):
    """From the reply to the release to the waiter's first byte, in ms."""
    peer.begin()
    # At any moment of a poller's sleep, and never at the same one.
    time.sleep(peer.settle + random.random() * 0.1)
    released = peer.release()
    held = readable(peer.fd)
    peer.finish()
    return (held - released) / 1e6


def hand_over(bench):
    """The table, and all the values by peer for the plot."""
    racers = [peers.Rlock(bench)]
    if bench.has_redis_py:
        racers += [peers.RedisPy(bench, "redis-py, default (0.1 s)", 0.1),
                   peers.RedisPy(bench, "redis-py, polling at 10 ms", 0.01)]
    if bench.flock:
        racers += [peers.Flock(bench)]
    if bench.etcd:
        racers += [peers.Etcdctl(bench)]
    took = {peer.name: [] for peer in racers}
    for _ in range(bench.rounds):
        for peer in random.sample(racers, len(racers)):
            took[peer.name].append(hand_over_once(peer))
    ours = quantile(took["rlock acquire"], 0.5)
    rows = [(f"**{name}**" if name == "rlock acquire" else name,
             ms(quantile(values, 0.5)), ms(quantile(values, 0.99)),
             ms(max(values)), f"{quantile(values, 0.5) / ours:.3g}")
            for name, values in took.items()]
    return Table(
        "Hand-over to one waiter",
        ("waiter", "p50 ms", "p99 ms", "worst ms", "p50 to rlock's"), rows,
        f"From the reply to the release to the waiter's first byte of output; "
        f"{bench.rounds} each, interleaved, released at random moments. flock "
        f"is on one host only; etcd syncs to disk, and may serve the waiter "
        "before its reply is here."), took


class Line:
    """Real waiters for one lock; whoever gets it prints its token."""

    def __init__(self, bench, server, name, argv):
        self.bench, self.server = bench, server
        self.name, self.argv = name, argv
        self.pids = []
        self.waiting = 0
        reader, self.writer = os.pipe()
        self.tokens = Lines(reader)
        server.hold(name)

    def queue(self):
        return f"rlock:{{{self.name}}}:queue"

    def add(self, count):
        """Starts waiters; returns when all are in line."""
        for _ in range(count):
            self.pids.append(self.bench.jobs.start(self.argv,
                                                   {1: self.writer}))
        self.waiting += count
        wait_until("all to be in line", lambda: self.server.call(
            "ZCARD", self.queue()) == self.waiting)

    def served(self):
        """Waits for the next to hold the lock; returns the token."""
        self.waiting -= 1
        return self.tokens.next()

    def close(self):
        self.bench.jobs.end(self.pids, at_once=True)
        self.tokens.close()
        os.close(self.writer)


# TIME after DEL: servers before 7 allow no write behind TIME.
RELEASE = ("redis.call('DEL',KEYS[1]) local t=redis.call('TIME') "
           "return t[1]*1000000+t[2]")


def timed_release(line):
    """Hands over once; returns the server's own measure, in ms."""
    released = line.server.call("EVAL", RELEASE, 1, line.name)
    token = line.served()
    note = line.server.call("GET", f"rlock:{{{line.name}}}:fence")
    fence, holder = note.split(" ", 1)
    if holder != token:
        raise RuntimeError(f"{token} holds it, but the fence says {holder}")
    return (int(fence) - released) / 1000


def commands_per_hand_over(line, count):
    """Releases at once, over and over: nothing else happens meanwhile."""
    meter = Meter(line.server)
    burst = min(line.waiting, count)
    commands = done = 0
    while done < count:
        time.sleep(0.05)  # whoever came last is ready, too
        meter.read()
        for _ in range(burst):
            line.server.call("DEL", line.name)
            line.served()
        # The next in line gets ready for its turn, which counts.
        time.sleep(0.01)
        commands += meter.read()[0]
        done += burst
        line.add(burst)
    meter.close()
    return commands / done


def hand_over_line(bench):
    rows = []
    for waiters in bench.waiters:
        server = bench.start_server(f"line{waiters}")
        line = Line(bench, server, "lock",
                    [bench.rlock, "acquire", "-q", "lock"])
        line.add(waiters)
        took = []
        for _ in range(max(bench.rounds // (2 if waiters > 10 else 1), 2)):
            time.sleep(random.random() * 0.1)
            took.append(timed_release(line))
            line.add(1)
        commands = commands_per_hand_over(line, 10)
        rows.append((waiters, len(took), ms(quantile(took, 0.5)),
                     ms(quantile(took, 0.99)), ms(max(took)),
                     f"{commands:.1f}"))
        line.close()
        server.close()
    return Table(
        "Hand-over by the server's clock: rlock, a line of N",
        ("waiters", "hand-overs", "p50 ms", "p99 ms", "worst ms",
         "commands"), rows,
        "From the DEL to the next acquisition, both in the server's time. "
        "Commands: requests of all waiters per hand-over, without the "
        "release, when released at once over and over.")


# --- what a waiter costs -------------------------------------------------

def blocked(bench):
    """All at once, each on a server of its own: no times are measured."""
    kinds = [("**rlock**, the only waiter", None, 1),
             ("**rlock**, each of 10", None, 10)]
    if bench.has_redis_py:
        kinds += [("redis-py, default (0.1 s)", "0.1", 1),
                  ("redis-py, polling at 10 ms", "0.01", 1)]
    stdin, go = os.pipe()
    os.write(go, b"." * len(kinds))
    pids, servers = [], []
    for number, (_, sleep, count) in enumerate(kinds):
        server = bench.start_server(f"blocked{number}")
        server.hold("lock")
        argv = [bench.rlock, "acquire", "-q", "lock"]
        if sleep:
            argv = [sys.executable, bench.redis_py, "wait", server.path,
                    "lock", sleep]
        pids += [bench.jobs.start(argv, {0: stdin}) for _ in range(count)]
        servers.append(server)
    time.sleep(1.5)  # all have started and found it held
    begin = time.monotonic()
    meters = [Meter(server) for server in servers]
    time.sleep(bench.seconds / 2)
    for server in servers:
        server.call("PEXPIRE", "lock", 600000)
    time.sleep(bench.seconds / 2)
    counts = [meter.read()[0] for meter in meters]
    seconds = time.monotonic() - begin
    bench.jobs.end(pids, at_once=True)
    os.close(stdin)
    os.close(go)
    for each in meters + servers:
        each.close()
    return Table(
        "A waiter that is blocked",
        ("waiter", "requests per second"),
        [(name, ms(count / waiters / seconds))
         for (name, _, waiters), count in zip(kinds, counts)],
        f"Over {bench.seconds} s, in which the holder renewed once.")


# --- drain ---------------------------------------------------------------

def slips(expected, served):
    """How many were served while somebody else was first in line."""
    left = list(expected)
    count = 0
    for each in served:
        count += left[0] != each
        left.remove(each)
    return count


def drain_rlock(bench, server, waiters):
    line = Line(bench, server, "lock",
                [bench.rlock, "run", "-q", "lock", "printenv", "RLOCK_TOKEN"])
    line.add(waiters)
    # The third field of a token, and of a waiter's id, is the process.
    expected = [member.split(":")[2] for member in
                server.call("ZRANGE", line.queue(), 0, -1)]
    meter = Meter(server)
    server.call("DEL", "lock")
    begin = time.monotonic()
    served = [line.served().split(":")[2] for _ in range(waiters)]
    for pid in line.pids:
        bench.jobs.wait(pid)
    seconds = time.monotonic() - begin
    commands = meter.read()[0]
    meter.close()
    line.pids.clear()
    line.close()
    return seconds, commands, slips(expected, served)


def drain_redis_py(bench, server, waiters):
    server.hold("lock")
    pid, fd = bench.jobs.reading([sys.executable, bench.redis_py, "drain",
                                  server.path, "lock", "0.1", str(waiters)])
    lines = Lines(fd)
    expected = [lines.next().split()[1] for _ in range(waiters)]
    time.sleep(0.2)  # the last one has found it held
    meter = Meter(server)
    server.call("DEL", "lock")
    begin = time.monotonic()
    served = [lines.next().split()[1] for _ in range(waiters)]
    bench.jobs.wait(pid)
    seconds = time.monotonic() - begin
    commands = meter.read()[0]
    meter.close()
    lines.close()
    return seconds, commands, slips(expected, served)


def drain(bench):
    rows = []
    for waiters in bench.waiters:
        if waiters == 1:
            continue
        kinds = [("**rlock run**", drain_rlock)]
        # Each is a Python: a hundred fit into a laptop, 500 may not.
        if bench.has_redis_py and waiters <= 100:
            kinds += [("redis-py, default", drain_redis_py)]
        for name, measure in kinds:
            server = bench.start_server("drain")
            seconds, commands, late = measure(bench, server, waiters)
            rows.append((waiters, name, f"{seconds:.2f}",
                         ms(seconds * 1000 / waiters),
                         f"{commands / waiters:.1f}",
                         f"{late} out of turn" if late else "kept"))
            server.close()
    return Table(
        "A line drains: N processes, each takes the lock, prints, frees it",
        ("waiters", "tool", "seconds", "ms each", "commands each", "order"),
        rows,
        "`rlock run NAME printenv RLOCK_TOKEN` against redis-py processes; "
        "from the release until the last process has ended. Order: of arrival on "
        "the server for rlock, of the first attempt for redis-py.")


# --- memory, renewal -----------------------------------------------------

def peak_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status
                    if line.startswith("VmHWM:"))


def helpers(pid):
    """Processes between rlock and its command that are rlock's own."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        found = [int(child) for child in children.read().split()]
    own = [child for child in found
           if os.readlink(f"/proc/{child}/exe") ==
           os.readlink(f"/proc/{pid}/exe")]
    return own + [each for child in own for each in helpers(child)]


def cpu_us(pid):
    """CPU time of a process with all its threads; the clock is the kernel's
    CPUCLOCK_SCHED of that process, as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1000


class Renewals:
    """Watches a lock's expiry from outside."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.left = math.inf

    def await_next(self):
        def renewed():
            before, self.left = self.left, self.server.call("PTTL", self.name)
            return self.left > before
        wait_until("the lock to be renewed", renewed)


def renewal(bench):
    """Returns the table, and what rlock and its helpers took, in kB."""
    server = bench.start_server("renewal")
    pid = bench.jobs.start([bench.rlock, "run", "-q", "-t", "900ms", "lock",
                            "sleep", "600"])
    wait_until("the lock to be taken",
               lambda: server.call("EXISTS", "lock") == 1)
    renewals = Renewals(server, "lock")
    renewals.await_next()
    time.sleep(0.1)  # whatever follows a renewal is done
    meter = Meter(server)
    pids = [pid, *helpers(pid)]
    cpu = sum(map(cpu_us, pids))
    count = 4 if bench.quick else 10
    for _ in range(count):
        renewals.await_next()
    time.sleep(0.1)
    totals = (*meter.read(), sum(map(cpu_us, pids)) - cpu)
    memory = [peak_kb(each) for each in pids]
    bench.jobs.end({pid})
    meter.close()
    server.close()
    return Table(
        "What a renewal costs",
        ("commands", "bytes to the server", "bytes from it",
         "CPU time of rlock, us"),
        [tuple(f"{total / count:.1f}" for total in totals)],
        f"Mean of {count} renewals of `rlock run -t 900ms`."), memory


def memory(bench, rlock):
    holders = [("libc only (`bench/bare.c`)",
                [bench.build + "/bench/bare", "run", bench.redis.path, "mem-a",
                 "sleep", "600"])]
    if bench.flock:
        holders += [("flock", ["flock", bench.dir + "/flock-mem", "sleep",
                               "600"])]
    if bench.has_redis_py:
        holders += [("redis-py", [sys.executable, bench.redis_py, "run",
                                  bench.redis.path, "mem-b", "sleep", "600"])]
    if bench.etcd:
        holders += [("etcdctl lock", ["etcdctl", "lock", "mem", "sleep",
                                      "600"])]
    rows = [("**rlock run**", " + ".join(f"{kb / 1024:.1f}" for kb in rlock))]
    with open(os.devnull, "w") as null:  # etcdctl complains when it is ended
        pids = [bench.jobs.start(argv, {2: null.fileno()})
                for _, argv in holders]
    time.sleep(1)
    for (name, _), pid in zip(holders, pids):
        rows.append((name, f"{peak_kb(pid) / 1024:.1f}"))
    bench.jobs.end(pids)
    return Table("Memory of what holds a lock around a command",
                 ("tool", "peak MB"), rows,
                 "VmHWM while the command runs, for rlock after its renewals "
                 "and with each process of its own.")
