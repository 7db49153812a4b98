#!/usr/bin/env python3
"""soak.py - competing runs of rlock while everything around them fails

usage: soak.py [--seconds N] [--seed N] [--clients N] [--events NAME,...]
               [--losses]

[41] Three locks on two real servers; for each, many `rlock run` at once, again and
again, each over a wire of its own that fails at random.  The commands are
critical sections (section.c) that write to one log for each lock.  Meanwhile
processes and servers are stopped and killed.  It is verified that

* no section writes a line after one with a higher fence has entered,
* the fence only grows,
* every exit status is one of the contract's, and true,
* no key lacks an expiry, and only fences are left at the end,
* nothing of a command outlives its lock, and everybody ends.

The seed (also $SEED; the seconds $SOAK, the clients $CLIENTS, the events
$EVENTS) fixes what each does; what comes of it depends on the processes.
--events names what happens, or with a "-" before each name, what does not:

  the wires      delay hold drop cut split refuse
  rlock          kill stop term int hup, and switch: kill -9 of its second
                 process, which guards the command; inner: kill and stop of a
                 nested run, too
  the servers    pause
  the commands   deaf to signals, with a child, with one in a session of its own
                 (setsid) or under timeout(1), with a nested run, untidy (leave
                 a child behind when they are told to end)

--losses (also $SOAK_LOSSES) adds del, flush and restart: a lock that is lost
so may have two holders, but only for as long as it takes to stop the old one.
Speaks TAP; whatever is wrong is shown at once, and the directory is kept.
"""

import argparse
import asyncio
import collections
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

from checker import MS, NOT_OURS, S, Ledger, judge, now
from players import (
    COMMANDS,
    INNER,
    SECTION,
    TTL_MAX,
    WIRES,
    Failure,
    Run,
    Server,
    Slot,
    alive,
    is_quiet,
    spread,
)
from waiters import RLOCK, instant, prepare

SIGNALS = {"term": signal.SIGTERM, "int": signal.SIGINT, "hup": signal.SIGHUP}
PROCESSES = ["kill", "stop", *SIGNALS, "switch"]
LOSSES = ["del", "flush", "restart"]
EVENTS = [*WIRES, *PROCESSES, "inner", "pause", *COMMANDS]
LOCKS = {"a": 0, "b": 0, "c": 1}  # and their servers
OUTSIDE = {"a": "b"}  # runs of the first may have one of the second inside

# Mean seconds between two of a kind.
WIRE_EVERY = 5
HOLDER_EVERY = 3
PROCESS_EVERY = 0.5
PAUSE_EVERY = 10
LOSS_EVERY = 1.5

STUCK = 40 * S  # so long nobody gets in although many wait
DRAIN = 40 * S  # for all to end when nothing fails any more
FORGET = 8 * S  # the servers forget who waited within six seconds
LINGER = 1 * S  # so long something of a run may be there when it has ended
ENOUGH = 10  # findings

# Kinds of findings, and what holds without them.
CLAIMS = {
    "overlap": "no two are in at once",
    "fence": "the fence only grows",
    "status": "every status is one of the contract's, and true",
    "key": "every key expires, and only fences are left",
    "process": "nothing of a command outlives its run",
    "stuck": "nobody waits in vain, and everybody ends",
    "broken": "the test itself works",
}


# A lock was taken away from its holder, between begin and end; at: the same by
# the server's clock.
Loss = collections.namedtuple("Loss", "at begin end kind")


class Soak:
    def __init__(self, options):
        self.options = options
        self.events = options.events
        self.dir = tempfile.mkdtemp(prefix="rlock-soak.")
        self.id = os.path.basename(self.dir)
        os.environ["SOAK_ID"] = self.id  # so we know our own
        self.findings = collections.Counter()
        self.happened = collections.Counter()
        self.statuses = collections.Counter()
        self.diary = collections.deque(maxlen=3000)  # (when, text)
        self.lags = collections.deque(maxlen=1000)  # (when, us)
        self.worst_lag = 0
        self.losses = {name: [] for name in LOCKS}
        self.runs = {}  # number -> Run; ended ones are forgotten in the end
        self.started = 0
        self.lingering = set()  # reported
        self.ending = False
        self.ledgers = {
            name: Ledger(name, f"{self.dir}/{name}", self.report, self.excuse)
            for name in LOCKS
        }

    def rng(self, what):
        """Each has a sequence of its own."""
        return random.Random(f"{self.options.seed}/{what}")

    # --- words -------------------------------------------------------------

    def note(self, text):
        self.diary.append((now(), text))

    def note_wire(self, slot, text):
        run = slot.run.number if slot.run else "nobody"
        self.note(f"wire of slot {slot.number} ({run}): {text}")

    def count(self, kind):
        self.happened[kind] += 1

    def report(self, kind, text, ledger=None):
        """Something is wrong: tells all about it at once."""
        self.findings[kind] += 1
        numbers = set(re.findall(rf"\br\d+{INNER}?\b", text))
        said = [
            f"FINDING at {now()}: {kind}: {text}",
            f"seed {self.options.seed}, directory {self.dir}, load"
            f" {os.getloadavg()[0]:.1f}",
        ]
        for number in sorted(numbers):
            run = self.runs.get(number.rstrip(INNER))
            if run:
                said.append(run.describe())
                said += ["  " + line for line in run.stderr().splitlines()]
        if ledger:
            said.append("its log:")
            said += ["  " + line for line in ledger.around(numbers)]
        said.append("what happened:")
        recent = [e for e in self.diary if e[0] > now() - 6 * S]
        said += [f"  {when} {text}" for when, text in recent]
        late = [e for e in self.lags if e[0] > now() - 6 * S]
        said += [f"  {when} woken {us / MS:.0f} ms late" for when, us in late]
        print("# " + "\n".join(said).replace("\n", "\n# "), flush=True)

    # --- the runs ----------------------------------------------------------

    async def play(self, slot):
        rng = self.rng(f"slot {slot.number}")
        await slot.ready()
        await asyncio.sleep(rng.random())
        while not self.ending:
            self.started += 1
            kinds = self.events & set(COMMANDS)
            run = slot.run = Run(slot, self.started, rng, kinds)
            self.runs[run.number] = run
            self.hurry(run, rng)
            while run.status is None:
                run.news.clear()
                await run.news.wait()
            self.ended(run)
            await asyncio.sleep(rng.random() * 0.3)
        slot.run = None

    def hurry(self, run, rng):
        """Some are hit when they have just begun."""
        kind = rng.choice(PROCESSES)
        delay = spread(rng, 0.001, 0.05)
        time = stop_time(rng)
        if rng.random() < 0.05 and kind in self.events:
            loop = asyncio.get_running_loop()
            loop.call_later(delay, self.hit, run, kind, time)

    def ended(self, run):
        ledger = self.ledgers[run.slot.name]
        ledger.read()
        self.statuses[run.status] += 1
        section = ledger.sections.get(run.number)
        wrong = judge(run, section)
        if not wrong and self.hides_loss(run, section):
            wrong = f"status {run.status}, but the lock was lost"
        if wrong:
            self.report("status", f"{run.number}: {wrong}", ledger)
        old = self.started - 20 * self.options.clients
        for number in [n for n in self.runs if int(n[1:]) < old]:
            if self.runs[number].status is not None and not self.findings:
                os.unlink(self.runs[number].log)
                del self.runs[number]

    def alive(self):
        return [r for r in self.runs.values() if r.status is None]

    # --- what happens to them ----------------------------------------------

    async def wires(self, slot):
        rng = self.rng(f"wire {slot.number}")
        kinds = [kind for kind in WIRES if kind in self.events]
        await slot.ready()
        while kinds:
            await asyncio.sleep(rng.expovariate(1 / WIRE_EVERY))
            failure = Failure(rng, kinds, 0.01)
            self.count(failure.kind)
            await slot.wire.fail(failure)

    async def holders(self, name):
        """Wires fail for long while somebody is in."""
        rng = self.rng(f"holder {name}")
        kinds = [kind for kind in WIRES if kind in self.events]
        while kinds:
            await asyncio.sleep(rng.expovariate(1 / HOLDER_EVERY))
            failure = Failure(rng, kinds, 0.5)
            self.read()
            run = self.runs.get(self.ledgers[name].holder())
            if run and run.status is None:
                self.count(f"{failure.kind} for a holder")
                await run.slot.wire.fail(failure)

    async def processes(self):
        rng = self.rng("processes")
        kinds = [kind for kind in PROCESSES if kind in self.events]
        while kinds:
            await asyncio.sleep(rng.expovariate(1 / PROCESS_EVERY))
            kind = rng.choice(kinds)
            holding = rng.random() < 0.7
            inner = rng.random() < 0.7
            lucky = rng.random()
            time = stop_time(rng)
            runs = self.alive()
            if holding:
                self.read()
                holders = {led.holder() for led in self.ledgers.values()}
                runs = [run for run in runs if run.number in holders]
            if not runs:
                continue
            run = runs[int(lucky * len(runs))]
            if run.nests and inner and kind in ("kill", "stop"):
                self.hit_inner(run, kind, time)
            else:
                self.hit(run, kind, time)

    def hit_inner(self, run, kind, time):
        """The run inside that run."""
        handle = "inner" in self.events and nested(run, self.id)
        if not handle:
            return
        self.count(f"{kind} of an inner run")
        self.note(f"{run.number}{INNER}: {kind} {time * 1000:.0f} ms")
        run.disturbed = True
        if kind == "kill":
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
            return
        signal.pidfd_send_signal(handle, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(time, go_on, handle)

    def hit(self, run, kind, time):
        if run.status is not None:
            return
        # With both of its halves out of action nobody can stop the command.
        if run.halved and kind in ("kill", "stop"):
            return
        if run.stopped and kind == "switch":
            return
        if kind in SIGNALS and run.tidy:
            run.signals.add(SIGNALS[kind])
            self.send(run, kind, SIGNALS[kind])
        elif kind == "kill":
            run.signals.add(signal.SIGKILL)
            self.send(run, kind, signal.SIGKILL)
        elif kind == "switch":
            self.kill_switch(run)
        elif kind == "stop":
            run.stopped += 1
            self.send(run, f"stop {time * 1000:.0f} ms", signal.SIGSTOP)
            asyncio.get_running_loop().call_later(time, self.go_on, run)

    def send(self, run, kind, number):
        self.count(kind.split()[0])
        self.note(f"{run.number}: {kind}")
        run.disturbed = True
        run.signal(number)

    def go_on(self, run):
        run.stopped -= 1
        if not run.stopped and run.status is None:
            self.note(f"{run.number}: goes on")
            run.signal(signal.SIGCONT)

    def kill_switch(self, run):
        """Its child that is rlock, too, if it has one."""
        for pid in children(run.pid):
            if executable(pid) == os.path.realpath(RLOCK):
                self.count("switch")
                self.note(f"{run.number}: kill of the switch, {pid}")
                run.disturbed = run.halved = True
                os.kill(pid, signal.SIGKILL)

    async def pauses(self, server):
        rng = self.rng(f"server {server.number}")
        while "pause" in self.events:
            await asyncio.sleep(rng.expovariate(1 / PAUSE_EVERY))
            seconds = spread(rng, 0.01, 3)
            self.count("pause")
            self.note(f"server {server.number} stops {seconds * 1000:.0f} ms")
            with server.troubles:
                server.signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    server.signal(signal.SIGCONT)
            self.note(f"server {server.number} goes on")

    # --- locks that are lost -----------------------------------------------

    async def lose(self):
        rng = self.rng("losses")
        kinds = [kind for kind in LOSSES if kind in self.events]
        while kinds:
            await asyncio.sleep(rng.expovariate(1 / LOSS_EVERY))
            kind = rng.choices(kinds, [6, 2, 1][-len(kinds) :])[0]
            name = rng.choice(list(LOCKS))
            server = self.servers[LOCKS[name]]
            self.count(kind)
            self.note(f"{kind} of {name}, server {server.number}")
            gap = spread(rng, 0.01, 1)
            begin, at = now(), time.time_ns() // 1000
            if kind == "restart":
                await server.restart(gap)
            else:
                words = ["FLUSHALL"] if kind == "flush" else ["DEL", name]
                answers = await server.ask(["MULTI"], ["TIME"], words, ["EXEC"])
                at = instant(answers[-1][0])
            self.note(f"{kind} is done")
            for lock, number in LOCKS.items():
                if lock == name or kind != "del" and number == server.number:
                    self.losses[lock].append(Loss(at, begin, now(), kind))

    def loss(self, name, section):
        """The first one of its lock, or None."""
        # The fence is the server's time, too, when it was taken.
        losses = self.losses[name]
        return next((loss for loss in losses if loss.at > section.fence), None)

    def excuse(self, name, section):
        """(When its lock was lost, until when it may be in), or None.  That is
        as long as its lease lasts; if nothing is in the way, it is told to
        stop within 100 ms."""
        run = self.runs.get(section.run.rstrip(INNER))
        loss = self.loss(name, section)
        if not run or not loss:
            return None
        lease = loss.end + run.ttl * MS
        soon = loss.end + 100 * MS
        if loss.kind == "restart" or not is_quiet(
            run, loss.begin - 2 * S, soon
        ):
            return loss.end, lease
        return loss.end, min(lease, soon + run.kill_after * MS)

    def hides_loss(self, run, section):
        """Does it end as if its lock had been its own throughout?"""
        loss = section and self.loss(run.slot.name, section)
        return (
            loss
            and run.status != NOT_OURS
            and loss.end < section.last
            and is_quiet(run, loss.begin - 2 * S, now())
        )

    # --- looking on --------------------------------------------------------

    def read(self):
        for ledger in self.ledgers.values():
            ledger.read()

    async def look(self):
        """At what the sections write, and whether they do."""
        while True:
            await asyncio.sleep(0.1)
            self.read()
            for name, ledger in self.ledgers.items():
                if now() - ledger.entered > STUCK:
                    self.report("stuck", f"nobody gets {name}", ledger)
                    ledger.entered = now()

    async def keys(self, server):
        while True:
            await asyncio.sleep(1)
            try:
                await self.check_keys(server)
            except (OSError, EOFError):
                if "restart" not in self.events:
                    raise

    async def check_keys(self, server):
        """Each has an expiry; returns those that are not fences."""
        (names,) = await server.ask(["KEYS", "*"])
        times = await server.ask(*(["PTTL", name] for name in names))
        for name, time in zip(names, times):
            if time == -1:
                self.report("key", f"'{name}' never expires")
            if name in LOCKS and time > TTL_MAX:
                self.report("key", f"'{name}' lives for {time} ms")
        return [n for n, time in zip(names, times) if n[-6:] != ":fence"]

    async def leavings(self):
        while True:
            await asyncio.sleep(2)
            self.check_leavings()

    def check_leavings(self):
        for pid, number in ours(self.id):
            run = self.runs.get(number)
            over = run.over if run else 0
            if over is None or now() < over + LINGER:
                continue
            if pid not in self.lingering:
                self.lingering.add(pid)
                self.report("process", f"{pid} is left of {number}")

    async def lag(self):
        while True:
            begin = now()
            await asyncio.sleep(0.01)
            late = now() - begin - 10 * MS
            self.worst_lag = max(self.worst_lag, late)
            if late > 20 * MS:
                self.lags.append((now(), late))

    # --- from the beginning to the end -------------------------------------

    async def go(self):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.broken)
        for number in signal.SIGTERM, signal.SIGINT:
            loop.add_signal_handler(number, asyncio.current_task().cancel)
        self.servers = [Server(n, self.dir) for n in sorted({*LOCKS.values()})]
        self.slots = []
        tasks = []
        try:
            for server in self.servers:
                await server.start()
            self.make_slots()
            await self.soak(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.clean_up()

    def broken(self, _, context):
        self.report("broken", str(context.get("exception", context)))

    def make_slots(self):
        names = list(LOCKS)
        self.slots = []
        for n in range(self.options.clients):
            name = names[n % len(names)]
            server = self.servers[LOCKS[name]]
            log = self.ledgers[name].path
            slot = Slot(n, name, log, server, self.dir, self.note_wire)
            if name in OUTSIDE:
                inner = OUTSIDE[name]
                slot.inner = (inner, self.ledgers[inner].path)
            self.slots.append(slot)

    async def soak(self, tasks):
        def task(coroutine):
            tasks.append(asyncio.create_task(coroutine))
            return tasks[-1]

        players = [task(self.play(slot)) for slot in self.slots]
        lookers = [task(self.look()), task(self.lag()), task(self.leavings())]
        lookers += [task(self.keys(server)) for server in self.servers]
        troubles = [task(self.processes()), task(self.lose())]
        troubles += [task(self.wires(slot)) for slot in self.slots]
        troubles += [task(self.holders(name)) for name in LOCKS]
        troubles += [task(self.pauses(server)) for server in self.servers]
        end = now() + self.options.seconds * S
        while now() < end and sum(self.findings.values()) < ENOUGH:
            await asyncio.sleep(0.2)
            self.see_to(players + lookers + troubles)
        self.ending = True
        await self.settle(troubles)
        await self.drain(players)
        for server in self.servers:
            await self.forget(server)
        await asyncio.sleep(LINGER / S)
        self.read()
        self.check_leavings()
        self.see_to(players + lookers)

    def see_to(self, tasks):
        """What is broken must not look like what is well."""
        for task in tasks:
            if task.done() and task.exception():
                raise task.exception()
        for wire in [slot.wire for slot in self.slots]:
            if not alive(wire.process):
                raise RuntimeError("a proxy has ended")
        for server in self.servers:
            if not alive(server.process) and "restart" not in self.events:
                raise RuntimeError("a server has ended")

    async def settle(self, troubles):
        """From now on nothing fails."""
        for task in troubles:
            task.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)
        for server in self.servers:
            if not alive(server.process):
                await server.start()
        for slot in self.slots:
            slot.wire.mend()
        self.note("nothing fails any more")

    async def drain(self, players):
        end = now() + DRAIN
        while self.alive() and now() < end:
            await asyncio.sleep(0.05)
        for run in self.alive():
            self.report("stuck", f"{run.number} does not end")
        if not self.alive():
            await asyncio.gather(*players)

    async def forget(self, server):
        end = now() + FORGET
        while left := await self.check_keys(server):
            if now() > end:
                self.report("key", f"left at the end: {', '.join(left)}")
                return
            await asyncio.sleep(0.1)

    def clean_up(self):
        for run in self.alive():
            run.end()
        for pid, _ in ours(self.id):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for part in [slot.wire for slot in self.slots] + self.servers:
            part.end()

    def conclude(self):
        count = sum(ledger.count for ledger in self.ledgers.values())
        happened = sum(self.happened.values())
        findings = sum(self.findings.values())
        self.print_figures()
        for n, (kind, claim) in enumerate(CLAIMS.items(), 1):
            print(f"{'not ' if self.findings[kind] else ''}ok {n} - {claim}")
        print(f"1..{len(CLAIMS)}")
        if findings:
            print(f"# kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        print(
            f"# soak: {count} sections, {happened} events,"
            f" seed {self.options.seed}: {findings} findings"
        )
        return 1 if findings else 0

    def print_figures(self):
        for what in ("happened", "statuses"):
            counts = getattr(self, what).most_common()
            said = ", ".join(f"{key} {n}" for key, n in counts)
            print(f"# {what}: {said or 'none'}")
        for name, ledger in self.ledgers.items():
            print(
                f"# {name}: {ledger.count} sections, {ledger.lines} lines, the"
                f" latest {ledger.late / MS:.1f} ms late, {ledger.very_late}"
                " more than 20 ms"
            )
            if ledger.excused:
                print(
                    f"#   {ledger.excused} lines after a lock was lost, the"
                    f" last {ledger.longest / MS:.0f} ms"
                )
        print(f"# this process was woken up {self.worst_lag / MS:.0f} ms late")


# --- processes ---------------------------------------------------------------


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def ours(id):
    """Processes of ours, and of which runs they are."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if f"SOAK_ID={id}" in words:
            runs = [w[9:] for w in words if w.startswith("SOAK_RUN=")]
            if runs:
                yield int(pid), runs[0]


def nested(run, id):
    """A pidfd of the rlock that a section started, or None."""
    for pid, number in ours(id):
        if number != run.number or executable(pid) != os.path.realpath(RLOCK):
            continue
        try:
            handle = os.pidfd_open(pid)
            if executable(parent(pid)) == os.path.realpath(SECTION):
                return handle
            os.close(handle)
        except OSError:
            pass
    return None


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def go_on(handle):
    try:
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    except ProcessLookupError:
        pass
    os.close(handle)


# --- choices -----------------------------------------------------------------


def stop_time(rng):
    """Seconds; some longer than any lease."""
    return spread(rng, 0.05, 2.5 * TTL_MAX / 1000)


def choose(words, losses):
    """The set of events that --events means."""
    known = set(EVENTS) | set(LOSSES)
    chosen = set(EVENTS) | (set(LOSSES) if losses else set())
    words = [word for word in words.replace(" ", ",").split(",") if word]
    unknown = {word.lstrip("-") for word in words} - known
    if unknown:
        raise argparse.ArgumentTypeError(f"no such event: {unknown}")
    only = {word for word in words if word[0] != "-"}
    return (only or chosen) - {word[1:] for word in words if word[0] == "-"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    number = {"type": int, "metavar": "N"}
    environ = os.environ
    seed = environ.get("SEED") or time.time_ns() % 1000000
    parser.add_argument("--seed", default=seed, **number)
    seconds = environ.get("SOAK") or 60
    parser.add_argument("--seconds", default=seconds, **number)
    clients = environ.get("CLIENTS") or 24
    parser.add_argument("--clients", default=clients, **number)
    parser.add_argument("--events", default=environ.get("EVENTS") or "")
    losses = environ.get("SOAK_LOSSES", "") not in ("", "0")
    parser.add_argument("--losses", action="store_true", default=losses)
    options = parser.parse_args()
    try:
        options.events = choose(options.events, options.losses)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    for program in RLOCK, SECTION:
        if not os.access(program, os.X_OK):
            parser.error(f"there is no {program}")
    prepare()
    print(f"# seed {options.seed}", flush=True)
    soak = Soak(options)
    try:
        asyncio.run(soak.go())
    except asyncio.CancelledError:
        print("Bail out!")
        return 1
    return soak.conclude()


if __name__ == "__main__":
    sys.exit(main())
