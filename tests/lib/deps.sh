#!/bin/sh
# deps.sh - install what is missing for `make demo`, `make check`, `make lint`
#
#   deps.sh build|demo|check|lint
#
# Installs the packages if the user may (root, or sudo without a password);
# otherwise names them exactly, and fails.
set -u

case ${1-} in
build) wanted=build ;;
demo) wanted='build server' ;;
check) wanted='build server check' ;;
lint) wanted='build lint' ;;
*)
  echo "usage: deps.sh build|demo|check|lint" >&2
  exit 2
  ;;
esac

# A '?' after a package: taken if it is offered (older systems have no Valkey).
#
# group    what is needed         apt               dnf               apk             pacman        brew
table='
build      has_compiler           gcc,libc6-dev     gcc,glibc-devel   build-base      gcc           -
build      has_hiredis            libhiredis-dev    hiredis-devel     hiredis-dev     hiredis       hiredis
server     has_server             redis-server      valkey            redis           valkey        redis
server     has_client             redis-tools       valkey            redis           valkey        redis
check      valkey-server          valkey-server?    valkey            valkey        valkey        valkey
check      bash                   bash              bash              bash            bash          bash
check      bats                   bats              bats              bats            bats          bats-core
check      has_redis_py           python3-redis     python3-redis     py3-redis       python-redis  -
check      busybox                busybox           busybox           busybox         busybox       -
check      dash                   dash              dash              dash            dash          dash
check      less                   less              less              less            less          less
check      strace                 strace            strace            strace          strace        -
check      unshare                util-linux        util-linux        util-linux      util-linux    -
check      mandoc                 mandoc            mandoc            mandoc          mandoc        mandoc
check      zsh                    zsh               zsh               zsh             zsh           zsh
check      fish                   fish              fish              fish            fish          fish
lint       mandoc                 mandoc            mandoc            mandoc          mandoc        mandoc
lint       shellcheck             shellcheck        ShellCheck        shellcheck      shellcheck    shellcheck
lint       clang-format           clang-format      clang-tools-extra clang-extra-tools clang       clang-format
'

has_compiler() {
  echo 'int main(void) { return 0; }' |
    ${CC:-cc} -x c -o /dev/null - 2>/dev/null
}
has_hiredis() {
  echo '#include <hiredis/hiredis.h>' |
    ${CC:-cc} -E -x c - >/dev/null 2>&1
}
has_server() { has redis-server || has valkey-server; }
has_client() { has redis-cli || has valkey-cli; }
has_redis_py() { "$(dirname "$0")/python.sh" | grep -q . && redis_py; }
redis_py() {
  "$("$(dirname "$0")/python.sh")" -c 'import redis' 2>/dev/null
}
is_offered() {
  has apt-cache && [ -n "$(apt-cache show "$1" 2>/dev/null)" ]
}
has() { command -v "$1" >/dev/null 2>&1; }

# Prints the packages that are missing, from column $1 of the table.
missing() {
  column=$1
  echo "$table" | while read -r group need packages; do
    case " $wanted " in *" $group "*) ;; *) continue ;; esac
    [ -n "$group" ] || continue
    case $need in
    has_*) "$need" && continue ;;
    *) has "$need" && continue ;;
    esac
    # shellcheck disable=SC2086 # the columns are words
    set -- $packages
    shift $((column - 1))
    case $1 in
    -) ;;
    *\?) is_offered "${1%\?}" && echo "${1%\?}" ;;
    *) echo "$1" | tr , '\n' ;;
    esac
  done | sort -u | tr '\n' ' '
}

manager=
for m in apt-get dnf apk pacman brew; do
  if has "$m"; then
    manager=$m
    break
  fi
done

case $manager in
apt-get) mine=1 install='apt-get install -y --no-install-recommends' ;;
dnf) mine=2 install='dnf install -y' ;;
apk) mine=3 install='apk add' ;;
pacman) mine=4 install='pacman -S --noconfirm --needed' ;;
brew) mine=5 install='brew install' ;;
*) mine=1 install= ;;
esac

packages=$(missing "$mine")
[ -n "$packages" ] || exit 0

as_root=
if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    install=
  fi
fi
if [ -z "$install" ]; then
  echo "rlock: these packages are missing, and only root may install them:" >&2
  for m in apt:1 dnf:2 apk:3 pacman:4 brew:5; do
    echo "  ${m%:*}: $(missing "${m#*:}")" >&2
  done
  exit 1
fi

if [ "$manager" = apt-get ]; then
  $as_root apt-get update -q || exit 1
  as_root="$as_root env DEBIAN_FRONTEND=noninteractive"
  packages=$(missing "$mine") # now that it is known what is offered
fi
echo "installing: $packages"
# shellcheck disable=SC2086 # words
$as_root $install $packages || exit 1
still=$(missing "$mine")
if [ -n "$still" ]; then
  echo "rlock: still missing after the installation: $still" >&2
  exit 1
fi
