# Runs a browser whose protocol is spoken over this shell's standard streams: the browser reads
# requests from descriptor 3 and writes answers to 4, and ends when the requests do, which is when
# whoever started this has closed the pipe or is no more. One that does not is killed five seconds later.
#
# usage: chromium.sh DIRECTORY PROGRAM [ARGUMENT…]
directory=$1
shift
exec 5<&0
# Requests pass through here, so that their end is seen here too.
mkfifo "$directory/requests"
"$@" 3<"$directory/requests" 4>&1 5<&- </dev/null >"$directory/log" 2>&1 &
browser=$!
{
    cat <&5 >"$directory/requests"
    looks=50
    while [ "$looks" -gt 0 ]; do
        sleep 0.1
        kill -0 "$browser" || exit
        looks=$((looks - 1))
    done
    kill -KILL "$browser"
} >/dev/null 2>&1 &
watch=$!
# Nobody may be there any more to read that the browser was killed.
exec 2>/dev/null
wait "$browser"
kill "$watch"
exec >&-
# Whoever started this may want to read the log, and closes the pipe afterwards or is no more.
cat <&5 >/dev/null
rm -rf "$directory"
