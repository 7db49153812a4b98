"""count.py - adds one to the number in a file, again and again, under a lock

usage: count.py LIBRARY NAME FILE STOP

Goes on until the file STOP exists, and prints how often it has counted.
Reading and writing are two steps: without the lock some would be lost.
"""

import importlib
import os
import pathlib
import sys
import time

library, name, number, stop = sys.argv[1:]
client = importlib.import_module(library).from_url(os.environ["RLOCK_URL"])
number = pathlib.Path(number)
counted = 0

while not pathlib.Path(stop).exists():
    with client.lock(name, timeout=60, sleep=0.002):
        number.write_text(f"{int(number.read_text()) + 1}\n")
    counted += 1
    time.sleep(0.002)  # who works all the time leaves nothing to others
print(counted)
