#!/bin/sh
# Inside a job's container: run the worker, and afterwards say on standard error what the kernel counted for want of
# memory, because not every engine tells. Nothing but the shell itself is needed for that: there may be no process to spare.
#   job.sh PYTHON WORKER ARGUMENT…
# Exit status 75 is the worker's own for "this says nothing about the job".
[ -x "$1" ] && [ -r "$2" ] || exit 75
# The driver must be able to clear away what this leaves, whichever user it is.
umask 0
"$@"
code=$?
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    if [ -r "$file" ]; then
        while read -r name count; do
            case $name in
            oom | oom_kill) echo "matrix-job: $name $count" >&2 ;;
            esac
        done <"$file"
    fi
done
exit $code
