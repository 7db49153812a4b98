"""jobs.py - processes: started cheaply, heard, certainly gone at the end"""

import os
import select
import signal
import time

PATIENCE = 60  # seconds for one thing to happen, on a busy machine


class Jobs:
    """As a context manager: whatever still runs at the end is killed.

    Each job is a process group of its own, so that what it started goes with
    it, and a Ctrl-C reaches the harness alone, which then ends them.
    """

    def __init__(self, env):
        self.env = env
        self.pids = set()

    def start(self, argv, fds=None):
        """Starts argv; fds maps its descriptors to ours.  Returns the pid."""
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs)
                   for theirs, ours in (fds or {}).items()]
        pid = os.posix_spawnp(argv[0], argv, self.env, setpgroup=0,
                              file_actions=actions)
        self.pids.add(pid)
        return pid

    def reading(self, argv, fds=None):
        """Starts argv with its stdout on a pipe.  Returns pid, reading end."""
        reader, writer = os.pipe()
        try:
            return self.start(argv, {1: writer, **(fds or {})}), reader
        finally:
            os.close(writer)

    def wait(self, pid):
        """Waits for a job that ends by itself; its status has to be 0."""
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.pids.remove(pid)
        if status:
            raise RuntimeError(f"a process that was started ended: {status}")

    def end(self, pids, at_once=False):
        """Ends jobs: TERM, and KILL two seconds later, or KILL at once.

        At once is for waiters on a server that nobody needs any more: asked to
        end in the middle of an attempt, they would say so.
        """
        left = set(pids)
        steps = ((signal.SIGTERM, 2), (signal.SIGKILL, PATIENCE))
        for sig, seconds in steps[at_once:]:
            for pid in left:
                os.killpg(pid, sig)
            deadline = time.monotonic() + seconds
            while left and time.monotonic() < deadline:
                gone = {p for p in left if os.waitpid(p, os.WNOHANG)[0]}
                left -= gone
                self.pids -= gone
                if not gone:
                    time.sleep(0.005)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(self.pids, at_once=True)


def readable(fd, seconds=PATIENCE):
    """Waits until there is something to read; returns the time, in ns."""
    if not select.select([fd], [], [], seconds)[0]:
        raise TimeoutError("a waiter was not served in time")
    return time.monotonic_ns()


class Lines:
    """The lines of a pipe; a buffered file would not know how long to wait."""

    def __init__(self, fd):
        self.fd, self.rest = fd, b""

    def next(self):
        while b"\n" not in self.rest:
            readable(self.fd)
            some = os.read(self.fd, 65536)
            if not some:
                raise EOFError("a process ended without a word")
            self.rest += some
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def close(self):
        os.close(self.fd)


def wait_until(what, holds):
    """Polls until holds() is true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.002)
