"""peers.py - one waiter of each kind, for the hand-over

Each peer has:

    begin()    the harness holds the lock, and one waiter waits for it, or will
               within `settle` seconds
    release()  frees the lock; returns the time of the reply, in ns
    fd         becomes readable when the waiter holds the lock
    finish()   clears up, so that begin() can be called again
"""

import fcntl
import os
import sys
import time


class Rlock:
    """A new `rlock acquire` each time, as a script would call it."""

    name = "rlock acquire"
    settle = 0.1

    def __init__(self, bench):
        self.jobs, self.server, self.rlock = bench.jobs, bench.redis, bench.rlock

    def begin(self):
        self.server.hold("handover")
        self.pid, self.fd = self.jobs.reading([self.rlock, "acquire", "-q",
                                               "handover"])

    def release(self):
        self.server.call("DEL", "handover")
        return time.monotonic_ns()

    def finish(self):
        self.jobs.wait(self.pid)
        os.close(self.fd)


class RedisPy:
    """One process that waits again and again: its start-up takes 0.1 s."""

    settle = 0.02

    def __init__(self, bench, name, sleep):
        self.name = name
        self.server = bench.redis
        self.key = f"handover{sleep}"
        stdin, self.go = os.pipe()
        _, self.fd = bench.jobs.reading(
            [sys.executable, bench.redis_py, "wait", self.server.path,
             self.key, str(sleep)], {0: stdin})
        os.close(stdin)
        # Once for nothing: it has to have started.
        os.write(self.go, b".")
        self.finish()

    def begin(self):
        self.server.hold(self.key)
        os.write(self.go, b".")

    def release(self):
        self.server.call("DEL", self.key)
        return time.monotonic_ns()

    def finish(self):
        os.read(self.fd, 1)


class Flock:
    """flock(1) on an open file: it says when it has the lock, and ends."""

    name = "flock"
    settle = 0.1

    def __init__(self, bench):
        self.jobs, self.path = bench.jobs, bench.dir + "/flock"

    def begin(self):
        self.ours = open(self.path, "w")
        fcntl.flock(self.ours, fcntl.LOCK_EX)
        with open(self.path) as theirs:
            self.pid, self.fd = self.jobs.reading(
                ["flock", "--verbose", "9"], {9: theirs.fileno()})

    def release(self):
        fcntl.flock(self.ours, fcntl.LOCK_UN)
        return time.monotonic_ns()

    def finish(self):
        self.jobs.wait(self.pid)
        self.ours.close()
        os.close(self.fd)


class Etcdctl:
    """A new `etcdctl lock` each time; the harness holds and frees by HTTP."""

    name = "etcdctl lock"
    settle = 0.25

    def __init__(self, bench):
        self.jobs, self.etcd = bench.jobs, bench.etcd

    def begin(self):
        self.key = self.etcd.hold("handover")
        self.pid, self.fd = self.jobs.reading(["etcdctl", "lock", "handover"])

    def release(self):
        return self.etcd.unlock(self.key)

    def finish(self):
        self.jobs.end({self.pid})
        os.close(self.fd)
