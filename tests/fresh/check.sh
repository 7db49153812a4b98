#!/bin/bash
# check.sh - README's two commands in new Debian roots, with nothing installed
# by hand but git, make and gcc
#
#   check.sh SUITE...        bookworm, trixie (root only; needs debootstrap)
#
# Each root is made in a temporary directory ($TMPDIR), from the mirror that
# debootstrap chooses or $MIRROR names, and is gone afterwards.  What is tested
# is a clone of HEAD.
set -eu
cd "$(dirname "$0")/../.."

[ "$(id -u)" -eq 0 ] || {
  echo 'check-fresh: only root can make a new root' >&2
  exit 1
}
command -v debootstrap >/dev/null || apt-get install -y debootstrap

# Everything below runs in mount and pid namespaces of its own, so that nothing
# mounted or started in the root outlives it.
if [ -z "${FRESH_INSIDE-}" ]; then
  exec env FRESH_INSIDE=1 unshare --mount --pid --fork --kill-child "$0" "$@"
fi

base=$(mktemp -d)
trap 'umount -R -l "$base"/* 2>/dev/null || true
      rm -rf --one-file-system "$base"' EXIT
for suite in "$@"; do
  root=$base/$suite
  echo "== $suite: making the root"
  debootstrap --variant=minbase --include=git,make,gcc,libc6-dev,ca-certificates \
    "$suite" "$root" ${MIRROR+"$MIRROR"} >"$base/log" ||
    { tail "$base/log"; exit 1; }
  mount --bind "$root" "$root" # as the root of a machine is a mount point
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --make-rslave "$root/dev"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  echo '127.0.0.1 localhost' >"$root/etc/hosts" # as every machine has
  # Packages must not start their services here.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  git clone -q . "$root/root/rlock"
  for command in 'make demo' 'make check'; do
    echo "== $suite: $command"
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      HOME=/root TERM=dumb sh -c "cd /root/rlock && $command"
  done
  umount -R -l "$root" # a test may have left somebody there
  echo "== $suite: passed"
done
