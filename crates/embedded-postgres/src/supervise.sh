# Runs one PostgreSQL server, and stops it when its last owner has ended.
#
#   stdin    the read end of the lifetime pipe, a FIFO whose write ends the owners hold open; the kernel closes them
#            when an owner ends, however it ends
#   stdout   a locked file: the lock lasts until this shell and every server process has ended
#   $1       run directory, removed at the end
#   $2       seconds for which the server outlives its last owner, so that another owner can join
#   $3       signals that stop the server, in the order in which they are sent
#   $4       seconds to wait after each signal
#   $5 ...   the server's command line
#
# The server is a child of this shell, so that its process id is not reused before this shell ends.

trap '' HUP INT TERM
run=$1 linger_s=$2 signals=$3 signal_timeout_s=$4
shift 4
exec 3<&0 </dev/null

"$@" 3<&- &
server=$!

(
    # A joining owner writes a byte, so that the output of `cat` shows whether an owner has joined.
    idle_s=0
    while :; do
        if [ -n "$(cat <&3)" ]; then idle_s=0; fi
        if [ "$idle_s" -ge "$linger_s" ]; then break; fi
        idle_s=$((idle_s + 1))
        sleep 1
    done
    # After the rename no owner can join. Wait for the owners that opened the pipe before it.
    mv "$run/lifetime_pipe" "$run/lifetime_pipe.closed"
    cat <&3

    for signal in $signals; do
        kill -s "$signal" "$server" || exit
        tenths=0
        while [ "$tenths" -lt "${signal_timeout_s}0" ]; do
            sleep 0.1 || sleep 1
            kill -0 "$server" || exit
            tenths=$((tenths + 1))
        done
    done
) >/dev/null 2>&1 &
stopper=$!
exec 3<&-

wait "$server"
status=$?
kill -KILL "$stopper" 2>/dev/null
rm -rf "$run"
exit "$status"
