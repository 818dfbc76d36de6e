"""A worker must not outlive its driver, however the driver dies: the driver holds the other end of standard input,
and the kernel closes it even after kill -9."""

import os
import signal
import threading

ABANDONED = 75


def hold():
    """From now on the process exits with status 75 when standard input ends. Leaves /dev/null as standard input, so
    that no code of a job reads from the lifeline.

    The process becomes the leader of a process group, and a guard process ends that group at the same moment: what a
    job has started would stay, and so would a job that keeps the interpreter to itself, in C code, and lets no thread
    run.
    """
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # Now, while there is neither a thread nor a framework that a fork could harm.
    if os.fork() == 0:
        try:
            _wait(line)
            os.killpg(0, signal.SIGKILL)
        finally:
            os._exit(ABANDONED)
    threading.Thread(target=_exit_after, args=(line,), daemon=True).start()


def _exit_after(line):
    _wait(line)
    # Not sys.exit: that would only end this thread, and a job in the main thread may never return.
    os._exit(ABANDONED)


def _wait(line):
    while os.read(line, 4096):
        pass
