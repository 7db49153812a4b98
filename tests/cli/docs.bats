# docs.bats - the help, the manual, README and the completions agree, and what
# the manual shows works

load ../lib/common

setup_file() {
  export TOP=$BATS_TEST_DIRNAME/../..
  export ZSH_DUMP=$BATS_FILE_TMPDIR/zcompdump
  start_server
  # What zsh finds out about its functions takes long, so that is done once.
  zsh -f -c 'fpath=($TOP/completions $fpath)
    autoload -Uz compinit && compinit -u -d $ZSH_DUMP'
}

setup() {
  fresh
  PAGE=$TOP/man/rlock.1
  COMMANDS=(acquire release extend reacquire status run)
}

# --- what each of them says -------------------------------------------------

# Two lists of lines are the same: same WHAT EXPECTED FOUND
same() {
  printf '%s\n' "$2" | sort >expected
  printf '%s\n' "$3" | sort >found
  diff -u expected found || {
    echo "differs: $1"
    return 1
  }
}

# At least $1 lines, lest two empty lists agree: at_least NUMBER LINES
at_least() {
  [ "$(printf '%s\n' "$2" | grep -c .)" -ge "$1" ]
}

# "-t, --ttl DUR" for each option of a command, by its help.
help_options() {
  "$RLOCK" "$1" --help |
    sed -nE 's/^  (-.,|   ) (--[a-z-]+( [A-Z]+)?) .*/\1 \2/p' | sed 's/^ *//'
}

# "-t" and "--ttl", each on a line of its own.
help_words() {
  help_options "$1" | grep -oE '(^| )-[A-Za-z-]+' | tr -d ' '
}

help_commands() {
  "$RLOCK" --help | sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p'
}

# A section or subsection of the page: section Sh|Ss TITLE
section() {
  awk -v kind=".$1" -v title="$2" '
    /^\.S[sh] / { name = $0; sub(/^\.S[sh] /, "", name) }
    /^\.S[sh] / && ($1 == kind || $1 == ".Sh") { on = $1 == kind && name == title }
    on' "$PAGE"
}

# The same of a subsection of the page.
page_options() {
  section Ss "$1" |
    sed -nE 's/^\.It Fl /-/p' | sed -E 's/ , Fl /, -/; s/ Ar / /'
}

# The row of each option in the program's table: its name, and the commands
# that take it from the environment, or 0.
table() {
  tr -s '\n\t ' ' ' <"$TOP/src/commands/options.c" |
    grep -oE "\] = \{ \"[a-z-]+\", ('.'|0), (NULL|\"[A-Z]+\"), [A-Z| ]+, [A-Z0| ]+," |
    sed -E 's/^[^"]*"([a-z-]+)".*, ([A-Z0| ]+),$/\1 \2/'
}

# --- what each shell offers -------------------------------------------------

# What bash offers for the last of the words.
bash_offers() {
  bash --norc -c 'source "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _rlock
    printf "%s\n" "${COMPREPLY[@]}"' "$TOP/completions/rlock.bash" "$@"
}

fish_offers() {
  HOME=$BATS_TEST_TMPDIR fish --no-config -c \
    'source $argv[1]; complete -C (string join " " -- $argv[2..])' \
    -- "$TOP/completions/rlock.fish" "$@" | cut -f 1
}

# zsh completes only at a terminal, so it gets one.
zsh_offers() {
  cat >driver.zsh <<'END'
zmodload zsh/zpty
zpty -b z "zsh -f -i"
zpty -w z '
  PS1= RPS1=
  fpath=($TOP/completions $fpath)
  autoload -Uz compinit && compinit -C -d $ZSH_DUMP
  compadd() {
    local -a hits
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
      builtin compadd -A hits "$@"
      print -rl -- $hits >>offers
    fi
    builtin compadd "$@"
  }
  capture() {
    _main_complete
    compstate[insert]= compstate[list]=
    print >asked
  }
  zle -C capture complete-word capture
  bindkey "^I" capture'
zpty -w -n z "$*"$'\t'
for ((i = 0; i < 1000; i++)); do
  zpty -r -t z junk
  [[ -e asked ]] && break
  sleep 0.01
done
zpty -d z
[[ -e asked ]] || { print -u2 "zsh did not complete: $*"; exit 1 }
END
  rm -f offers asked
  HOME=$BATS_TEST_TMPDIR TERM=dumb zsh -f driver.zsh "$@" || return
  [ ! -e offers ] || sed 's/ *$//' offers | grep . | sort -u
}

# Each shell offers exactly the words after WORDS: offer EXPECTED WORD...
all_shells_offer() {
  local expected=$1 shell
  shift
  for shell in bash fish zsh; do
    same "$shell: $*" "$expected" "$("${shell}_offers" "$@")" || return
  done
}

# --- they agree -------------------------------------------------------------

@test "the commands are the same in the help, the manual and the completions" {
  local expected
  expected=$(printf '%s\n' "${COMMANDS[@]}")

  same help "$expected" "$(help_commands)"
  same 'the sections' "$expected" \
    "$(sed -nE 's/^\.Ss ([a-z]+)$/\1/p' "$PAGE")"
  same 'the synopsis' "$expected" \
    "$(section Sh SYNOPSIS | sed -nE 's/^\.Cm //p' | sort -u)"
  all_shells_offer "$expected" rlock ''
}

@test "the manual has each option that a command has, and no other" {
  local command
  for command in "${COMMANDS[@]}"; do
    at_least 10 "$(help_options "$command")"
    same "$command" "$(help_options "$command")" \
      "$(page_options "$command"; page_options 'Common options')"
  done
}

@test "bash completes each option that a command has, and no other" {
  local command
  for command in "${COMMANDS[@]}"; do
    at_least 10 "$(help_words "$command")"
    same "$command" "$(help_words "$command")" \
      "$(bash_offers rlock "$command" -)"
  done
}

@test "zsh completes each option that a command has, and no other" {
  local command
  for command in "${COMMANDS[@]}"; do
    at_least 10 "$(help_words "$command")"
    same "$command" "$(help_words "$command")" \
      "$(zsh_offers rlock "$command" -)"
  done
}

@test "fish completes each option that a command has, and no other" {
  local command
  for command in "${COMMANDS[@]}"; do
    at_least 10 "$(help_words "$command")"
    same "$command" "$(help_words "$command")" \
      "$(fish_offers rlock "$command" -)"
  done
}

@test "the completions know the values of an option that has few" {
  all_shells_offer $'stop\ncontinue' rlock run --on-lost ''
  all_shells_offer none rlock acquire --ttl ''
  all_shells_offer forever rlock run -w ''
  all_shells_offer TERM rlock run k -s TE
}

@test "the completions take files for the token and the password" {
  touch token-of-mine

  all_shells_offer token-of-mine rlock release -f token-of
  all_shells_offer token-of-mine rlock acquire --token-file token-of
  all_shells_offer token-of-mine rlock status --password-file token-of
}

@test "each signal that the completions offer is one that run takes" {
  local signal signals
  signals=$(bash_offers rlock run -s '')
  at_least 5 "$signals"

  for signal in $signals; do
    run -0 "$RLOCK" run -s "$signal" "$K" true
  done
  all_shells_offer "$signals" rlock run --signal ''
}

@test "after the name of the lock, run's completion is that of commands" {
  mkdir bin
  printf '#!/bin/sh\n' >bin/a-command-of-mine
  chmod +x bin/a-command-of-mine
  touch a-file-of-mine
  export PATH=$PWD/bin:$PATH

  all_shells_offer a-command-of-mine rlock run k a-command-of
  all_shells_offer a-command-of-mine rlock run -n -w 5 k -- a-command-of
  all_shells_offer a-command-of-mine rlock run -- a-command-of
  all_shells_offer a-command-of-mine rlock run --name k a-command-of
  all_shells_offer a-file-of-mine rlock run k a-command-of-mine a-file-of
  all_shells_offer '' rlock run a-command-of
  all_shells_offer '' rlock run -c true a-command-of
  all_shells_offer '' rlock run k a-command-of-mine --on-l
}

@test "every option that has a variable has it in the manual" {
  local long derived
  long=$(for c in "${COMMANDS[@]}"; do help_words "$c"; done | sed -n 's/^--//p' | sort -u)
  at_least 25 "$long"
  # Nothing of the table has escaped.
  same 'the table' "$long" "$(table | cut -d ' ' -f 1)"
  derived=$(table | awk '$2 != "0" { print "RLOCK_" toupper($1) }' | tr - _)

  same 'the variables' "$derived"$'\nRLOCK_FENCE\nRLOCK_NAME' \
    "$(section Sh ENVIRONMENT | grep -oE '^\.It Ev RLOCK_[A-Z_]+' | cut -c 8-)"
}

@test "the table of exit statuses is one: in the help, the manual and README" {
  local expected
  expected=$("$RLOCK" --help |
    sed -nE 's/^ +([0-9]+)  ([a-z]([a-z/ ]*[a-z])?)  +.*/\1 \2/p')
  at_least 15 "$expected"

  same manual "$expected" "$(section Sh 'EXIT STATUS' |
    sed -nE 's/^\.It ([0-9]+)(\+N)? Pq (.*)/\1 \3/p')"
  same README "$expected" "$(sed -nE \
    's/^\| ([0-9]+)(\+N)? \| ([a-z/ ]+) \| .*/\1 \3/p' "$TOP/README.md")"
}

# --- it works ---------------------------------------------------------------

@test "the manual is clean" {
  run -0 mandoc -T lint -W warning "$PAGE"

  [ -z "$output" ]
}

# Writes each example of the manual to a file, example1 and so on.
extract_examples() {
  section Sh EXAMPLES | awk '
    /^\.Ed/ { on = 0 }
    on { print >("example" n) }
    /^\.Bd -literal/ { on = 1; n++ }'
  sed -i -e 's/^\\&//' -e "s/\\\\(aq/'/g" example*
}

# The programs that an example starts leave a note that they ran.
make_programs() {
  local program
  mkdir -p home/bin
  grep -ohE '(\./[a-z]+\.sh|\$HOME/bin/[a-z]+)' "$1" | sort >programs
  while read -r program; do
    program=${program/'$HOME'/home}
    printf '#!/bin/sh\necho "$1" >"$0.ran"\n' >"$program"
    chmod +x "$program"
  done <programs
}

programs_ran() {
  local program
  while read -r program; do
    program=${program/'$HOME'/home}
    [ -e "$program.ran" ] || {
      echo "was not run: $program"
      return 1
    }
  done <programs
}

@test "every example in the manual does what it says" {
  local example
  mkdir bin
  ln -s "$RLOCK" bin/rlock
  extract_examples
  at_least 7 "$(ls example*)"
  grep -qE '^([0-9*]+ ){5}rlock run' example1

  for example in example*; do
    cat "$example"
    grep -q '^[^#]*rlock ' "$example"
    # Of a line in a crontab, cron runs what follows the five fields.
    sed -i -E 's/^([0-9*/,-]+ +){5}//' "$example"
    make_programs "$example"
    run -0 --separate-stderr env HOME="$PWD/home" PATH="$PWD/bin:$PATH" \
      SHELL=/bin/sh timeout 10 sh -u "$example"
    [ -z "$stderr" ]
    programs_ran
    # Nothing stays locked, but where the example is about that.
    grep -q min-hold "$example" || run -1 "$RLOCK" status -q
    cli FLUSHALL
  done
}
