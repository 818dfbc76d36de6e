"""End a worker when its driver dies, however that happens: the driver holds the other end of standard input, and the
kernel closes it even after kill -9."""

import os
import signal
import threading

ABANDONED = 75


def hold():
    """Make the process exit with status 75 when standard input ends, and replace standard input by /dev/null so that no
    job reads from the lifeline.

    The process becomes a process group leader, and a guard process kills that group at the same moment. Otherwise
    processes started by a job would survive, and so would a job whose C code never releases the interpreter lock.
    """
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # Fork now, before there are threads or a framework that a fork could break.
    if os.fork() == 0:
        try:
            _wait(line)
            os.killpg(0, signal.SIGKILL)
        finally:
            os._exit(ABANDONED)
    threading.Thread(target=_exit_after, args=(line,), daemon=True).start()


def _exit_after(line):
    _wait(line)
    # Not sys.exit, which ends only this thread: a job in the main thread may never return.
    os._exit(ABANDONED)


def _wait(line):
    while os.read(line, 4096):
        pass
