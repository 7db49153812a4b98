# rlock.bash - completion for bash; needs no library, uses bash-completion's
# _command_offset for the command of `run` if it is there
# shellcheck shell=bash

# The options of one command; those that take a value end in '='.
_rlock_options() {
  local token='-f= --token-file= --token='
  local taking='-t= --ttl= -n --nonblock -w= --wait= --token= -m= --message=
    --owner= -E= --conflict-exit-code='

  case $1 in
  acquire) echo "$taking -f= --token-file= --export" ;;
  release) echo "$token --force --holder= --yes" ;;
  extend) echo "$token --by= --to=" ;;
  reacquire) echo "-t= --ttl= $token --retake" ;;
  status) echo "$token --match=" ;;
  run)
    echo "$taking --name= -c= --command= -s= --signal= -k= --kill-after="
    echo "--renew= --on-lost= --min-hold="
    ;;
  *) return 1 ;;
  esac
  echo '-u= --url= --timeout= --password-file= -q --quiet -v --verbose --json'
  echo '-h --help -V --version'
}

# Fills COMPREPLY: _rlock_reply PREFIX CUR COMPGEN-ARGUMENT...
_rlock_reply() {
  local prefix=$1 cur=$2
  shift 2
  mapfile -t COMPREPLY < <(compgen -P "$prefix" "$@" -- "$cur")
}

# The value of an option: _rlock_value OPTION PREFIX CUR
_rlock_value() {
  local signals='HUP INT QUIT ABRT ALRM KILL USR1 USR2 TERM'

  [[ $3 != SIG* ]] || signals="SIG${signals// / SIG}"
  case $1 in
  -f | --token-file | --password-file)
    compopt -o filenames 2>/dev/null
    _rlock_reply "$2" "$3" -f
    ;;
  --on-lost) _rlock_reply "$2" "$3" -W 'stop continue' ;;
  -s | --signal) _rlock_reply "$2" "$3" -W "$signals" ;;
  -t | --ttl) _rlock_reply "$2" "$3" -W none ;;
  -w | --wait) _rlock_reply "$2" "$3" -W forever ;;
  esac
}

# The command of `run`, which begins at COMP_WORDS[$1].
_rlock_command() {
  local cur=${COMP_WORDS[COMP_CWORD]}

  if declare -F _comp_command_offset >/dev/null; then
    _comp_command_offset "$1"
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  else
    compopt -o filenames 2>/dev/null
    if (($1 == COMP_CWORD)); then
      _rlock_reply '' "$cur" -A command -A file
    else
      _rlock_reply '' "$cur" -A file
    fi
  fi
}

# Prints the option whose value comes next after the words given, or "name",
# "dashes", "command N" (it began at the Nth) for `run`, or nothing.  $1 is the
# command of rlock, $2 its options; the words follow.
_rlock_state() {
  local run=$1 options=" $2 " value='' name='' shell='' word letters n=0
  shift 2
  [[ $run == run ]] || run=''
  for word; do
    n=$((n + 1))
    if [[ $value ]]; then
      value=''
      continue
    fi
    case $word in
    --)
      [[ $run && ! $shell ]] && echo "command $((n + 1))" || echo dashes
      return
      ;;
    --*)
      [[ ${word%%=*} != --command ]] || shell=1
      [[ ${word%%=*} != --name ]] || name=1
      [[ $options != *" $word= "* ]] || value=$word
      ;;
    -?*)
      # Letters up to one with a value, which may be the rest.
      letters=${word#-}
      while [[ $letters ]]; do
        [[ $letters != c* ]] || shell=1
        if [[ $options == *" -${letters:0:1}= "* ]]; then
          [[ ${letters:1} ]] || value=-$letters
          break
        fi
        letters=${letters:1}
      done
      ;;
    *)
      if [[ $run && $name && ! $shell ]]; then
        echo "command $n"
        return
      fi
      name=1
      ;;
    esac
  done
  if [[ $value ]]; then
    echo "$value"
  elif [[ $run && $name && ! $shell ]]; then
    echo name
  fi
}

_rlock() {
  local command=${COMP_WORDS[1]-} cur=${COMP_WORDS[COMP_CWORD]} whole
  local prefix='' options state i glue=''
  local -a words=() starts=()

  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    if [[ $cur == -* ]]; then
      _rlock_reply '' "$cur" -W '-h --help -V --version'
    else
      _rlock_reply '' "$cur" -W 'acquire release extend reacquire status run'
    fi
    return
  fi
  options=$(_rlock_options "$command") || return
  options=${options//[[:space:]]/ }
  # Bash has split words at ':' and '='; put them together again.
  for ((i = 2; i <= COMP_CWORD; i++)); do
    if ((i > 2)) && [[ ${COMP_WORDS[i]} =~ ^[:=]+$ ]]; then
      words[-1]+=${COMP_WORDS[i]}
      glue=1
    elif [[ $glue && ${COMP_WORDS[i]} ]]; then
      words[-1]+=${COMP_WORDS[i]}
      glue=''
    else
      words+=("${COMP_WORDS[i]}")
      starts+=("$i")
      glue=''
    fi
  done
  whole=${words[-1]}
  unset 'words[-1]'
  state=$(_rlock_state "$command" "$options" "${words[@]}")
  [[ $state || $whole != --*=* ]] || state=${whole%%=*}
  [[ $state != name || $whole != --*=* ]] || state=${whole%%=*}
  case $state in
  "command "*)
    i=${state#command }
    _rlock_command "${starts[i - 1]}"
    ;;
  dashes) ;;
  -*)
    [[ $cur != *=?* && $cur != ?*= ]] || prefix=${cur%%=*}=
    cur=${cur#*=}
    _rlock_value "$state" "$prefix" "$cur"
    ;;
  *)
    if [[ $cur == -* ]]; then
      _rlock_reply '' "$cur" -W "${options//= / }"
    elif [[ $state == name ]]; then
      _rlock_command "$COMP_CWORD"
    fi
    ;;
  esac
}

complete -F _rlock rlock
