"""checker.py - what must hold of the sections under a lock, and of the runs

Ledger reads what the sections of one lock wrote, in the order in which they
wrote it; judge() reads how one run ended.  Both hand what is wrong to report().
Times are in microseconds of CLOCK_BOOTTIME, as in the sections' lines.
"""

import collections
import os
import signal
import time

MS = 1000
S = 1000 * MS

# rlock's own exit statuses that a run may end with whatever its command does.
UNAVAILABLE, HELD, NOT_OURS = 69, 75, 79


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Section:
    """One acquisition of the lock, as its lines tell."""

    def __init__(self, run, fence):
        self.run = run
        self.fence = fence
        self.left = False
        self.last = 0  # time of the last line
        self.reported = False


class Ledger:
    """The sections of one lock.

    excuse(section, time) says whether a section may still be in at that time
    although another one is: its lock was lost, and it is about to be stopped.
    """

    def __init__(self, name, path, report, excuse):
        self.name = name
        self.path = path
        self.report = report
        self.excuse = excuse
        self.file = None
        self.rest = b""
        self.sections = {}  # run -> Section
        self.top = None  # the one with the highest fence
        self.top_line = ""  # its first
        self.recent = collections.deque(maxlen=400)
        self.count = 0
        self.lines = 0
        self.late = 0  # the worst
        self.very_late = 0  # how often by more than 20 ms
        self.excused = 0
        self.longest = 0  # behind the loss of the lock
        self.entered = now()  # somebody, the last time

    def read(self):
        """Takes what has been written since."""
        if not self.file:
            if not os.path.exists(self.path):
                return
            self.file = open(self.path, "rb")
        while some := self.file.read(1 << 20):
            *lines, self.rest = (self.rest + some).split(b"\n")
            for line in lines:
                self.take(line.decode())

    def take(self, line):
        self.recent.append(line)
        self.lines += 1
        kind, run, fence, _, when, late = line.split()
        when, late = int(when), int(late)
        self.late = max(self.late, late)
        self.very_late += late > 20 * MS
        if kind == "enter":
            self.enter(line, run, int(fence), when)
        section = self.sections.get(run)
        if not section:
            self.wrong("broken", f"in without having entered: {line}")
            return
        section.last = when
        if section.left:
            self.wrong("broken", f"in after having left: {line}")
        if section is not self.top:
            self.overlap(section, line, when)
        if kind == "leave":
            section.left = True

    def enter(self, line, run, fence, when):
        if run in self.sections:
            self.wrong("broken", f"a run enters twice: {line}")
        if self.top and fence == self.top.fence:
            self.wrong("fence", f"two sections have one: {line}")
        section = self.sections[run] = Section(run, fence)
        self.count += 1
        self.entered = when
        if not self.top or fence > self.top.fence:
            self.top, self.top_line = section, line

    def overlap(self, section, line, when):
        text = f"{line}\nafter: {self.top_line}"
        bound = self.excuse(self.name, section)
        if bound:
            lost, latest = bound
            self.longest = max(self.longest, when - lost)
            if when <= latest:
                self.excused += 1
                return
            text += f"\nlost at {lost}, may be in until {latest}"
        if not section.reported:
            section.reported = True
            entering = line.startswith("enter")
            self.wrong("fence" if entering else "overlap", text)

    def wrong(self, kind, text):
        self.report(kind, f"lock {self.name}: {text}", self)

    def holder(self):
        """The run that is in, as far as is known."""
        top = self.top
        return top.run if top and not top.left else None

    def around(self, runs):
        """The lines of some runs, the long middles left out."""
        lines = [line for line in self.recent if line.split()[1] in runs]
        return lines if len(lines) <= 60 else lines[:20] + ["..."] + lines[-40:]


def allowed(run):
    """The statuses that a run may end with, by what was done to it."""
    statuses = {UNAVAILABLE, NOT_OURS, run.own}
    if run.limited:
        statuses.add(HELD)
    for signo in run.signals:
        statuses.add(-signo)
        if signo != signal.SIGKILL:  # that ends rlock itself
            statuses.add(128 + signo)
    return statuses


def judge(run, section):
    """What is wrong with how a run ended, or None; section: its, if it has
    entered."""
    status = run.status
    if status not in allowed(run):
        return f"status {status} is none of {sorted(allowed(run))}"
    if section and status in (UNAVAILABLE, HELD):
        return f"status {status}, but the command was run"
    if status == run.own and not (section and section.left):
        return f"status {status}, but the command did not end"
    return None
