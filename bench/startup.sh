#!/bin/bash
# startup.sh - what a lock costs in wall time, against the least it could cost
#
# Starts a server of its own; compares in alternating runs.  Only the ratios
# mean anything.
set -eu

server=$(command -v redis-server || command -v valkey-server)
client=$(command -v redis-cli || command -v valkey-cli)
rounds=${ROUNDS:-100}
dir=$(mktemp -d)
"$server" --port 0 --unixsocket "$dir/s" --save '' --appendonly no \
  --dir "$dir" >/dev/null &
pid=$!
trap 'kill $pid; wait; rm -rf "$dir"' EXIT
until [ -S "$dir/s" ]; do sleep 0.05; done

echo "start-up, medians of $rounds alternating runs, ratio to the first:"
export RLOCK_URL=unix://$dir/s
"$BUILD/bench/alternate" "$rounds" \
  "$BUILD/bench/bare" acquire "$dir/s" 'a{}' \
  ::: "$RLOCK" acquire -n 'b{}' \
  ::: "$client" -s "$dir/s" SET 'c{}' v NX PX 30000
"$BUILD/bench/alternate" "$rounds" \
  "$BUILD/bench/bare" run "$dir/s" 'd{}' true \
  ::: "$RLOCK" run 'e{}' true
