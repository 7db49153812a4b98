#!/bin/sh
# python.sh - the Python that has redis-py, or else the one that will have it:
# packages are installed for the system's own
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import redis' 2>/dev/null; then
    echo "$python"
    exit 0
  fi
done
if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else echo python3; fi
