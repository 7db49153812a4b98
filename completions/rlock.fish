# rlock.fish - completion for fish

# Where the command of `run` begins among the words given, which follow "run";
# nothing if it does not. The last word is the one to be completed.
function __rlock_command_at
    set -l value 0
    set -l named 0
    set -l shell 0
    for i in (seq (count $argv))
        set -l last (test $i -eq (count $argv); and echo 1; or echo 0)
        set -l word $argv[$i]
        if test $value -eq 1
            set value 0
            continue
        end
        switch $word
            case --
                test $last$shell = 00; and math $i + 1
                return
            case '--*'
                string match -qr -- '^--name(=|$)' $word; and set named 1
                string match -qr -- '^--command(=|$)' $word; and set shell 1
                string match -qr -- '^--(ttl|wait|token|message|owner|conflict-exit-code|name|command|signal|kill-after|renew|on-lost|min-hold|url|timeout|password-file)$' $word; and set value 1
            case '-*' # '?' is a wildcard in fish 3 only
                # Letters up to one with a value, which may be the rest.
                string match -qr -- '^-[nqvhV]*c' $word; and set shell 1
                string match -qr -- '^-[nqvhV]*[twmEskuc]$' $word; and set value 1
            case '*'
                if test $named$shell = 10
                    echo $i
                    return
                end
                set named 1
        end
    end
end

# The words behind the command of rlock, up to the cursor.
function __rlock_words
    set -l words (commandline -opc) (commandline -ct)
    test (count $words) -gt 2; and string join \n -- $words[3..]
end

# True where the options of one of these commands may stand.
function __rlock_in
    set -l words (commandline -opc)
    set -q words[2]; and contains -- $words[2] $argv; or return
    test $words[2] = run; or return 0
    set -l at (__rlock_command_at (__rlock_words))
    test -z "$at"
end

# True where a command of rlock is to be named.
function __rlock_needs_command
    test (count (commandline -opc)) -eq 1
end

# True within the command of `run`.
function __rlock_in_command
    set -l words (commandline -opc)
    test "$words[2]" = run; and not __rlock_in run
end

# What may stand within the command of `run`, asked of its own completion.
function __rlock_complete_command
    set -l words (__rlock_words)
    set -l line (string escape -- $words[(__rlock_command_at $words)..-2])
    set -l asked (string join ' ' -- $line (commandline -ct))
    complete -C "$asked"
end

set -l all acquire release extend reacquire status run
set -l signals HUP INT QUIT ABRT ALRM KILL USR1 USR2 TERM

complete -c rlock -f
complete -c rlock -n __rlock_needs_command -a acquire -d 'take a lock and print its token'
complete -c rlock -n __rlock_needs_command -a release -d 'free a lock, or break somebody else\'s'
complete -c rlock -n __rlock_needs_command -a extend -d 'add to, or set, the time a lock has left'
complete -c rlock -n __rlock_needs_command -a reacquire -d 'set the time a lock has left back to its TTL'
complete -c rlock -n __rlock_needs_command -a status -d 'show who holds a lock, since when and why'
complete -c rlock -n __rlock_needs_command -a run -d 'hold a lock around a command and renew it'
complete -c rlock -n __rlock_needs_command -s h -l help -d 'show the commands'
complete -c rlock -n __rlock_needs_command -s V -l version -d 'show the version'

complete -c rlock -n '__rlock_in acquire reacquire run' -s t -l ttl -x -a none -d 'time to live without renewal'
complete -c rlock -n '__rlock_in acquire run' -s n -l nonblock -d 'one attempt, do not wait'
complete -c rlock -n '__rlock_in acquire run' -s w -l wait -x -a forever -d 'wait so long at the most'
complete -c rlock -n '__rlock_in acquire' -s f -l token-file -rF -d 'write the token to a file'
complete -c rlock -n '__rlock_in release extend reacquire status' -s f -l token-file -rF -d 'read the token from a file'
complete -c rlock -n "__rlock_in $all" -l token -x -d 'the token itself (visible in ps)'
complete -c rlock -n '__rlock_in acquire' -l export -d 'print export commands for eval in sh'
complete -c rlock -n '__rlock_in acquire run' -s m -l message -x -d why
complete -c rlock -n '__rlock_in acquire run' -l owner -x -d who
complete -c rlock -n '__rlock_in acquire run' -s E -l conflict-exit-code -x -d 'exit with this when held'
complete -c rlock -n '__rlock_in extend' -l by -x -d 'add to the remaining time'
complete -c rlock -n '__rlock_in extend' -l to -x -d 'set the remaining time'
complete -c rlock -n '__rlock_in reacquire' -l retake -d 'take the lock again if it was lost and is free'
complete -c rlock -n '__rlock_in release' -l force -d 'break somebody else\'s lock'
complete -c rlock -n '__rlock_in release' -l holder -x -d 'with --force: only if this token holds it'
complete -c rlock -n '__rlock_in release' -l yes -d 'with --force: do not ask'
complete -c rlock -n '__rlock_in status' -l match -x -d 'only locks whose name matches'
complete -c rlock -n '__rlock_in run' -l name -x -d 'the name of the lock'
complete -c rlock -n '__rlock_in run' -s c -l command -x -d 'run it with a shell'
complete -c rlock -n '__rlock_in run' -s s -l signal -x -a "$signals" -d 'stop the command with it when lost'
complete -c rlock -n '__rlock_in run' -s k -l kill-after -x -d 'and with KILL so much later'
complete -c rlock -n '__rlock_in run' -l renew -x -d 'time between renewals'
complete -c rlock -n '__rlock_in run' -l on-lost -x -a 'stop continue' -d 'when the lock is lost'
complete -c rlock -n '__rlock_in run' -l min-hold -x -d 'keep the lock so long even if the command is quick'
complete -c rlock -n "__rlock_in $all" -s u -l url -x -d 'the server'
complete -c rlock -n "__rlock_in $all" -l timeout -x -d 'of each connect and each answer'
complete -c rlock -n "__rlock_in $all" -l password-file -rF -d 'the password is its first line'
complete -c rlock -n "__rlock_in $all" -s q -l quiet -d 'no progress, no notices, no word when held'
complete -c rlock -n "__rlock_in $all" -s v -l verbose -d 'say on stderr what happens'
complete -c rlock -n "__rlock_in $all" -l json -d 'answer in JSON'
complete -c rlock -n "__rlock_in $all" -s h -l help -d 'show the options'
complete -c rlock -n "__rlock_in $all" -s V -l version -d 'show the version'

complete -c rlock -n __rlock_in_command -a '(__rlock_complete_command)'
