#!/bin/sh
# Inside a job's container: run the worker, and afterwards say how many processes the kernel ended for want of memory,
# because not every engine does.
#   job.sh OUTBOX COMMAND…
outbox=$1
shift
# The driver must be able to clear away what this leaves, whichever user it is.
umask 0
"$@"
code=$?
grep -hs '^oom_kill ' /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control >"$outbox/oom"
exit $code
