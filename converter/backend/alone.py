"""Call each function in a separate forked child, so that a crash, a hang or excessive memory use affects no other."""

import contextlib
import ctypes
import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from collections import namedtuple

# How a child ended: its exit `code` or the `signal` that ended it, `stopped` "timeout" or "memory" if the parent killed
# it (else None), its wall-clock `seconds` and the `peak_mb` of its resident set (MiB).
End = namedtuple("End", "code signal stopped seconds peak_mb")

_TICK_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # prctl(2)


def each_alone(tasks, seconds, megabytes, parallel=1):
    """Call the function of each task (key, function, log), `parallel` at once, and yield (key, End) as they end.

    Output goes to the file `log`; return values are lost. A child that takes longer than `seconds`, or whose resident
    set exceeds `megabytes` (MiB, including memory shared with this process), is killed.
    """
    tasks = iter(tasks)
    running: list = []
    try:
        while True:
            while len(running) < parallel:
                task = next(tasks, None)
                if task is None:
                    break
                running.append(_Child(*task))
            if not running:
                return
            for child in list(running):
                end = child.end(seconds, megabytes)
                if end:
                    running.remove(child)
                    yield child.key, end
            # A child's pipe becomes readable when the child ends.
            select.select([child.pipe for child in running], [], [], _TICK_SECONDS if running else 0)
    finally:
        for child in running:
            child.kill()


class _Child:
    def __init__(self, key, function, log):
        self.key = key
        self._stopped = None
        self._started = time.monotonic()
        parent = os.getpid()
        self.pipe, held = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _live(function, log, parent)
        # Only the child may hold this end, or its death would not close the pipe.
        os.close(held)

    def end(self, seconds, megabytes):
        """Return how the child ended, or None while it runs."""
        pid, status, usage = os.wait4(self._pid, os.WNOHANG)
        if not pid:
            if time.monotonic() - self._started > seconds:
                self._stopped = "timeout"
            elif _resident_mb(self._pid) > megabytes:
                self._stopped = "memory"
            else:
                return None
            os.kill(self._pid, signal.SIGKILL)
            _, status, usage = os.wait4(self._pid, 0)
        os.close(self.pipe)
        signalled = os.WIFSIGNALED(status)
        return End(
            None if signalled else os.WEXITSTATUS(status),
            os.WTERMSIG(status) if signalled else None,
            self._stopped,
            round(time.monotonic() - self._started, 3),
            round(usage.ru_maxrss / 1024.0, 1),
        )

    def kill(self):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self.pipe)


def _live(function, log, parent):
    """Run the function in the child and exit without Python's clean-up, which belongs to the parent."""
    code = 1
    try:
        # Children must not survive a worker that is killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(code)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        faulthandler.enable(2)
        function()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _resident_mb(pid):
    with contextlib.suppress(OSError), open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2.0**20
    return 0
