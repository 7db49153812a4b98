#!/bin/bash
# rooms.sh - the rules of the house, as far as grep can keep them
# shellcheck disable=SC2046 # names of files are words here
#
# Prints each line that breaks one, and fails if there was any.
set -u
shopt -s lastpipe # what stands behind a pipe may set broken
cd "$(dirname "$0")/../../src" || exit 2
broken=0

# rule "what must not be" FILES... < the lines that break it
rule() {
  local lines
  lines=$(cat)
  [ -n "$lines" ] || return 0
  printf '%s:\n%s\n' "$1" "${lines//$'\n'/$'\n'  }"
  broken=1
}

# uses PATTERN FILE...: the lines of code, not of comments, that match
uses() {
  local pattern=$1
  shift
  grep -nE "$pattern" "$@" /dev/null | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*)'
}

all() { find . -name '*.[ch]' | sed 's,^\./,,' | sort; }
but() { all | grep -vxE "$1"; }

# Includes run downwards only; the two wings do not know each other.
uses '#include "(server|lock|process|commands)/' base/*.[ch] |
  rule 'base/ knows nobody'
uses '#include "(lock|process|commands)/' server/*.[ch] |
  rule 'server/ knows base/ alone'
uses '#include "(process|commands)/' lock/*.[ch] |
  rule 'lock/ knows no command and no process'
uses '#include "(server|lock|commands)/' process/*.[ch] |
  rule 'process/ knows no lock and no server'
uses '#include "server/(conn|net)' commands/*.[ch] |
  rule 'a command never talks to conn'
uses '#include "commands/options' $(but '(commands/.*|main\.c)') |
  rule 'nothing below commands/ knows the options'

# What only one file may use.
uses 'hiredis' $(but 'server/conn\.c') | rule 'only conn.c speaks hiredis'
uses '\b(socket|connect|send|recv|getaddrinfo)\(' $(but 'server/net\.c') |
  rule 'only net.c touches sockets'
uses '\bopenssl/' $(but 'server/net_tls\.c') |
  rule 'only net_tls.c includes OpenSSL'
uses '\bpthread_' $(but 'lock/keeper\.c') | rule 'only keeper.c has a thread'
uses '\b(v?fork|waitpid|waitid|exec[lv]p?e?|posix_spawnp?)\(' \
  $(but 'process/(child|warden.*)\.c') |
  rule 'only child.c and warden*.c fork, wait or execute'
uses '\b(sigaction|signal|sigprocmask|signalfd)\(' \
  $(but 'process/signals\.c') | rule 'only signals.c handles signals'
uses '\b(printf|puts|putchar|perror|exit|v?dprintf)\(|\b(stdout|stderr)\b|STD(OUT|ERR)_FILENO' \
  $(but '(main\.c|commands/.*)') |
  rule 'only main.c and commands/ write and exit'
uses '\b_exit\(' $(but 'process/(child|warden.*)\.c') |
  rule '_exit is for the child after fork'

# The hand.
uses '//' $(all) | grep -vE '"[^"]*//|\* .*//' | rule 'comments are /* */'
uses '\b(atol|sprintf|gets|strtok|system|popen|alloca|rand)\(' $(all) |
  rule 'a function that has a better one'
uses '\b(TODO|FIXME|XXX)\b' $(all) | rule 'nothing is left for later'
uses '^typedef' $(but '(base/clock\.h|server/conn\.c)') |
  rule 'no typedef but unit types'
for file in $(all); do
  first=$(head -n 1 "$file")
  [[ $first == "/* $(basename "$file") - "* ]] || echo "$file: $first"
  [[ $file != *.c || $file == main.c || ! -e ${file%.c}.h ]] ||
    [ "$(grep -m 1 '#include' "$file")" = "#include \"${file%.c}.h\"" ] ||
    echo "$file: its own header comes first"
done | rule 'a file says what it is, and includes its header first'

# A function fits a screen.
for file in $(all | grep 'c$'); do
  awk -v file="$file" '
    /^{/ { begin = NR }
    /^}/ && begin {
      if (NR - begin > 80) print file ":" begin ": " NR - begin " lines"
      begin = 0
    }
  ' "$file"
done | rule 'no function is longer than 80 lines'

exit $broken
