"""The result of a job, written after every step so that a worker that dies leaves a record of how far it got.

    {"schema": 1, "job": id, "pass": name,
     "stages": [{"stage": "import", "status": "ok"|"running"|"failed", "seconds": 1.23, "cpu_seconds": 1.2,
                 "shared": false}, ...],
     "error": null | {"type", "mro", "message", "traceback", "user"},
     "facts": {...}, "versions": {distribution: version}, "files": ["memory.npz", ...],
     "peak_rss_mb": 512.3, "disk_mb": 1234.5, "done": true}

Stages after a failed one are absent. "cpu_seconds" are those of all threads of the worker, without its children;
"shared" marks an import done by an earlier job of the same worker; "disk_mb" is the size of the installed packages,
null if they could not be imported.
"""

import json
import os
import time

from converter.failure import describe


class Result:
    def __init__(self, path, job_id, name, job):
        self._path = path
        self._job = job
        self._content = {
            "schema": 1,
            "job": job_id,
            "pass": name,
            "stages": [],
            "error": None,
            "facts": job.facts,
            "versions": {},
            "files": [],
            "peak_rss_mb": None,
            "disk_mb": None,
            "done": False,
        }

    @property
    def error(self):
        """The description of the exception that ended the job, or None."""
        return self._content["error"]

    def attempt(self, stage, step, *arguments):
        """Call `step` as the named stage and return its value; if it raises, record the error and return None."""
        entry = {"stage": stage, "status": "running", "seconds": None, "cpu_seconds": None, "shared": False}
        self._content["stages"].append(entry)
        self._write()
        value = None
        started, used = time.monotonic(), time.process_time()
        try:
            value = step(*arguments)
        except BaseException as problem:
            # Including SystemExit and KeyboardInterrupt: a model that calls sys.exit() must not end the worker.
            entry["status"] = "failed"
            self._content["error"] = describe(problem, self._job.inbox)
        else:
            entry["status"] = "ok"
        entry["seconds"] = round(time.monotonic() - started, 6)
        entry["cpu_seconds"] = round(time.process_time() - used, 6)
        self._write()
        return value

    def repeat(self, stage, error):
        """Record a stage that an earlier job of this worker ran, with the same outcome."""
        self._content["stages"].append(
            {"stage": stage, "status": "failed" if error else "ok", "seconds": 0, "cpu_seconds": 0, "shared": True}
        )
        self._content["error"] = error
        self._write()

    def finish(self, versions, peak_rss_mb, disk_mb):
        self._content.update(versions=versions, peak_rss_mb=peak_rss_mb, disk_mb=disk_mb, done=True)
        self._write()

    def _write(self):
        self._content["files"] = self._job.files
        write_atomically(self._path, json.dumps(self._content, indent=1, sort_keys=True).encode("ascii"))


def write_atomically(path, content):
    """Replace the content of `path` so that readers see all old or all new bytes. It is the driver that makes what it
    takes durable."""
    scratch = path + ".tmp"
    with open(scratch, "wb") as file:
        file.write(content)
    os.replace(scratch, path)


def mark(path):
    """Create an empty file whose existence is the signal."""
    write_atomically(path, b"")
