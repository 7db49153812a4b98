"""pty.py - a person at a terminal, for tests

    pty.py SHELL [ARG...] <STEPS

Starts the shell in a session of its own with a new terminal, and goes through
the steps, one a line; a step that cannot be done within 15 seconds ends the
test with status 1 and shows what was on the screen.

    type TEXT       types TEXT and the Enter key
    press TEXT      types TEXT alone; \\e is the Escape key, \\n Enter, and \\s
                    the space bar
    key LETTER      types Ctrl-LETTER
    expect TEXT     waits for TEXT on the screen, behind what was expected last
    until COMMAND   waits until COMMAND, which sh runs elsewhere, succeeds
    do COMMAND      runs COMMAND elsewhere; it must succeed
    times N TEXT    TEXT has been on the screen exactly N times so far
    hang up         takes the terminal away; the shell must end, and only
                    "until" and "do" are left
    ended N         the program has ended, with status N (-N: of signal N)
    # ...           a comment

The terminal does not echo, so what is on the screen was written by a program.
At the end, unless it has ended, the shell must have nothing left to do: it gets
"exit", and has to end. Whatever is left of the session after that is killed.
"""
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 15  # seconds for one step


class Failure(Exception):
    pass


class Terminal:
    def __init__(self, argv):
        self.screen = ""
        self.seen = 0  # how much of the screen has been expected
        self.pid, self.master = os.forkpty()
        if self.pid == 0:
            self.become(argv)
        os.set_blocking(self.master, False)

    @staticmethod
    def become(argv):
        # As a login would have it, whatever the test runner was started with.
        for signo in range(1, signal.NSIG):
            try:
                signal.signal(signo, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # KILL and STOP, and those that are libc's own
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        settings = termios.tcgetattr(0)
        settings[3] &= ~(termios.ECHO | termios.ECHONL)
        termios.tcsetattr(0, termios.TCSANOW, settings)
        os.closerange(3, 64)
        os.execvp(argv[0], argv)

    def read(self, seconds):
        """Takes what the programs write; False when they are all gone."""
        if self.master is None:
            return False
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return True
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.screen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def has_more(self):
        return self.master is not None and select.select(
            [self.master], [], [], 0
        )[0]

    def write(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        deadline = time.monotonic() + PATIENCE
        while (at := self.screen.find(text, self.seen)) < 0:
            if time.monotonic() > deadline or not self.read(0.1):
                raise Failure(f"did not appear: {text}")
        self.seen = at + len(text)

    def until(self, command):
        deadline = time.monotonic() + PATIENCE
        while elsewhere(command) != 0:
            if time.monotonic() > deadline:
                raise Failure(f"did not become true: {command}")
            if not self.read(0.02):
                time.sleep(0.02)

    def times(self, count, text):
        found = self.screen.count(text)
        if found != count:
            raise Failure(f"appeared {found} times, not {count}: {text}")

    def exit(self):
        if self.pid:
            self.write("exit\n")
            self.end()

    def hang_up(self):
        os.close(self.master)
        self.master = None
        self.end()

    def end(self):
        """Waits for the shell to end; its status is as subprocess has it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                # What it wrote last may not have been read yet; when it ends,
                # the terminal is taken from all others.
                while self.has_more() and self.read(0):
                    pass
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                raise Failure("the shell does not end")
            if not self.read(0.02):
                time.sleep(0.02)

    def clean_up(self, session):
        for pid in members(session):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.pid:
            os.waitpid(self.pid, 0)
        if self.master is not None:
            os.close(self.master)


def members(session):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == session:
                yield int(pid)
        except ProcessLookupError:
            pass


def elsewhere(command):
    try:
        return subprocess.call(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"does not end: {command}") from None


def step(terminal, line):
    word, _, rest = line.partition(" ")
    if word == "type":
        terminal.write(rest + "\n")
    elif word == "press":
        for name, char in (("\\e", "\x1b"), ("\\n", "\r"), ("\\s", " ")):
            rest = rest.replace(name, char)
        terminal.write(rest)
    elif word == "key":
        terminal.write(chr(ord(rest) & 31))
    elif word == "expect":
        terminal.expect(rest)
    elif word == "until":
        terminal.until(rest)
    elif word == "do":
        if elsewhere(rest) != 0:
            raise Failure(f"failed: {rest}")
    elif word == "times":
        count, _, text = rest.partition(" ")
        terminal.times(int(count), text)
    elif line == "hang up":
        terminal.hang_up()
    elif word == "ended":
        status = terminal.end()
        if status != int(rest):
            raise Failure(f"ended with {status}")
    else:
        raise Failure("there is no such step")


def main():
    steps = [line.strip() for line in sys.stdin]
    terminal = Terminal(sys.argv[1:])
    session = terminal.pid
    line = "exit"
    try:
        for line in steps:
            if line and not line.startswith("#"):
                step(terminal, line)
        line = "exit"
        terminal.exit()
    except Failure as failure:
        terminal.read(0.1)
        print(f"{line}: {failure}; the screen was:\n{terminal.screen}")
        return 1
    finally:
        terminal.clean_up(session)
    return 0


if __name__ == "__main__":
    sys.exit(main())
