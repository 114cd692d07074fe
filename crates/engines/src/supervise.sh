# Runs an engine until it ends by itself or standard input does, which is when whoever started this
# has closed the pipe or is no more. In the second case the directory goes too. The file `pid` in it
# has the number of the engine's process.
#
# usage: supervise.sh DIRECTORY PROGRAM [ARGUMENT…]
directory=$1
shift
exec 3<&0
sh -c 'echo $$ >"$0/pid"; exec "$@"' "$directory" "$@" </dev/null 3<&- &
engine=$!
{
    cat <&3 >/dev/null
    : >"$directory/abandoned"
    kill -KILL "$engine"
} 2>/dev/null &
watch=$!
wait "$engine"
status=$?
if [ -e "$directory/abandoned" ]; then
    rm -rf "$directory"
else
    kill "$watch"
fi
exit "$status"
