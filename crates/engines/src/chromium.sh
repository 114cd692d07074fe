# Runs a browser whose protocol is spoken over this shell's standard streams: the browser reads
# requests from descriptor 3 and writes answers to 4, and ends when the requests do.
#
# usage: chromium.sh DIRECTORY PROGRAM [ARGUMENT…]
directory=$1
shift
"$@" 3<&0 4>&1 </dev/null >"$directory/log" 2>&1
exec >&-
# Whoever started this may want to read the log, and closes the pipe afterwards or is no more.
cat >/dev/null
rm -rf "$directory"
