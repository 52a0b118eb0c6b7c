# Runs one PostgreSQL server, and stops it when nobody holds its leash any more.
#
#   stdin    the read end of the leash, a FIFO whose write ends are held by the server's owners; they need not
#            close it in an orderly way, since the kernel does when a process ends, whatever ended it
#   stdout   a locked file: the lock lasts as long as this shell or any server process does
#   $1       run directory, removed at the end
#   $2       whole seconds for which the server outlives its last owner, so that another one may join
#   $3       signals that stop the server, each given a time to work before the next
#   $4       that time, in whole seconds
#   $5 ...   the server's command line
#
# The server is this shell's child, so its process id can't come to mean anybody else.

trap '' HUP INT TERM
run=$1 linger_s=$2 signals=$3 patience_s=$4
shift 4
exec 3<&0 </dev/null

"$@" 3<&- &
server=$!

(
    # A joining owner writes a byte, so what `cat` has read tells whether anybody was there meanwhile.
    idle_s=0
    while :; do
        if [ -n "$(cat <&3)" ]; then idle_s=0; fi
        if [ "$idle_s" -ge "$linger_s" ]; then break; fi
        idle_s=$((idle_s + 1))
        sleep 1
    done
    # Whoever opened the leash before it lost its name is waited for; whoever comes later finds no leash to open.
    mv "$run/leash" "$run/leash.closed"
    cat <&3

    for signal in $signals; do
        kill -s "$signal" "$server" || exit
        tenths=0
        while [ "$tenths" -lt "${patience_s}0" ]; do
            sleep 0.1 || sleep 1
            kill -0 "$server" || exit
            tenths=$((tenths + 1))
        done
    done
) >/dev/null 2>&1 &
guard=$!
exec 3<&-

wait "$server"
status=$?
kill -KILL "$guard" 2>/dev/null
rm -rf "$run"
exit "$status"
