"""The worker as its driver sees it: a real process and folders. A stage module, which a test writes into its own copy
of converter/, stands in for the environment's packages; this also shows that converter/ needs nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

CONVERTER = Path(__file__).parents[3] / "converter"

STAGES = """
import ctypes, os, sys, time
from types import SimpleNamespace

def framework():
    print("framework imported")
    return SimpleNamespace(name="fake")

def load(job, packages, nothing):
    job.facts["packages"] = packages.name
    return job.params.get("value", 1)

def run(job, packages, value):
    exec(job.params.get("code", ""), {"job": job, "os": os, "sys": sys, "ctypes": ctypes, "time": time})
    job.facts["doubled"] = 2 * value

STAGES = (load, run)
"""


@pytest.fixture
def lab(tmp_path):
    """A copy of converter/ with the pass `fake`, an inbox and an outbox; ends whatever the test started."""
    root = tmp_path / "project"
    shutil.copytree(CONVERTER, root / "converter", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "converter/stages/fake.py").write_text(STAGES)
    inbox, outbox = tmp_path / "inbox", tmp_path / "outbox"
    inbox.mkdir()
    outbox.mkdir()
    started = []

    def submit(name, **params):
        spec = {"schema": 1, "job": f"id of {name}", "folder": name, "params": params}
        hidden = inbox / f"{name}.hidden"
        hidden.write_text(json.dumps(spec))
        hidden.rename(inbox / f"{name}.json")

    def start(*options, module="converter.stages.fake", stdin=subprocess.DEVNULL, leader=False):
        script = root / "converter/worker.py"
        command = [sys.executable, script, module, "--inbox", inbox, "--outbox", outbox, *options]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=leader,
        )
        started.append(process)
        return process

    def finish():
        """Let a worker do all submitted jobs; return its exit status and its output outside of jobs."""
        (inbox / "stop").touch()
        process = start()
        output, _ = process.communicate(timeout=30)
        return process.returncode, output

    def result(name):
        return json.loads((outbox / name / "fake.json").read_text())

    yield SimpleNamespace(
        root=root, inbox=inbox, outbox=outbox, submit=submit, start=start, finish=finish, result=result
    )
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def stages(result):
    return [(entry["stage"], entry["status"]) for entry in result["stages"]]


def test_a_job_goes_through_every_stage_and_is_released(lab):
    lab.submit("one", value=21)
    assert lab.finish() == (0, "")
    result = lab.result("one")
    assert stages(result) == [("import", "ok"), ("load", "ok"), ("run", "ok")]
    assert (result["schema"], result["job"], result["pass"]) == (1, "id of one", "fake")
    assert result["done"] is True
    assert result["error"] is None
    assert result["facts"] == {"packages": "fake", "doubled": 42}
    assert result["peak_rss_mb"] > 1
    assert result["versions"]["pytest"] == pytest.__version__
    assert (lab.outbox / "one/fake.released").read_bytes() == b""


def test_the_framework_is_imported_once_and_shared(lab):
    lab.submit("one")
    lab.submit("two")
    assert lab.finish() == (0, "")
    first, second = (lab.result(name)["stages"][0] for name in ("one", "two"))
    assert first["shared"] is False
    assert first["seconds"] > 0
    assert second == {"stage": "import", "status": "ok", "seconds": 0, "cpu_seconds": 0, "shared": True}
    assert "framework imported" in (lab.outbox / "one/fake.log").read_text()
    assert "framework imported" not in (lab.outbox / "two/fake.log").read_text()


def test_jobs_are_taken_in_the_order_of_their_names_while_the_worker_runs(lab):
    process = lab.start()
    for name in ("0002-b", "0001-a"):
        lab.submit(name)
        wait_for((lab.outbox / name / "fake.released").exists)
    lab.submit("0003-c")
    (lab.inbox / "stop").touch()
    assert process.wait(timeout=20) == 0
    assert lab.result("0003-c")["done"]


def test_a_read_only_inbox_is_enough(lab):
    lab.submit("one")
    lab.submit("two")
    (lab.inbox / "stop").touch()
    lab.inbox.chmod(0o555)
    before = sorted(path.name for path in lab.inbox.iterdir())
    assert lab.finish() == (0, "")
    assert lab.result("two")["done"]
    assert sorted(path.name for path in lab.inbox.iterdir()) == before
    lab.inbox.chmod(0o755)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("raise ValueError('no such thing')", "builtins.ValueError", "no such thing"),
        ("sys.exit(3)", "builtins.SystemExit", "3"),
        ("raise KeyboardInterrupt", "builtins.KeyboardInterrupt", ""),
        ("raise MemoryError('a lot')", "builtins.MemoryError", "a lot"),
    ],
)
def test_whatever_a_stage_raises_is_its_error_and_the_next_job_runs(lab, code, kind, message):
    lab.submit("bad", code=code)
    lab.submit("good")
    assert lab.finish() == (0, "")
    bad = lab.result("bad")
    assert stages(bad) == [("import", "ok"), ("load", "ok"), ("run", "failed")]
    assert bad["error"]["type"] == kind
    assert bad["error"]["message"] == message
    assert bad["error"]["mro"][-1] == "builtins.object"
    assert kind.split(".")[1] in bad["error"]["traceback"]
    assert bad["done"] is True
    assert "doubled" not in bad["facts"]
    assert (lab.outbox / "bad/fake.released").exists()
    assert lab.result("good")["error"] is None


def test_a_failed_import_is_every_jobs_failure_and_is_tried_once(lab):
    broken = STAGES.replace('print("framework imported")', "print('trying'); import a_package_nobody_has")
    (lab.root / "converter/stages/fake.py").write_text(broken)
    lab.submit("one")
    lab.submit("two")
    assert lab.finish() == (0, "")
    one, two = lab.result("one"), lab.result("two")
    assert stages(one) == stages(two) == [("import", "failed")]
    assert one["error"]["type"] == "builtins.ModuleNotFoundError"
    assert one["error"] == two["error"]
    assert [one["stages"][0]["shared"], two["stages"][0]["shared"]] == [False, True]
    logs = [(lab.outbox / name / "fake.log").read_text() for name in ("one", "two")]
    assert [log.count("trying") for log in logs] == [1, 0]
    assert (lab.outbox / "two/fake.released").exists()


def test_all_that_a_job_prints_is_in_its_own_log(lab):
    code = (
        "print('from {0}'); print('err {0}', file=sys.stderr); os.write(1, b'fd {0}\\n');"
        "ctypes.CDLL(None).printf(b'C {0}\\n')"
    )
    for name in ("one", "two"):
        lab.submit(name, code=code.format(name))
    assert lab.finish() == (0, "")
    for name, other in (("one", "two"), ("two", "one")):
        log = (lab.outbox / name / "fake.log").read_text()
        for text in ("from", "err", "fd", "C"):
            assert f"{text} {name}\n" in log
        assert other not in log


def test_a_killed_worker_leaves_how_far_it_came(lab):
    lab.submit("one", code="ctypes.string_at(0)")
    process = lab.start()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGSEGV
    result = lab.result("one")
    assert stages(result) == [("import", "ok"), ("load", "ok"), ("run", "running")]
    assert result["done"] is False
    assert not (lab.outbox / "one/fake.released").exists()
    assert "Segmentation fault" in (lab.outbox / "one/fake.log").read_text()


def test_death_after_a_good_result_leaves_no_released_marker(lab):
    # An object whose destructor kills the process when the job's memory is released.
    code = (
        "class Mine:\n"
        "    def __del__(self): os.kill(os.getpid(), 9)\n"
        "mine = Mine(); mine.cycle = mine\n"
        "import gc; gc.disable()"
    )
    lab.submit("one", code=code)
    process = lab.start()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert lab.result("one")["done"] is True
    assert lab.result("one")["error"] is None
    assert not (lab.outbox / "one/fake.released").exists()


def test_the_lifeline_ends_a_worker_that_is_stuck_in_a_job(lab):
    lab.submit("one", code="time.sleep(600)")
    process = lab.start("--lifeline", stdin=subprocess.PIPE)
    wait_for(lambda: (lab.outbox / "one/fake.json").exists() and lab.result("one")["stages"][-1]["stage"] == "run")
    assert process.poll() is None
    process.stdin.close()
    # By itself or by its guard, whichever wakes first.
    assert process.wait(timeout=20) in (75, -signal.SIGKILL)


def test_the_lifeline_ends_a_job_that_lets_no_thread_run_and_what_it_started(lab):
    # A PyDLL call keeps the interpreter's lock, as C code that hangs in an extension does.
    code = (
        "import subprocess\n"
        "open(job.made('child'), 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "ctypes.PyDLL(None).sleep(600)"
    )
    lab.submit("one", code=code)
    process = lab.start("--lifeline", stdin=subprocess.PIPE, leader=True)
    wait_for(lambda: (lab.outbox / "one/child").exists() and (lab.outbox / "one/child").read_text())
    child = Path("/proc", (lab.outbox / "one/child").read_text())
    assert child.exists()
    process.stdin.close()
    assert process.wait(timeout=20) == -signal.SIGKILL
    wait_for(lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text())


def test_a_job_cannot_read_from_the_lifeline(lab):
    lab.submit("one", code="job.facts['read'] = sys.stdin.read()")
    process = lab.start("--lifeline", stdin=subprocess.PIPE)
    wait_for((lab.outbox / "one/fake.released").exists)
    assert lab.result("one")["facts"]["read"] == ""
    assert process.poll() is None


def test_without_a_lifeline_the_end_of_standard_input_is_ignored(lab):
    lab.submit("one")
    assert lab.finish() == (0, "")


def test_a_result_is_complete_whenever_it_is_read(lab):
    """Read the file repeatedly while it is rewritten: every read parses."""
    for number in range(20):
        lab.submit(f"{number:02}")
    process = lab.start()
    reads = 0
    while not (lab.outbox / "19/fake.released").exists():
        for path in lab.outbox.glob("*/fake.json"):
            assert json.loads(path.read_text())["schema"] == 1
            reads += 1
        assert process.poll() is None
    assert reads > 20


def test_the_workers_own_folder_is_not_on_the_path(lab):
    """arrays.py and results.py would otherwise shadow packages of these names."""
    lab.submit("one", code="job.facts['path'] = [os.path.realpath(entry or '.') for entry in sys.path]")
    assert lab.finish() == (0, "")
    path = lab.result("one")["facts"]["path"]
    assert os.path.realpath(lab.root) == path[0]
    assert os.path.realpath(lab.root / "converter") not in path


def test_an_unknown_pass_is_refused(lab):
    process = lab.start(module="os.path")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "os.path is not a module of converter" in output


def test_an_unknown_schema_is_refused(lab):
    (lab.inbox / "one.json").write_text(json.dumps({"schema": 2, "job": "x", "folder": "one", "params": {}}))
    status, output = lab.finish()
    assert status == 1
    assert "schema" in output
