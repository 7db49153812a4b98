#!/bin/bash
# demo.sh - the main job, on a server of its own that is gone afterwards
set -u

server=$(command -v redis-server || command -v valkey-server) || exit 1
dir=$(mktemp -d)
"$server" --port 0 --unixsocket "$dir/redis.sock" --save '' --appendonly no \
  --dir "$dir" --logfile redis.log >/dev/null &
pid=$!
trap 'kill $pid; wait $pid; rm -rf "$dir"' EXIT
for _ in {1..200}; do
  [ -S "$dir/redis.sock" ] && break
  sleep 0.05
done
export RLOCK_URL=unix://$dir/redis.sock
PATH=$(dirname "$RLOCK"):$PATH
cd "$dir" || exit 1

bold() {
  if [ -t 1 ]; then printf '\n\033[1m%s\033[m\n' "$*"; else printf '\n%s\n' "$*"; fi
}
show() {
  echo "\$ $*"
  "$@"
}

bold "A private ${server##*/} is up. Three hosts want to deploy at once."
cat >deploy.sh <<'END'
#!/bin/sh
echo "    $1 begins   (fence $RLOCK_FENCE)"
sleep 0.4
echo "    $1 is done"
END
chmod +x deploy.sh
pids=
for host in web1 web2 web3; do
  rlock run -q --owner "deploy@$host" -m "release 1.2" deploy ./deploy.sh "$host" &
  pids="$pids $!"
done
sleep 0.2
bold "Who has it, since when, and why?"
show rlock status
# shellcheck disable=SC2086 # pids
wait $pids

bold "A cron job on two hosts: one runs, the other finds it held (75)."
rlock run -n --owner cron@a --min-hold 5s backup sh -c 'echo "    cron@a runs the backup"' &
wait $!
show rlock run -n --owner cron@b backup sh -c 'echo "    cron@b runs it too"'
echo "    exit status $?"

bold "Steps of a deployment, each a script of its own, hand one token on."
show rlock acquire -t 30s -m 'deploy 1.3' -f token deploy
show rlock extend --by 30s -f token deploy
rlock run -q -w 5s --owner deploy@web2 deploy echo "    web2 goes on when we are done" &
waiter=$!
show rlock release -f token deploy
wait $waiter

bold "A lock that somebody left behind is broken by hand."
show rlock acquire --owner bob@laptop -m lunch -f forgotten deploy
show rlock status deploy
show rlock release --force --yes deploy
show rlock release -f forgotten deploy
echo "    exit status $?"

bold "A lost lock stops the command, and says so (79)."
rlock run --ttl 600ms deploy sleep 60 &
runner=$!
sleep 0.2
"$(command -v redis-cli || command -v valkey-cli)" -s redis.sock DEL deploy >/dev/null
wait $runner
echo "    exit status $?"
