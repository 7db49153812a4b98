"""redis_py.py - redis-py's Lock, doing what rlock is measured at

    redis_py.py acquire SOCKET NAME           take it, print the token
    redis_py.py run SOCKET NAME COMMAND...    hold it around a command
    redis_py.py wait SOCKET NAME SLEEP        for each byte on stdin: wait for
                                              it, write a byte
    redis_py.py drain SOCKET NAME SLEEP N     N processes: each says that it
                                              waits, and when it has it
"""

import os
import sys

import redis

mode, path, name, *rest = sys.argv[1:]


def lock(**options):
    client = redis.Redis(unix_socket_path=path)
    return client.lock(name, timeout=600, **options)


if mode == "acquire":
    mine = lock()
    if not mine.acquire(blocking=False):
        sys.exit(75)
    print(mine.local.token.decode())
elif mode == "run":
    with lock():
        sys.exit(os.spawnvp(os.P_WAIT, rest[0], rest))
elif mode == "wait":
    mine = lock(sleep=float(rest[0]))
    while os.read(0, 1):
        mine.acquire()
        os.write(1, b".")
elif mode == "drain":
    # Forked, so that a hundred of them start within a second.
    for number in range(int(rest[1])):
        if os.fork() == 0:
            mine = lock(sleep=float(rest[0]))
            os.write(1, b"waits %d\n" % number)
            mine.acquire()
            os.write(1, b"holds %d\n" % number)
            mine.release()
            os._exit(0)
    for _ in range(int(rest[1])):
        os.wait()
