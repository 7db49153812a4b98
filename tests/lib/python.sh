#!/bin/sh
# python.sh - the Python that has redis-py, or else the first there is
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import redis' 2>/dev/null; then
    echo "$python"
    exit 0
  fi
done
echo python3
