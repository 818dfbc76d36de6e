"""Redirect everything a job prints to its log, at the level of file descriptors: TensorFlow and the torch exporter also
print from C++."""

import contextlib
import ctypes
import faulthandler
import os
import sys


@contextlib.contextmanager
def captured(path):
    """Append standard output, standard error and the stack of a fatal signal to the file `path`."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    _flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(log)
    try:
        yield
    finally:
        _flush()
        faulthandler.disable()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, log):
            os.close(descriptor)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        # A model may have closed or replaced them.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # Text left in the C library's buffers would end up in the next job's log.
    ctypes.CDLL(None).fflush(None)
