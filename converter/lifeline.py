"""A worker must not outlive its driver, however the driver dies: the driver holds the other end of standard input,
and the kernel closes it even after kill -9."""
import os
import threading

ABANDONED = 75


def hold():
    """From now on the process exits with status 75 when standard input ends. Leaves /dev/null as standard input, so
    that no code of a job reads from the lifeline."""
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_wait, args=(line,), daemon=True).start()


def _wait(line):
    while os.read(line, 4096):
        pass
    # Not sys.exit: that would only end this thread, and a job in the main thread may never return.
    os._exit(ABANDONED)
