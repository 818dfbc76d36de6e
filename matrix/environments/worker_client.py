"""The caller's side of converter/worker.py: the variables that a worker sees, and one job handed over and read back.

The packages to take away carry this file along: Python 3.6 syntax, and nothing but the standard library.
"""

# ruff: noqa: PTH103, PTH110, PTH118, PTH123
import contextlib
import json
import os
import signal
import subprocess
import typing

# Set for every worker, whichever engine starts it: repeatable runs that leave the machine's GPUs alone.
WORKER = {
    "PYTHONNOUSERSITE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONIOENCODING": "utf-8",
    "CUDA_VISIBLE_DEVICES": "-1",
}

# How many threads a framework starts: OpenMP (torch), its linear algebra, and TensorFlow within and between operators.
_THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)

# What a worker outside of a container sees of its caller's variables. PYTHONDONTWRITEBYTECODE is left out on purpose:
# without .pyc files, importing TensorFlow takes three times as long.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ")


def worker_variables(**own: str) -> "dict[str, str]":
    """Return the environment variables to start a worker with: those passed on, then `own`."""
    return {**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, **own}


def thread_variables(threads: int) -> "dict[str, str]":
    """Return the environment variables that give each framework so many threads."""
    return dict.fromkeys(_THREADS, str(threads))


class WorkerJob:
    """One job in a worker of its own, below a folder `root` that is new: its inputs go into `given`, its results appear
    in `made`, and `scratch` is for temporary files."""

    def __init__(self, root: str) -> None:
        """Make the folders. Raises OSError."""
        self._inbox, self._outbox, self.scratch = (os.path.join(root, name) for name in ("inbox", "outbox", "tmp"))
        self.given, self.made = os.path.join(self._inbox, "job"), os.path.join(self._outbox, "job")
        for folder in (self.given, self._outbox, self.scratch):
            os.makedirs(folder)

    def run(
        self,
        command: "list[str]",
        params: "dict[str, typing.Any]",
        variables: "dict[str, str]",
        log: "typing.IO[bytes]",
    ) -> int:
        """Start `command`, PYTHON worker.py MODULE, and return its exit status once it ended, negative for a signal;
        what is printed outside of the pass goes into `log`. Raises OSError where it cannot be started."""
        with open(self.given + ".json", "w") as file:
            json.dump({"schema": 1, "job": "job", "folder": "job", "params": params}, file)
        open(os.path.join(self._inbox, "stop"), "w").close()
        process = subprocess.Popen(
            [*command, "--inbox", self._inbox, "--outbox", self._outbox, "--lifeline"],
            env=variables,
            cwd=self.scratch,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return process.wait()
        finally:
            # Processes that it started may live on.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            typing.cast("typing.IO[bytes]", process.stdin).close()

    def report(self, name: str) -> "dict[str, typing.Any] | None":
        """Return what the pass `name` reported, None where it left no whole report."""
        try:
            with open(os.path.join(self.made, name + ".json"), encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("schema") == 1 else None

    def released(self, name: str) -> bool:
        """Whether the pass `name` came to its very end."""
        return os.path.exists(os.path.join(self.made, name + ".released"))
