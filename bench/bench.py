"""bench.py - rlock beside its peers, on this machine, in one run

usage: make bench [QUICK=1] [ROUNDS=100] [WAITERS="1 10 100 500"] [RESULTS=DIR]

Starts private servers in a temporary directory and ends them again; installs
nothing; a peer that is not there is named and left out.  Prints the tables and
writes them to RESULTS/results.md (bench/), with a plot of the hand-over in
results.png where matplotlib or gnuplot can draw it.

ROUNDS   runs of each command, and hand-overs of each kind
WAITERS  how many processes wait at once
QUICK    few of both, to see that everything works; results go to
         $BUILD/bench, for they mean nothing

make sets RLOCK (the program) and BUILD (where the helpers in C are).
"""

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import plot
import rows
from jobs import Jobs
from servers import Etcd, Redis

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Bench:
    """What every measurement needs to know."""

    def __init__(self, jobs, directory):
        environ = os.environ
        self.jobs, self.dir = jobs, directory
        self.quick = bool(environ.get("QUICK"))
        self.rounds = int(environ.get("ROUNDS") or (5 if self.quick else 100))
        self.waiters = [int(n) for n in (environ.get("WAITERS") or (
            "1 10" if self.quick else "1 10 100 500")).split()]
        self.seconds = 2 if self.quick else 10
        self.build = os.path.abspath(environ.get("BUILD", "build"))
        self.rlock = environ.get("RLOCK", self.build + "/rlock")
        here = os.path.dirname(os.path.abspath(__file__))
        self.results = environ.get("RESULTS") or (
            self.build + "/bench" if self.quick else here)
        self.redis_py = here + "/redis_py.py"
        self.has_redis_py = bool(importlib.util.find_spec("redis"))
        self.cli = shutil.which("redis-cli") or shutil.which("valkey-cli")
        # busybox has one that does not say when it has the lock.
        self.flock = "util-linux" in first_line("flock", "--version")
        self.redis = self.start_server("redis")
        self.etcd = None
        if shutil.which("etcd") and shutil.which("etcdctl"):
            self.etcd = Etcd(jobs, directory)
            jobs.env.update(ETCDCTL_API="3", ETCDCTL_ENDPOINTS=self.etcd.url)

    def start_server(self, name):
        """The rlock processes that start from now on talk to this one."""
        server = Redis(self.jobs, f"{self.dir}/{name}")
        self.jobs.env["RLOCK_URL"] = "unix://" + server.path
        return server

    def left_out(self):
        missing = {"redis-cli": self.cli, "flock (util-linux)": self.flock,
                   "redis-py": self.has_redis_py, "etcd, etcdctl": self.etcd}
        return [name for name, there in missing.items() if not there]

    def versions(self):
        info = self.redis.info()
        server = info.get("server_name", "redis")
        said = [first_line(self.rlock, "--version"),
                f"{server} {info.get(server + '_version', '?')}"]
        if self.has_redis_py:
            import redis
            said += [f"redis-py {redis.__version__}"]
        said += [f"Python {platform.python_version()}"]
        if self.flock:
            said += [first_line("flock", "--version")]
        if self.etcd:
            said += [first_line("etcd", "--version")]
        return ", ".join(said)


def first_line(*argv):
    """What a program says first, '' if it is not there."""
    try:
        said = subprocess.run(argv, capture_output=True, text=True).stdout
    except OSError:
        return ""
    return said.partition("\n")[0]


def processor():
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def markdown(table):
    """A table that reads well as text, too."""
    lines = [tuple(str(cell) for cell in line)
             for line in (table.header, *table.rows)]
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(table.header))]

    def is_number(i):
        return all(line[i][:1].isdigit() for line in lines[1:])

    def aligned(line):
        cells = (cell.rjust(width) if is_number(i) else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(line, widths)))
        return "| " + " | ".join(cells) + " |"

    rule = ("-" * (width - 1) + (":" if is_number(i) else "-")
            for i, width in enumerate(widths))
    return "\n".join([f"### {table.title}", "", aligned(lines[0]),
                      "| " + " | ".join(rule) + " |",
                      *map(aligned, lines[1:]), "", table.note, ""])


def measure(bench):
    """The tables one by one; the last item is what the plot shows."""
    yield from rows.start_up(bench)
    table, took = rows.hand_over(bench)
    yield table
    yield rows.hand_over_line(bench)
    yield rows.blocked(bench)
    yield rows.drain(bench)
    table, kilobytes = rows.renewal(bench)
    yield table
    yield rows.memory(bench, kilobytes)
    yield took


def stop(number, _):
    """The first signal ends everything; a second one must not leave servers."""
    for sig in STOPPING:
        signal.signal(sig, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    for sig in STOPPING:
        signal.signal(sig, stop)
    # What the user has set for rlock is not what is measured.
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("RLOCK_", "ETCDCTL_", "REDISCLI_"))}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rlock-bench.") as directory, \
            Jobs(env) as jobs:
        bench = Bench(jobs, directory)
        missing = bench.left_out()
        text = [f"# rlock's benchmark, {time.strftime('%Y-%m-%d')}\n",
                f"{processor()}, {os.cpu_count()} cores, Linux "
                f"{os.uname().release}. {bench.versions()}. Private servers "
                "on this machine, Redis or Valkey on a Unix socket without "
                "persistence.\n"]
        if missing:
            text += [f"not installed, left out: {'; '.join(missing)}\n"]
        print("\n".join(text), flush=True)
        for item in measure(bench):
            if isinstance(item, rows.Table):
                text.append(markdown(item))
                print(text[-1], flush=True)
        os.makedirs(bench.results, exist_ok=True)
        if plot.draw(bench.results + "/results.png", item):
            text.insert(-1, "![hand-over](results.png)\n")
        text.append("Repeat it with `make bench`; it took "
                    f"{time.monotonic() - begin:.0f} s.\n")
        with open(bench.results + "/results.md", "w") as file:
            file.write("\n".join(text))
        print(f"written: {bench.results}/results.md")


if __name__ == "__main__":
    main()
