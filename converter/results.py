"""The result of a job, on disk after every step: a worker that dies leaves behind how far it came.

    {"schema": 1, "job": id, "pass": name,
     "stages": [{"stage": "import", "status": "ok"|"running"|"failed", "seconds": 1.23, "shared": false}, ...],
     "error": null | {"type", "mro", "message", "traceback", "user"},
     "facts": {...}, "versions": {distribution: version}, "files": ["memory.npz", ...],
     "peak_rss_mb": 512.3, "disk_mb": 1234.5, "done": true}

Stages after a failed one are absent. `shared` marks an import that an earlier job of the same worker paid for;
"disk_mb" is what the installed packages take, null where they could not be imported.
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
        """None, or the description of the exception that ended the job."""
        return self._content["error"]

    def attempt(self, stage, step, *arguments):
        """Calls `step` as the named stage and returns its value; where it raises, notes the error and returns None."""
        entry = {"stage": stage, "status": "running", "seconds": None, "shared": False}
        self._content["stages"].append(entry)
        self._write()
        value = None
        started = time.monotonic()
        try:
            value = step(*arguments)
        except BaseException as problem:
            # SystemExit and KeyboardInterrupt too: a model that calls sys.exit() must not end the worker.
            entry["status"] = "failed"
            self._content["error"] = describe(problem, self._job.inbox)
        else:
            entry["status"] = "ok"
        entry["seconds"] = round(time.monotonic() - started, 6)
        self._write()
        return value

    def repeat(self, stage, error):
        """Notes a stage that an earlier job of this worker went through, with the same outcome."""
        self._content["stages"].append(
            {"stage": stage, "status": "failed" if error else "ok", "seconds": 0, "shared": True}
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
    """Whoever reads `path`, now or after a power cut, finds the old bytes or the new ones, never a part."""
    scratch = path + ".tmp"
    with open(scratch, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def mark(path):
    """Writes an empty file whose existence is the message."""
    write_atomically(path, b"")
