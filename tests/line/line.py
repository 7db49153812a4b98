#!/usr/bin/env python3
"""line.py - random hand-overs of a lock that many wait for

usage: line.py [--seed N] [--handovers N] [--tables N] [--waiters N]
               [--way NAME,...] [--disturbance NAME,...] [--log]

Several tables play side by side, each with a server of its own: real
`rlock acquire` processes wait for one lock; who gets it loses it again in a
way chosen at random, often while somebody is killed, stopped, cut off, sent
away, or pushing in.  After each hand-over it is verified

* that one of the waiters, and only one, has the lock,
* soon enough for what was done (no wake-up is lost),
* with a higher fence,
* and that it was its turn, or what was done explains why not.

The seed (also $SEED; the number of hand-overs $HANDOVERS) fixes what each
table does; what comes of it depends on the processes.  --way and
--disturbance limit what is chosen from (table.py has the names).  --log has the
waiters say with -v what they do, and keeps that if something goes wrong.
Speaks TAP; the figures are in comments.
"""

import argparse
import asyncio
import collections
import os
import signal
import statistics
import sys
import time

from table import DISTURBANCES, WAYS, Lag, Table
from waiters import prepare


class Tally:
    """What all tables have seen."""

    show = 5  # of the slowest

    def __init__(self):
        self.ways = collections.Counter()
        self.disturbances = collections.Counter()
        self.departures = collections.Counter()
        self.late = collections.defaultdict(list)  # class -> ms
        self.slow = []  # (ms, of which hand-over)
        self.faults = collections.defaultdict(list)  # kind -> reports

    def faulty(self):
        return sum(map(len, self.faults.values()))

    def print(self):
        for what in ("ways", "disturbances", "departures"):
            counts = getattr(self, what).most_common()
            said = ", ".join(f"{key} {n}" for key, n in counts)
            print(f"# {what}: {said or 'none'}")
        print("# from the end of the old lease to the new one, by the server:")
        print(f"#   {'ms':24} {'n':>5} {'p50':>8} {'p99':>8} {'worst':>8}")
        for kind, late in sorted(self.late.items()):
            late.sort()
            p99 = late[min(len(late) - 1, len(late) * 99 // 100)]
            print(
                f"#   {kind:24} {len(late):5} {statistics.median(late):8.2f}"
                f" {p99:8.2f} {late[-1]:8.2f}"
            )
        print("# the slowest, but for the killed and the stopped:")
        for late, which in sorted(self.slow, reverse=True)[: self.show]:
            print(f"#   {late:.1f} ms, {which}")


CLAIMS = {
    "[13] no wake-up is lost": ["lost wake-up", "not in line"],
    "[14] the lock never has two holders": ["two holders"],
    "[39] the fence only grows": ["fence"],
    "every departure from the order has its reason": [
        "out of order",
        "changed ticket",
    ],
    "nothing but fences is left at the end": ["left behind", "left locked"],
    "every process ends as it should": ["failure"],
}


async def play(options):
    tally = Tally()
    lag = Lag()
    begin = time.monotonic()
    share, more = divmod(options.handovers, options.tables)
    watch = asyncio.create_task(lag.watch())
    tables = []
    for n in range(options.tables):
        table = Table(n, options, tally, lag)
        tables.append(asyncio.create_task(table.play(share + (n < more))))
    loop = asyncio.get_running_loop()
    for number in signal.SIGTERM, signal.SIGINT:
        loop.add_signal_handler(number, cancel, tables)
    try:
        await asyncio.gather(*tables)
    finally:
        cancel(tables)
        await asyncio.gather(*tables, return_exceptions=True)
        watch.cancel()
    done = sum(tally.ways.values())
    print(
        f"# seed {options.seed}: {done} hand-overs at {options.tables} tables"
        f" in {time.monotonic() - begin:.0f} s"
    )
    tally.print()
    return report(tally, done == options.handovers)


def cancel(tasks):
    for task in tasks:
        task.cancel()


def report(tally, complete):
    for n, (claim, kinds) in enumerate(CLAIMS.items(), 1):
        faults = [fault for kind in kinds for fault in tally.faults[kind]]
        print(f"{'not ' if faults else ''}ok {n} - {claim}")
        for fault in faults:
            print("#\n# " + fault.replace("\n", "\n# "))
    n = len(CLAIMS) + 1
    print(f"{'' if complete else 'not '}ok {n} - all hand-overs took place")
    print(f"1..{n}")
    return 0 if complete and not tally.faulty() else 1


def odds(table, chosen):
    """The part of a table of odds that was asked for."""
    if not chosen:
        return table
    return {name: table[name] for name in chosen.split(",")}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    number = {"type": int, "metavar": "N"}
    environ = os.environ
    seed = environ.get("SEED") or time.time_ns() % 1000000
    parser.add_argument("--seed", default=seed, **number)
    handovers = environ.get("HANDOVERS") or 400
    parser.add_argument("--handovers", default=handovers, **number)
    parser.add_argument("--tables", default=6, **number)
    parser.add_argument("--waiters", default=8, **number)
    parser.add_argument("--way", default="")
    parser.add_argument("--disturbance", default="")
    parser.add_argument("--log", action="store_true")
    options = parser.parse_args()
    options.ways = odds(WAYS, options.way)
    options.odds = odds(DISTURBANCES, options.disturbance)
    prepare()
    try:
        return asyncio.run(play(options))
    except asyncio.CancelledError:
        return "Bail out!"


if __name__ == "__main__":
    sys.exit(main())
