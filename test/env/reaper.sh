# Ends the servers of one stack when their owner has ended in any way. The owner writes the process groups to standard input,
# one a line; when that closes (the owner stopped the stack, or died, even by SIGKILL), every group is ended and the directory
# in $1 removed, unless the owner said `keep`.
trap '' INT TERM HUP
groups= directory=$1
while read -r line; do
  case $line in
    keep) directory= ;;
    *) groups="$groups -$line" ;;
  esac
done
if [ -n "$groups" ]; then
  # QUIT is PostgreSQL's immediate shutdown, which frees its shared memory; the others end by it at once too.
  kill -QUIT $groups 2>/dev/null
  tries=0
  while kill -0 $groups 2>/dev/null && [ $tries -lt 40 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
  kill -KILL $groups 2>/dev/null
fi
[ -z "$directory" ] || rm -rf "$directory"
