"""Functions called each in a forked child of its own, so that a crash, a hang or a memory blow-up costs only itself."""

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

# How a child ended: its exit `code` or the `signal` that ended it, `stopped` "timeout" or "memory" where it was
# stopped from here (else None), its wall-clock `seconds` and the `peak_mb` of its resident set (MiB).
End = namedtuple("End", "code signal stopped seconds peak_mb")

_TICK_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # prctl(2)


def each_alone(tasks, seconds, megabytes, parallel=1):
    """Calls the function of every task (key, function, log), at most `parallel` at once, and yields (key, End) as they
    end. What a function prints goes to the file `log`, what it returns is lost. One that takes longer than `seconds`
    or whose resident set grows beyond `megabytes` (MiB; what it shares with this process is in it) is killed."""
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
            # The pipe of a child is readable when the child is gone.
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
        # Only the child may hold this end: that is what makes its death readable.
        os.close(held)

    def end(self, seconds, megabytes):
        """How it ended, or None while it lives."""
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
    """The whole life of a child. It ends without any of Python's clean-up, which belongs to the parent."""
    code = 1
    try:
        # A worker that is killed must not leave children behind.
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
