"""loss.py - how soon is the command gone, all of it, when the lock is lost?

usage: make bench-loss [ROUNDS=50]

The command is seven processes, in groups and sessions of their own
(tests/lib/grove.sh).  The lock is deleted; or the server, or rlock, or both are
stopped, and then what counts is what is left of the key's time when the last of
the seven has ended: more than nothing.
"""

import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from jobs import Jobs
from servers import Redis

HERE = os.path.dirname(os.path.abspath(__file__))
PROCESSES = 7


class Round:
    """One run of the grove; the times are CLOCK_BOOTTIME in ms."""

    count = 0

    def __init__(self, loss, kind, *options):
        # A name of its own: a nested lock may outlive what was killed.
        Round.count += 1
        self.key = f"loss-{Round.count}"
        self.dir = f"{loss.dir}/{self.key}"
        os.mkdir(self.dir)
        self.rlock = subprocess.Popen(
            [loss.rlock, "run", *options, self.key,
             "sh", HERE + "/../tests/lib/grove.sh", kind],
            cwd=self.dir, env={**loss.env, "K": self.key},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pids = self.wait_for_processes()
        self.fds = [os.pidfd_open(pid) for pid in self.pids]

    def wait_for_processes(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with open(self.dir + "/ticks") as ticks:
                    ready = [line.split()[2] for line in ticks
                             if line.startswith("ready")]
            except FileNotFoundError:
                ready = []
            if len(ready) == PROCESSES:
                return [int(pid) for pid in ready]
            time.sleep(0.02)
        raise SystemExit("the command does not start")

    def gone(self):
        """When the last of them ended."""
        poll = select.poll()
        for fd in self.fds:
            poll.register(fd, select.POLLIN)
        left, at = set(self.fds), None
        while left:
            ready = poll.poll(30000)
            at = now()
            if not ready:
                raise SystemExit("the command does not end")
            for fd, _ in ready:
                poll.unregister(fd)
                left.discard(fd)
        return at

    def finish(self):
        os.kill(self.rlock.pid, signal.SIGCONT)
        status = self.rlock.wait(20)
        for fd in self.fds:
            os.close(fd)
        shutil.rmtree(self.dir)
        if status != 79:
            raise SystemExit(f"rlock ended with {status}")


class Loss:
    def __init__(self, jobs, directory):
        self.dir = directory
        self.rlock = os.environ["RLOCK"]
        self.server = Redis(jobs, directory + "/redis")
        self.env = {**os.environ, "RLOCK": self.rlock,
                    "TICK": os.path.abspath(os.environ["BUILD"]) + "/tests/tick",
                    "RLOCK_URL": "unix://" + self.server.path}

    def deleted(self, kind):
        one = Round(self, kind, "-t", "10s", "-k", "100ms")
        at = now()
        self.server.call("DEL", one.key)
        took = one.gone() - at
        one.finish()
        return took

    def silent(self, kind, who):
        """What was left of the key's time."""
        one = Round(self, kind, "-t", "1500ms", "-k", "100ms")
        if "rlock" in who:
            os.kill(one.rlock.pid, signal.SIGSTOP)
        before = now()
        end = before + self.server.call("PTTL", one.key)
        if "server" in who:
            os.kill(self.server.pid, signal.SIGSTOP)
        left = end - one.gone()
        if "server" in who:
            os.kill(self.server.pid, signal.SIGCONT)
        one.finish()
        return left


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def main():
    rounds = int(os.environ.get("ROUNDS") or 50)
    jobs = Jobs(dict(os.environ))
    with tempfile.TemporaryDirectory(prefix="rlock-loss-") as directory, jobs:
        loss = Loss(jobs, directory)
        late = False
        for kind in "obedient", "stubborn":
            took = [loss.deleted(kind) for _ in range(rounds)]
            print(f"DEL to the last process gone, {kind} (KILL after 100 ms): "
                  f"p50 {statistics.median(took):.1f} ms, "
                  f"worst of {rounds} {max(took):.1f} ms", flush=True)
        for who in (["server"], ["rlock"], ["rlock", "server"]):
            left = [loss.silent("stubborn", who) for _ in range(rounds)]
            late |= min(left) <= 0
            print(f"{' and '.join(who)} stopped: the last process gone "
                  f"{statistics.median(left):.1f} ms before the key's expiry "
                  f"(p50), {min(left):.1f} ms (least of {rounds})", flush=True)
    sys.exit("late" if late else 0)


if __name__ == "__main__":
    main()
