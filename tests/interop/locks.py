"""locks.py - locks of redis-py or valkey-py, driven from the command line

usage: locks.py LIBRARY[.asyncio] NAME STEP...

The lock is NAME on the server at $RLOCK_URL.  Each step is done in turn, and
prints one line: what Python returned, or the name of the exception.  Where
several libraries are given, with commas, each does the steps on a lock of its
own, which has the library's name behind NAME.

  timeout=S    the lock's timeout from now on; prints nothing, nor does
  own=TOKEN    the lock's token from now on: another's may be adopted
  acquire, try, wait=S    acquire(), without waiting, for so many seconds
  owned, locked, reacquire, release
  extend=S, replace=S     extend(S), extend(S, replace_ttl=True)
  token        the lock's token
  delete       deletes the key, as no lock would
  left         minutes the key has left, rounded; None: for ever
"""

import asyncio
import importlib
import inspect
import os
import sys


async def settled(result):
    """What a method of either kind of lock comes to."""
    return await result if inspect.isawaitable(result) else result


async def left(lock):
    ms = await settled(lock.redis.pttl(lock.name))
    return None if ms < 0 else round(ms / 60000)


def do(lock, step):
    word, _, value = step.partition("=")
    if word == "try":
        return lock.acquire(blocking=False)
    if word == "wait":
        return lock.acquire(blocking_timeout=float(value))
    if word == "extend":
        return lock.extend(float(value))
    if word == "replace":
        return lock.extend(float(value), replace_ttl=True)
    if word == "token":
        return lock.local.token.decode()
    if word == "delete":
        return lock.redis.delete(lock.name)
    if word == "left":
        return left(lock)
    return getattr(lock, word)()


async def drive(library, name, steps):
    base = importlib.import_module(library.partition(".")[0])
    client = importlib.import_module(library).from_url(os.environ["RLOCK_URL"])
    lock = client.lock(os.fsencode(name), sleep=0.02)
    for step in steps:
        if step.startswith("timeout="):
            lock.timeout = float(step[8:])
            continue
        if step.startswith("own="):
            lock.local.token = os.fsencode(step[4:])
            continue
        try:
            print(await settled(do(lock, step)), flush=True)
        except base.exceptions.LockError as error:
            print(type(error).__name__, flush=True)
    # redis-py 5 renamed asyncio's close.
    await settled(getattr(client, "aclose", client.close)())


async def main(libraries, name, *steps):
    libraries = libraries.split(",")
    for library in libraries:
        own = name + library if len(libraries) > 1 else name
        await drive(library, own, steps)


asyncio.run(main(*sys.argv[1:]))
