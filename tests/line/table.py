"""table.py - one table of line.py: a lock, its server, and those who wait"""

import asyncio
import collections
import random
import shutil
import time

from resp import Client, Error
from waiters import (
    CONT,
    KILL,
    MS,
    S,
    STOP,
    TERM,
    Job,
    Server,
    Waiter,
    instant,
    left_behind,
    line_of,
    now,
    number_of,
    state,
)

NAME = "line"
FENCE = f"rlock:{{{NAME}}}:fence"
QUEUE = f"rlock:{{{NAME}}}:queue"
SEEN = f"rlock:{{{NAME}}}:seen"
TTL = 60000  # ms; longer than any hand-over takes

# How a holder loses the lock, and how often.
WAYS = {
    "rlock release": 15,
    "compare and delete": 25,
    "DEL": 20,
    "UNLINK": 10,
    "RENAME": 10,
    "expiry": 12,
    "FLUSHALL": 8,
}
# What happens meanwhile, and how often; "head" is who is first in line.
DISTURBANCES = {
    "none": 500,
    "cut head": 60,
    "cut other": 50,
    "cut all": 20,
    "kill head": 20,
    "kill other": 25,
    "stop head": 20,
    "stop other": 20,
    "TERM head": 35,
    "TERM other": 25,
    "barge": 70,
    "join": 50,
    "renew": 50,
    "SCRIPT FLUSH": 30,
}

# By when the next one must have the lock: far below the 2.4 s after which a
# waiter looks by itself, so that a lost wake-up shows.
SOON = 250 * MS
KILLED = 2500 * MS + SOON
STOPPED = 6000 * MS + SOON
# Who was cut off or flushed away is back in line within this time.
BACK = 1000 * MS

# As redis-py and valkey-py release.
COMPARE_AND_DELETE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1])
return 1"""


class Stuck(Exception):
    """A table cannot go on."""


class Plan:
    """What is to be done in one hand-over: all of it drawn beforehand, so
    that the draws do not depend on what comes of them."""

    def __init__(self, rng, ways, disturbances):
        self.way = rng.choices(list(ways), ways.values())[0]
        self.disturbance = rng.choices(
            list(disturbances), disturbances.values()
        )[0]
        self.moment = rng.choice(["before", "at", "at, too", "after"])
        self.gap = rng.choice([0, 0, 0.0003, 0.001, 0.003, 0.02])
        self.settle = rng.random() < 0.5
        self.pause = rng.choice([0, 0, 0.001, 0.005])
        self.which = rng.choice(["asking", "listening", "both"])
        self.whom = rng.random()
        self.stop = rng.choice([0.001, 0.05, 0.3, None])  # None: until passed
        self.rounds = rng.randrange(4)  # how long somebody passed stays stopped
        self.expiry = rng.choice([1, 2, 5, 20])  # ms
        self.renewals = rng.randrange(2, 12)
        self.spacing = rng.choice([0, 0.002, 0.03])

    def __str__(self):
        said = f"{self.way}, {self.disturbance}"
        if self.disturbance != "none":
            said += f" {self.moment} (gap {self.gap * 1000:g} ms)"
        if self.disturbance.startswith("cut "):
            said += f", {self.which}"
        if self.disturbance.startswith("stop "):
            said += f", for {self.stop or 'long'}"
        return said + (", settled" if self.settle else "")


class Lag:
    """How long this process itself was kept from running: nobody else had
    more of the processor then, and all are given that much longer."""

    def __init__(self):
        self.seen = collections.deque(maxlen=1000)  # (when, how long)

    async def watch(self):
        while True:
            begin = now()
            await asyncio.sleep(0.01)
            late = now() - begin - 10 * MS
            if late > 5 * MS:
                self.seen.append((now(), late))

    def since(self, moment):
        return sum(late for when, late in self.seen if when >= moment)


class Candidate(Waiter):
    """A waiter, and what was done to it, and when (0: never)."""

    def __init__(self, *words, **more):
        super().__init__(*words, **more)
        self.ticket = None
        self.killed = 0
        self.termed = 0
        self.stopped = 0  # while it is
        self.continued = 0
        self.cut = 0
        self.cut_how = None
        self.flushed = 0
        self.won = 0
        self.rounds = 0  # hand-overs until it goes on


class Table:
    """One server, one lock, and those who wait for it."""

    def __init__(self, number, options, tally, lag):
        self.number = number
        self.options = options
        self.tally = tally
        self.lag = lag
        self.rng = random.Random(f"{options.seed}/{number}")
        self.news = asyncio.Event()
        self.waiters = []  # those that live, and ghosts still in line
        self.started = 0
        self.present = set()  # numbers in the queue before the release
        self.fence = 0
        self.token = f"foreign-{number}"
        self.round = 0
        self.last = None  # plan
        self.diary = []  # of this hand-over and the one before

    # --- running -----------------------------------------------------------

    async def play(self, handovers):
        async with Server() as self.server:
            self.ask = await Client.open(self.server.port)
            try:
                await self.ask("SET", NAME, self.token, "PX", TTL)
                for self.round in range(handovers):
                    plan = Plan(self.rng, self.options.ways, self.options.odds)
                    await self.hand_over(plan)
                    if self.tally.faulty() > 10:
                        raise Stuck
                await self.drain()
            except Stuck:
                pass
            except (TimeoutError, ConnectionError, Error) as error:
                await self.fault("failure", f"{error!r}")
            finally:
                for waiter in self.waiters:
                    waiter.end()

    def note(self, text):
        stamp = time.strftime("%H:%M:%S", time.localtime(now() / S))
        self.diary.append(f"{stamp}.{now() % S:06} {text}")

    async def fault(self, kind, text, stuck=False):
        report = [
            f"{kind}: {text}",
            f"seed {self.options.seed}, table {self.number} of"
            f" {self.options.tables}, hand-over {self.round + 1}",
            *self.diary,
            "waiters: " + ", ".join(map(describe, self.waiters)),
        ]
        try:
            report.append(await state(self.ask, NAME))
        except (ConnectionError, OSError) as error:
            report.append(f"no answer: {error}")
        if self.options.log:
            report.append(f"logs: {self.keep_logs()}")
        self.tally.faults[kind].append("\n".join(report))
        if stuck:
            raise Stuck

    def keep_logs(self):
        kept = f"{self.server.dir}.{self.round + 1}"
        shutil.copytree(self.server.dir, kept, dirs_exist_ok=True)
        return kept

    # --- the line ----------------------------------------------------------

    def start(self):
        self.started += 1
        words = ["-v"] if self.options.log else []
        waiter = Candidate(
            self.server, self.started, "acquire", NAME, *words, news=self.news
        )
        self.waiters.append(waiter)

    def alive(self):
        return [
            w
            for w in self.waiters
            if w.status is None and not (w.won or w.killed or w.termed)
        ]

    def fill(self):
        while len(self.alive()) < self.options.waiters:
            self.start()

    async def look(self):
        """Learns the tickets; a ticket never changes."""
        tickets = await line_of(self.ask, NAME)
        self.present = set(tickets)
        for waiter in self.waiters:
            ticket = tickets.get(waiter.number)
            if waiter.ticket is None:
                waiter.ticket = ticket
            elif ticket and ticket != waiter.ticket:
                await self.fault(
                    "changed ticket",
                    f"w{waiter.number} had {waiter.ticket}, has {ticket}",
                )
                waiter.ticket = ticket

    async def settle(self):
        """Waits until everybody is in line who can be."""
        begin = now()
        said = False
        while True:
            await self.look()
            missing = [
                w
                for w in self.alive()
                if not w.stopped and w.number not in self.present
            ]
            if not missing:
                return
            late = now() - begin - self.lag.since(begin)
            if late > (10 * S if said else BACK):
                text = ", ".join(map(describe, missing))
                await self.fault("not in line", text, stuck=said)
                said = True
            await asyncio.sleep(0.002)

    def line(self):
        """Who is in line, in the true order."""
        known = [w for w in self.alive() if w.ticket is not None]
        return sorted(known, key=lambda w: w.ticket)

    # --- one hand-over -----------------------------------------------------

    async def hand_over(self, plan):
        self.diary = self.diary[-20:]
        self.note(f"-- {self.round + 1}: {plan}")
        self.fill()
        await self.wake_stopped()
        if plan.settle:
            await self.settle()
        else:
            await asyncio.sleep(plan.pause)
        await self.look()
        await self.still_mine()
        self.begin = now()
        self.barged = False
        line = self.line()
        commands, deed = await self.prepare(plan, self.pick(plan, line))
        await self.end_lease(plan, commands, deed)
        winner = await self.await_winner()
        await self.verify(plan, winner, line)
        self.tally.ways[plan.way] += 1
        self.tally.disturbances[plan.disturbance] += 1
        self.last = plan

    async def still_mine(self):
        value = await self.ask("GET", NAME)
        early = self.winners()
        if value != self.token or early:
            await self.fault(
                "two holders",
                f"{self.token} holds it, and meanwhile GET says {value}, and"
                f" {[w.token for w in early]} got it",
                stuck=True,
            )

    def pick(self, plan, line):
        """Whom the disturbance hits."""
        running = [w for w in line if not w.stopped]
        if plan.disturbance.endswith(" head"):
            return running[0] if running and running[0] is line[0] else None
        if plan.disturbance.endswith(" other") and len(running) > 1:
            return running[1 + int(plan.whom * (len(running) - 1))]
        return None

    async def prepare(self, plan, target):
        """The disturbance: commands for the server, and something to do."""
        verb, _, whom = plan.disturbance.partition(" ")
        if plan.disturbance == "SCRIPT FLUSH":
            return [["SCRIPT", "FLUSH"]], nothing
        if plan.disturbance == "cut all":
            kill = ["CLIENT", "KILL", "SKIPME", "yes", "TYPE"]
            return [kill + ["normal"], kill + ["pubsub"]], self.cut_all
        if plan.disturbance == "join":
            return [], self.start
        if target is None:
            if whom:
                self.note("nobody to do that to")
            return [], nothing
        self.note(f"{plan.disturbance}: w{target.number}")
        if verb == "cut":
            asking, listening = await target.connections(self.ask)
            ends = {"asking": [asking], "listening": [listening]}
            ends = ends.get(plan.which, [asking, listening])
            kills = [["CLIENT", "KILL", "ADDR", end] for end in ends if end]
            return kills, lambda: self.cut(target, plan.which)
        if verb == "stop":
            stopped = sum(w.stopped > 0 for w in self.alive())
            if plan.stop is None and stopped > 1:
                self.note("enough are stopped")
                return [], nothing
            return [], lambda: self.stop(target, plan)
        if verb == "kill":
            return [], lambda: self.kill(target)
        return [], lambda: self.term(target)

    def cut(self, waiter, how):
        waiter.cut = now()
        waiter.cut_how = how

    def cut_all(self):
        for waiter in self.waiters:
            self.cut(waiter, "all")

    def kill(self, waiter):
        waiter.killed = now()
        waiter.signal(KILL)

    def term(self, waiter):
        waiter.termed = now()
        waiter.signal(TERM)

    def stop(self, waiter, plan):
        waiter.stopped = now()
        waiter.rounds = plan.rounds
        waiter.signal(STOP)
        if plan.stop is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(plan.stop, self.wake, waiter)

    def wake(self, waiter):
        if waiter.stopped:
            waiter.stopped = 0
            waiter.continued = now()
            waiter.signal(CONT)
            self.note(f"w{waiter.number} goes on")

    async def wake_stopped(self):
        """Lets those go on that were stopped some hand-overs ago."""
        for waiter in self.alive():
            if waiter.stopped:
                waiter.rounds -= 1
                if waiter.rounds < 0:
                    self.wake(waiter)

    async def end_lease(self, plan, commands, deed):
        """Ends the lease, with the disturbance at its moment.  Sets self.free,
        when the lock was free for the next one."""
        renewal = ["PEXPIRE", NAME, TTL]
        if plan.disturbance == "renew":
            for _ in range(plan.renewals):
                await self.ask(*renewal)
                await asyncio.sleep(plan.spacing)
        barge = plan.disturbance == "barge"
        before = after = []
        if plan.moment == "before":
            await self.ask.many(*commands)
            deed()
            await asyncio.sleep(plan.gap)
        elif plan.moment == "at":
            before = commands
        elif plan.moment == "at, too":
            after = commands
        racing = barge and plan.moment == "after"
        if barge and not racing:
            after = [["SET", NAME, "barger", "NX", "PX", TTL]]
        replies = await self.release(plan, before, after, deed)
        if plan.moment == "after":
            await asyncio.sleep(plan.gap)
            await self.ask.many(*commands)
            deed()
        if racing:
            replies = await self.ask.many(
                ["SET", NAME, "barger", "NX", "PX", TTL]
            )
        if barge and replies[-1] == "OK":
            await self.barger_leaves(plan)

    async def release(self, plan, before, after, deed):
        """The lease's end itself.  The replies to what came after it."""
        self.token, token = None, self.token
        during = deed if plan.moment.startswith("at") else nothing
        if plan.way == "rlock release":
            return await self.run_release(token, before, after, during)
        ways = {
            "compare and delete": [
                ["EVAL", COMPARE_AND_DELETE, 1, NAME, token]
            ],
            "DEL": [["DEL", NAME]],
            "UNLINK": [["UNLINK", NAME]],
            "RENAME": [["RENAME", NAME, "gone"]],
            "expiry": [["PEXPIRE", NAME, plan.expiry]],
            "FLUSHALL": [["FLUSHALL"]],
        }
        way = ways[plan.way]
        cleanup = [["DEL", "gone"]] if plan.way == "RENAME" else []
        if plan.moment == "at":
            during()
        self.ask.send(*before, *way, ["TIME"], *after, *cleanup)
        if plan.moment == "at, too":
            during()
        for _ in before:
            await self.ask.reply()
        done = await self.ask.reply()
        if isinstance(done, Error) or done == 0:
            await self.fault("failure", f"{way[0]}: {done}", stuck=True)
        self.free = instant(await self.ask.reply())
        replies = [await self.ask.reply() for _ in after]
        for _ in cleanup:
            await self.ask.reply()
        if plan.way == "expiry":
            self.free += plan.expiry * MS
            await asyncio.sleep(plan.expiry / 1000)
        if plan.way == "FLUSHALL":
            for waiter in self.waiters:
                waiter.flushed = self.free
        return replies

    async def run_release(self, token, before, after, during):
        """By `rlock release`: free from its start at the earliest."""
        self.free = now()
        news = asyncio.Event()
        process = Job(
            self.server,
            "release",
            "release",
            NAME,
            news=news,
            RLOCK_NAME=NAME,
            RLOCK_TOKEN=token,
        )
        during()
        await self.ask.many(*before)
        replies = await self.ask.many(*after)
        while process.status is None:
            news.clear()
            await news.wait()
        if process.status:
            # Its connection may have been among those that were cut.
            self.note(f"rlock release: {process.status}, {process.stderr()}")
            value = await self.ask("GET", NAME)
            if value == token:
                await self.ask("DEL", NAME)
                self.free = now()
        if after and after[0][0] == "SET" and replies[-1] != "OK":
            replies = await self.ask.many(*after)
        return replies

    async def barger_leaves(self, plan):
        """A foreign client was faster.  It keeps the lock a while, and nobody
        else may have it."""
        self.barged = True
        self.note("barged")
        await asyncio.sleep(plan.gap)
        value = await self.ask("GET", NAME)
        holders = [w.token for w in self.winners()]
        if value != "barger" or holders:
            await self.fault(
                "two holders",
                f"a barger holds it, GET says {value}, and {holders} got it",
                stuck=True,
            )
        _, time_ = await self.ask.many(["DEL", NAME], ["TIME"])
        self.free = instant(time_)

    def winners(self):
        return [w for w in self.waiters if w.token and not w.won]

    async def hear(self, seconds):
        """Until a waiter says something or ends."""
        try:
            await asyncio.wait_for(self.news.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def await_winner(self):
        """The one that says it has the lock."""
        limit = STOPPED + 5 * S
        while True:
            self.news.clear()
            winners = self.winners()
            if len(winners) > 1:
                await self.fault(
                    "two holders", f"{[w.token for w in winners]}", stuck=True
                )
            if winners:
                return winners[0]
            if now() > self.free + limit:
                await self.fault("lost wake-up", "nobody gets it", stuck=True)
            await self.idle_holder()
            await self.hear(0.05)

    async def idle_holder(self):
        """Somebody may have taken the lock and been killed or stopped before
        he could say so."""
        if not any(w.killed or w.stopped or w.termed for w in self.waiters):
            return
        value = await self.ask("GET", NAME)
        for waiter in self.waiters:
            if value and number_of(value) == waiter.number:
                if waiter.stopped:
                    self.note(f"w{waiter.number} holds it, stopped")
                    self.wake(waiter)
                elif waiter.status is not None and not waiter.token:
                    if value != await self.ask("GET", NAME):
                        return  # it was given back meanwhile
                    self.note(f"w{waiter.number} holds it, dead")
                    if not waiter.killed:
                        await self.fault(
                            "left locked", f"{describe(waiter)} holds it"
                        )
                    _, time_ = await self.ask.many(["DEL", NAME], ["TIME"])
                    self.free = instant(time_)

    # --- what must hold ----------------------------------------------------

    async def verify(self, plan, winner, line):
        value, fence, queue, seen = await self.ask.many(
            ["GET", NAME], ["GET", FENCE], ["PTTL", QUEUE], ["PTTL", SEEN]
        )
        self.note(f"w{winner.number} has it")
        if value != winner.token:
            await self.fault(
                "two holders",
                f"w{winner.number} got {winner.token}, GET says {value}",
                stuck=True,
            )
        fence, _, of = (fence or "0 ").partition(" ")
        if of != winner.token or int(fence) <= self.fence:
            await self.fault(
                "fence", f"was {self.fence}, is {fence} of {of!r}", stuck=True
            )
        self.fence = int(fence)
        if -1 in (queue, seen) or max(queue, seen) > 6000:
            await self.fault("left behind", f"PTTL {queue} and {seen}")
        await self.in_time(plan, winner)
        await self.in_order(winner, line)
        self.token = winner.token
        winner.won = now()
        await self.ends(winner)
        await self.bury()

    async def in_time(self, plan, winner):
        """Did it get the lock as soon as it could?"""
        ticket = winner.ticket or now()
        ahead = [
            w
            for w in self.waiters
            if w is not winner and w.ticket and w.ticket < ticket
        ]
        limit = self.free + SOON
        kind = "plain"
        if plan.disturbance != "none":
            kind = "disturbed"
        if plan.way in ("rlock release", "expiry", "FLUSHALL"):
            kind = plan.way
        if plan.disturbance == "renew":
            kind = "renewed before"
        if plan.disturbance.startswith("cut"):
            kind = "cut"
        for w in ahead + [winner]:
            moved = max(w.continued, w.ended if w.termed and w.ended else 0)
            if moved > self.begin:
                limit = max(limit, moved + SOON)
                kind = "left or went on"
        # Who was in line still, or was killed or stopped only now.
        for w in ahead:
            there = w.number in self.present
            if w.killed and (there or w.killed > self.begin):
                limit = max(limit, max(self.free, w.killed) + KILLED)
                kind = "killed"
        for w in ahead:
            there = w.number in self.present
            if w.stopped and (there or w.stopped > self.begin):
                limit = max(limit, max(self.free, w.stopped) + STOPPED)
                kind = "stopped"
        late = self.fence - self.free
        self.tally.late[kind].append(late / MS)
        if kind not in ("killed", "stopped"):
            which = f"table {self.number}, {self.round + 1}: {plan}"
            self.tally.slow.append((late / MS, f"{which}; before: {self.last}"))
        if self.fence > limit + self.lag.since(self.begin):
            await self.fault(
                "lost wake-up",
                f"w{winner.number} got it after {late / MS:.1f} ms, at most"
                f" {(limit - self.free) / MS:.0f} are allowed ({kind})",
            )

    async def in_order(self, winner, line):
        """Was it its turn?"""
        if self.barged:
            self.tally.departures["a barger was faster"] += 1
        ticket = winner.ticket or now()
        for waiter in line:
            if waiter is winner or waiter.ticket > ticket:
                continue
            reason = self.excuse(waiter)
            if reason is None:
                await self.fault(
                    "out of order",
                    f"w{winner.number} got it, but it was the turn of"
                    f" {describe(waiter)}",
                )
            else:
                self.tally.departures[reason] += 1

    def excuse(self, waiter):
        """Why somebody may have been passed: something was done to him in this
        hand-over, or so recently before that he is not back in line."""
        recent = self.begin
        if waiter.number not in self.present:
            recent -= BACK // 2
        if waiter.killed:
            return "killed"
        if waiter.termed:
            return "left"
        if waiter.stopped or waiter.continued > recent:
            return "stopped"
        if waiter.flushed > recent:
            return "FLUSHALL"
        if waiter.cut > recent:
            return f"cut: {waiter.cut_how}"
        return None

    async def ends(self, winner):
        """The winner has nothing more to do, and ends well."""
        self.wake(winner)
        begin = now()
        while winner.status is None and now() < begin + 2 * S:
            self.news.clear()
            await self.hear(0.1)
        wanted = [0] + ([-KILL] if winner.killed else [])
        if winner.status not in wanted:
            await self.fault("failure", f"{describe(winner)} should end with 0")

    async def bury(self):
        """Forgets who is gone; the killed not before they are out of line."""
        for waiter in self.waiters:
            wanted = [None] if not waiter.termed else []
            wanted += [0] if waiter.won else []
            wanted += [-KILL] if waiter.killed else []
            wanted += [-TERM] if waiter.termed else []
            if waiter.status in wanted:
                continue
            if waiter.status is not None:
                await self.fault(
                    "failure", f"{describe(waiter)}: {waiter.stderr()}"
                )
            elif now() > waiter.termed + S + self.lag.since(waiter.termed):
                text = f"{describe(waiter)} does not end"
                await self.fault("failure", text)
                waiter.end()
        self.waiters = [
            w
            for w in self.waiters
            if w.status is None or (w.killed and w.number in self.present)
        ]

    # --- the end of the table ----------------------------------------------

    async def drain(self):
        """Everybody leaves, each in another way, and nothing stays."""
        self.round += 1
        self.note("-- the end")
        await self.settle()
        ending = []
        for n, waiter in enumerate(self.alive()):
            if waiter.stopped or n % 3 == 0:
                self.kill(waiter)
            elif n % 3 == 1:
                self.term(waiter)
            ending.append(waiter)
        await self.ask("DEL", NAME)
        begin = now()
        while self.winners() or any(w.status is None for w in self.waiters):
            for waiter in self.winners():
                waiter.won = now()
                await self.ask("DEL", NAME)
            await self.idle_holder()
            if now() > begin + 10 * S:
                await self.fault("failure", "not everybody ends", stuck=True)
            await asyncio.sleep(0.01)
        begin = now()
        while left := await left_behind(self.ask):
            if now() > begin + 10 * S:
                await self.fault("left behind", ", ".join(left), stuck=True)
            await asyncio.sleep(0.05)


def describe(waiter):
    said = f"w{waiter.number} (pid {waiter.pid}, ticket {waiter.ticket}"
    for what in "killed termed stopped continued cut flushed won".split():
        when = getattr(waiter, what)
        if when:
            said += f", {what} {(now() - when) / MS:.0f} ms ago"
    if waiter.status is not None:
        said += f", ended with {waiter.status}"
    return said + ")"


def nothing():
    pass
