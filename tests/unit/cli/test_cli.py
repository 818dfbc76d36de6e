"""The command line: output and exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import small
from fakes import Deed, FakeEngine, good

from matrix import cli
from matrix.app import project as session
from matrix.cli import EPILOG
from matrix.cli import doctor as doctoring
from matrix.core import errors, paths
from matrix.environments.choose import choose
from matrix.environments.engine import BuildFailed, Engine
from matrix.environments.locks.keep import LockFolders
from matrix.environments.venv import VenvEngine, write_stamp
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.interpreters import Interpreter
from matrix.store import FolderBlobs

# --- exit codes ------------------------------------------------------------------------------------------------------

CODES = {error.exit_code for error in errors.ALL}


def test_every_error_has_an_exit_code_of_its_own() -> None:
    assert len(CODES) == len(errors.ALL)
    assert set(errors.ALL) == {errors.MatrixError, *errors.MatrixError.__subclasses__()}
    assert 0 not in CODES


def test_every_exit_code_is_in_the_help() -> None:
    said = {int(code) for code in re.findall(r"(?:^|[:,]\s+)(\d+) ", EPILOG)}
    assert said == CODES | {0}


def test_every_exit_code_is_in_the_readme() -> None:
    text = (small.ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Exit codes") :].split("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == CODES | {0}


# --- quick help ------------------------------------------------------------------------------------------------------

HELP = """
import contextlib, io, sys
from matrix import cli
for arguments in [["--help"], *([name, "--help"] for name in cli.cli.list_commands(None))]:
    sys.argv = ["matrix", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main() == 0, arguments
    assert "Usage: python -m matrix" in said.getvalue()
print(*sorted({"pydantic", "sqlalchemy", "numpy", "rich", "yaml", "requests"} & sys.modules.keys()))
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, cwd=small.ROOT, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


# --- shared options --------------------------------------------------------------------------------------------------

# fmt: off
SHARED = (
    "--table", "--state", "--index-url", "--find-links", "--tier", "--only", "--with", "--torch-build", "--model",
    "--checkpoint", "--input", "--trust", "--engine", "--store", "--jobs", "--timeout", "--memory", "--locked",
    "--resolution", "--as-of", "--include",
)
# fmt: on


def test_an_option_of_several_commands_is_the_same_in_all_of_them() -> None:
    context = click.Context(cli.cli)
    commands = [cli.cli.get_command(context, name) for name in cli.cli.list_commands(context) if name != "bases"]
    found: dict[str, list[click.Option]] = {}
    for command in commands:
        for one in (command, *getattr(command, "commands", {}).values()):
            for option in one.params:
                if isinstance(option, click.Option):
                    found.setdefault(option.opts[0], []).append(option)
    for name in SHARED:
        assert len({(option.help, option.name) for option in found[name]}) == 1 < len(found[name]), name


# --- a project on a fake engine --------------------------------------------------------------------------------------


class Project:
    """A folder with a table and its locks, and the command line on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.engine = FakeEngine(root)
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.write(small.SMALL)
        monkeypatch.chdir(root)
        for name in ("MATRIX_STATE", "MATRIX_STORE"):
            monkeypatch.delenv(name, raising=False)
        # No unit test speaks to an engine that happens to run here.
        monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/nobody.sock")
        monkeypatch.setattr(session, "choose", self._choose)

    def _choose(self, name: str, *rest: Any) -> tuple[Engine, str]:
        if name == "venv":
            return choose(name, *rest)
        self.engine.check()
        return self.engine, f"engine fake, asked for as {name}"

    def write(self, text: str) -> None:
        table = small.config(self.root, text)
        folders = LockFolders(self.root / "envs", self.root / ".matrix" / "locks")
        for lock in small.locks(table).values():
            folders.write(lock, variant=False)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr(sys, "argv", ["matrix", *arguments])
        code = cli.main()
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--format", "json")
        assert code == 0, err
        return json.loads(out)  # one object and nothing else, or this fails


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, monkeypatch, capsys)


def test_a_run_prints_one_object(project: Project) -> None:
    found = project.json("run", "--tier", "known")
    assert found["jobs"] == {"run": 16, "cached": 0} and found["run"] == 1
    assert [cell["verdict"] for cell in found["cells"]] == ["match"] * 6
    # In the plan's order, whatever was ready first.
    planned = project("plan", "--tier", "known", "--format", "cells")[1].split()
    assert [cell["cell"] for cell in found["cells"]] == planned
    assert found["cells"][0]["python"] == "3.8" and found["cells"][0]["tensorflow"] == "1.13.1"


def test_progress_goes_to_standard_error(project: Project) -> None:
    code, out, err = project("run", "--tier", "known")
    assert code == 0
    assert "all cells decided" in err and "built" in err
    assert "all cells decided" not in out and "6 match of 6 cells" in out


def test_the_same_again_runs_nothing(project: Project) -> None:
    project.json("run")
    found = project.json("run")
    assert found["jobs"]["run"] == 0 and found["jobs"]["cached"] > 0
    assert all(cell["cached"] for cell in found["cells"])
    assert project.json("run", "--again")["jobs"]["cached"] == 0


@pytest.mark.parametrize(
    ("format_", "parses"), [("junit", ElementTree.fromstring), ("md", lambda text: text.index("| **match** |"))]
)
def test_other_formats(project: Project, format_: str, parses: Callable[[str], Any]) -> None:
    code, out, _ = project("run", "--tier", "known", "--format", format_)
    assert code == 0
    assert parses(out) is not None


def test_an_unexpected_verdict(project: Project) -> None:
    failed = Deed(small.report("import", error=small.raised("no")))
    project.engine.script = lambda work, spec: failed if work == "convert" else good(work, spec)
    code, out, err = project("run", "--tier", "known")
    assert code == errors.UnexpectedVerdicts.exit_code
    assert "1 cells differ from what" in err
    assert "unexpected: net/torch-1.2.0@9/old: expected verdict match, got error" in out
    # Where nothing is expected, a failure is a finding like any other.
    assert project("run", "--tier", "known", "--only", "opset=10")[0] == 0


def test_what_could_not_be_measured(project: Project) -> None:
    project.engine.broken["old"] = BuildFailed("infra", "index-dns", "no network")
    code, _, err = project("run", "--tier", "known")
    assert code == errors.Indeterminate.exit_code and "4 cells could not be measured" in err
    project.engine.broken.clear()
    assert project("run", "--tier", "known")[0] == 0


def test_what_this_machine_lacks_is_no_failure_unless_asked(project: Project) -> None:
    project.engine.missing["old"] = BuildFailed("unavailable", "interpreter-missing", "needs Python 3.8")
    assert project("run", "--tier", "known")[0] == 0
    assert project("run", "--tier", "known", "--strict")[0] == errors.Indeterminate.exit_code
    assert project("run", "--tier", "known", "--only", "converter=old")[0] == errors.Indeterminate.exit_code


def test_ctrl_c(project: Project) -> None:
    def script(work: Any, spec: Any) -> Deed:
        if work == "reference":
            signal.raise_signal(signal.SIGINT)
        return good(work, spec)

    project.engine.script = script
    code, out, err = project("run", "--tier", "known")
    assert code == errors.Interrupted.exit_code and "same command continues" in err
    assert "(interrupted)" in out
    project.engine.script = good
    found = project.json("run", "--tier", "known")
    assert found["jobs"]["cached"] >= 1 and len(found["cells"]) == 6
    assert [line.split(": ")[0].split()[-1] for line in project("status")[1].splitlines()[:4:2]] == [
        "complete",
        "interrupted",
    ]


def test_limits_reach_the_jobs(project: Project) -> None:
    project.engine.script = lambda work, spec: Deed(None, released=False) if work == "export" else good(work, spec)
    found = project.json("run", "--tier", "known", "--only", "opset=10", "--timeout", "0.1")
    assert [(cell["verdict"], cell["remedies"][0]["id"]) for cell in found["cells"]] == [
        ("timeout", "raise-time-limit")
    ]


def test_a_state_in_use(project: Project) -> None:
    from matrix.store.state import State

    with State(project.root / ".matrix").held():
        code, out, err = project("run")
    assert code == errors.StateInUse.exit_code and out == "" and "in use by another driver" in err


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "--tier", "fast"], 2, "this table has: quick"),
        (["plan", "--tier", "fast"], 2, "this table has: quick"),
        (["run", "--only", "torch=1"], 2, "write torch==1"),
        (["run", "--only", "opset==x"], 2, "not a version"),
        (["run", "--with", "tensorflow>=2"], 2, "an exact version"),
        (["run", "--with", "tensorflow==2.*"], 2, "an exact version"),
        (["run", "--with", "=="], 2, "write package==version"),
        (["run", "--with", "jax==1.0"], 2, "no row pins jax"),
        (["run", "--torch-build", "gpu"], 2, "choose auto, index or cpu"),
        (["run", "--jobs", "0"], 2, "--jobs"),
        (["run", "--timeout", "0"], 2, "--timeout"),
        (["run", "--format", "xml"], 2, "--format"),
        (["lock", "nothing"], 2, "no row nothing"),
        (["dance"], 2, "No such command"),
        (["run", "--table", "nowhere.yml"], 3, "nowhere.yml"),
        (["plan", "--only", "opset=99"], 4, "no cell"),
        (["run", "--only", "opset=99"], 4, "no cell"),
        (["run", "--model", "nothing"], 4, "no cell"),
        (["status"], 4, "no run yet"),
        (["show", "x"], 4, "no run has decided"),
        (["run", "--store", "no-such-database://host"], 3, "cannot be opened"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_how_it_ends(project: Project, arguments: list[str], code: int, words: str) -> None:
    ended, out, err = project(*arguments)
    assert (ended, out) == (code, "")
    assert words in err and "Traceback" not in err


def test_a_wrong_table_is_said_before_anything_is_touched(project: Project) -> None:
    small.table(project.root, small.changed("margin_days: 14", "margin_days: soon"))
    code, out, err = project("run")
    assert code == errors.ConfigError.exit_code and out == ""
    assert err.startswith("matrix: matrix.yml:4:3: ")
    assert not (project.root / ".matrix").exists()


def test_a_damaged_lock(project: Project) -> None:
    (project.root / "envs" / "old.lock").write_text("half of")
    code, _, err = project("run")
    assert code == errors.ConfigError.exit_code and "old.lock:1: " in err


def test_a_stale_lock(project: Project) -> None:
    small.table(project.root, small.changed("tensorflow: 2.8.0", "tensorflow: 2.8.1"))
    code, _, err = project("run", "--locked")
    assert code == errors.LockStale.exit_code and "no current lock for new;" in err
    assert project("lock", "--check")[0] == errors.LockStale.exit_code
    assert project("lock", "--check", "old")[0] == 0
    assert project("run", "--locked", "--only", "converter=old", "--tier", "known")[0] == 0


# --- plan, lock, schema ----------------------------------------------------------------------------------------------


def test_plan_prints_the_same_bytes(project: Project) -> None:
    for format_ in ("summary", "cells", "json"):
        first = project("plan", "--tier", "full", "--format", format_)
        assert first == project("plan", "--tier", "full", "--format", format_)
        assert first[0] == 0 and first[1]
    assert not (project.root / ".matrix").exists()


def test_plan_as_an_object(project: Project) -> None:
    found = project.json("plan", "--tier", "known")
    assert found["tier"] == "known" and len(found["cells"]) == 6
    assert found["environments"][0] == {
        "name": "torch-1.2.0",
        "python": "3.9",
        "as_of": "2022-02-16",
        "lock": "resolved",
    }


def test_two_only_of_the_same_key_widen_and_models_too(project: Project) -> None:
    def count(*arguments: str) -> int:
        return len(project("plan", "--tier", "full", "--format", "cells", *arguments)[1].split())

    both = count("--model", "net", "--model", "other")
    assert both == count() == 2 * count("--model", "net")
    assert count("--only", "opset=9", "--only", "opset=10") == 2 * count("--only", "opset=9")


def test_a_build_of_torch_is_chosen_by_the_wheel_that_lies_there(project: Project) -> None:
    def exporter(*arguments: str) -> str:
        given = ["plan", "--tier", "full", "--only", "torch>=2", "--format", "json", "--find-links", str(project.root)]
        return str(json.loads(project(*given, *arguments)[1])["environments"][0]["name"])

    assert exporter() == "torch-2.13.0"
    (project.root / "torch-2.13.0+cpu-cp39-cp39-linux_x86_64.whl").touch()
    assert exporter() == "torch-2.13.0.cpu"
    assert exporter("--torch-build", "index") == "torch-2.13.0"
    assert exporter("--torch-build", "cpu") == "torch-2.13.0.cpu"


def test_locks_of_rows_that_are_gone_are_removed(project: Project) -> None:
    orphan = project.root / "envs" / "gone.lock"
    orphan.write_text(small.lock("gone").text())
    assert project("lock", "--check")[0] == 0 and orphan.exists()
    code, out, err = project("lock")
    assert (code, out) == (0, "0 locked, 7 were current\n")
    assert not orphan.exists() and "no row has this name" in err


def test_schema(project: Project) -> None:
    code, out, _ = project("schema")
    (project.root / "matrix.schema.json").write_text(out)
    assert code == 0 and project("schema", "--check", "matrix.schema.json")[0] == 0
    (project.root / "matrix.schema.json").write_text(out + " ")
    assert project("schema", "--check", "matrix.schema.json")[0] == errors.ConfigError.exit_code


# --- history ---------------------------------------------------------------------------------------------------------


def test_status_and_show(project: Project) -> None:
    project.json("run", "--tier", "known")
    project.json("run", "--tier", "known", "--only", "opset=9")
    _, out, _ = project("status")
    assert re.search(
        r"^run 2 .* known  fake  complete: 1 match; 1 of 1 cells, jobs 0 run, 4 cached\n    .* run .*--only opset=9",
        out,
        re.MULTILINE,
    )
    assert project.json("status", "--run", "1")["jobs"] == {"run": 16, "cached": 0}
    assert project.json("status")["run"] == 2
    assert project("status", "--run", "9")[0] == errors.UsageError.exit_code

    code, out, _ = project("show", "net/torch-1.2.0@9/old")
    assert code == 0 and "match" in out and "decided in 2 runs, this is run 2 of 2, 1" in out
    assert "this is run 1 of 2, 1" in project("show", "net/torch-1.2.0@9/old", "--run", "1")[1]
    code, _, err = project("show", "net/torch-1.2.0@9/old", "--run", "7")
    assert code == errors.UsageError.exit_code and "runs that did: 2, 1" in err
    assert project.json("show", "torch-1.2.0@9")["verdict"] == "match"
    code, _, err = project("show", "torch-1.2.0")
    assert code == errors.UsageError.exit_code and "fits 2 cells" in err


def test_history_does_not_change_with_the_table(project: Project) -> None:
    project.json("run", "--tier", "known")
    text = small.changed("  - cells: {exporter: torch-1.2.0, opset: 9, converter: old}\n    verdict: match\n", "")
    project.write(text.replace("expect:\n", "").replace("- id: new", "- id: renamed").replace("[new]", "[renamed]"))
    found = project.json("status", "--run", "1")
    assert {cell["converter"] for cell in found["cells"]} == {"old", "new"}
    assert {cell["verdict"] for cell in found["cells"]} == {"match"}


# --- clean and doctor ------------------------------------------------------------------------------------------------


def test_clean_keeps_what_is_current(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.json("run", "--tier", "known")
    monkeypatch.setattr(interpreters, "installed", lambda: {"3.8": Interpreter(Path("/x"), "3.8.18")})
    root = project.root / ".matrix"
    engine = VenvEngine(root / "envs", IndexSettings(), small.ROOT / "converter")
    lock = LockFolders(project.root / "envs", root / "locks").read()["old"]
    current = engine.folder(engine.identify(lock))
    others = root / "envs" / "0123456789"
    for folder, name in ((current, engine.identify(lock)), (others, "of an older lock")):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 1000)
        write_stamp(folder, {"id": name, "environment": "old"})
    stray = FolderBlobs(root / "blobs").put(b"nobody names this")

    code, out, _ = project("clean")
    # The stray file, and the inputs, which every run makes anew.
    assert code == 0 and "engine venv: removed 1 of 2 environments" in out and "removed 2 stored files" in out
    assert current.exists() and not others.exists() and not FolderBlobs(root / "blobs").local(stray).exists()
    assert project.json("run", "--tier", "known")["jobs"]["run"] == 0

    (current / "matrix-stamp.json").unlink()
    assert "removed 1 of 1 environments" in project("clean")[1] and not current.exists()


def test_clean_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "installed", lambda: {})
    folder = project.root / ".matrix" / "envs" / "x"
    folder.mkdir(parents=True)
    write_stamp(folder, {"id": "x", "environment": "x"})
    assert project("clean", "--all")[0] == 0 and not folder.exists()


def test_doctor_says_what_is_missing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "installed", lambda: {"3.9": Interpreter(Path("/usr/bin/python3.9"), "3.9.2")})
    asked: list[str] = []

    def unreachable(self: UploadDates, package: str) -> Any:
        asked.append(package)
        raise errors.Indeterminate("the package index did not answer")

    monkeypatch.setattr(UploadDates, "of", unreachable)
    code, out, _ = project("doctor", "--index-url", "https://u:s3cret@host/simple")
    assert code == 0 and asked
    assert "ok     Python 3.9: 3.9.2" in out
    assert "LACKS  engine docker: no engine answers" in out
    assert "LACKS  Python 3.8: missing, so unavailable with venv: old; get it: uv python install 3.8" in out
    assert "7 of 7 locks are current" in out
    assert "LACKS  index https://***@host/simple: the package index did not answer" in out
    assert "s3cret" not in out


def test_doctor_on_a_bare_machine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(uv, "binary", nowhere)
    monkeypatch.setattr(uv, "version", nowhere)
    monkeypatch.setattr(UploadDates, "of", lambda *_: {})
    monkeypatch.setattr(doctoring, "_CPUINFO", project.root / "cpuinfo")
    (project.root / "cpuinfo").write_text("flags\t\t: fpu sse4_2 avx2\n")
    small.table(project.root, small.changed("tiers:", "limits: {memory_mb: 999999999}\ntiers:"))
    code, out, err = project("doctor", "--state", "no/such/folder")
    assert (code, err) == (0, "")
    assert re.search(r"^LACKS  AVX: TensorFlow", out, re.MULTILINE)
    assert re.search(r"^LACKS  \d+ MB of memory: .*999999999", out, re.MULTILINE)
    assert re.search(r"^LACKS  uv: .*pip install uv", out, re.MULTILINE)
    assert re.search(r"GiB free below .*no/such/folder", out)
    (project.root / "cpuinfo").write_text("flags\t\t: fpu avx sse4_2\n")
    assert "ok     AVX\n" in project("doctor")[1]


# --- a combination that is no row ------------------------------------------------------------------------------------


def test_a_combination_is_what_is_planned(project: Project) -> None:
    def exporters(*arguments: str) -> set[str]:
        return {
            line.split("/")[1].split("@")[0] for line in project("plan", "--format", "cells", *arguments)[1].split()
        }

    # One row, two exporters.
    assert exporters("--with", "torch==2.13.0") == {"torch-2.13.0-torchscript", "torch-2.13.0-dynamo"}
    assert exporters("--with", "torch==1.2.0") == {"torch-1.2.0"}


def test_a_combination_is_locked_in_the_state_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from matrix.environments.locks import resolve as resolving

    def resolve(request: Any, *_: Any) -> Any:
        return small.lock(request.name, request.role, request=request.digest)

    monkeypatch.setattr(resolving, "resolve", resolve)
    committed = sorted((project.root / "envs").iterdir())
    code, out, err = project("run", "--with", "tensorflow==2.9.1", "--tier", "full", "--only", "torch==1.2.0", "--only",
                             "opset=9", "--model", "net", "--format", "json")  # fmt: skip
    assert code == 0, err
    assert [cell["cell"] for cell in json.loads(out)["cells"]] == ["net/torch-1.2.0@9/new+tensorflow2.9.1"]
    assert sorted((project.root / "envs").iterdir()) == committed
    assert [path.name for path in (project.root / ".matrix" / "locks").iterdir()] == ["new+tensorflow2.9.1.lock"]
    assert project("run", "--locked", "--with", "tensorflow==2.9.2", "--tier", "full")[0] == errors.LockStale.exit_code


def test_an_engine_that_does_not_work_here(project: Project) -> None:
    project.engine.useless = errors.EngineUnavailable("engine fake: buy another machine")
    code, out, err = project("run")
    assert (code, out) == (6, "") and "buy another machine" in err
    assert not (project.root / ".matrix" / "matrix.db").exists()


def test_clean_leaves_files_of_another_store_alone(project: Project) -> None:
    project.json("run", "--tier", "known", "--store", f"sqlite:///{project.root}/elsewhere.db")
    code, out, err = project("clean")
    assert code == 0 and "stored files" not in out and "more than one --store" in err
    again = project.json("run", "--tier", "known", "--store", f"sqlite:///{project.root}/elsewhere.db")
    assert again["jobs"]["run"] == 0


def test_called_from_elsewhere_the_checkouts_table_is_used(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.json("run", "--tier", "known")
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    monkeypatch.setattr(paths, "TABLE", project.root / "matrix.yml")
    monkeypatch.chdir(elsewhere)
    code, out, err = project("run", "--tier", "known")
    assert code == 0 and "0 run, 16 cached" in out and str(project.root / ".matrix") in err
    assert not list(elsewhere.iterdir())
    assert project("run", "--table", "matrix.yml")[0] == 0, "said or not, it is the same"
    assert project("run", "--table", "other.yml")[0] == errors.ConfigError.exit_code
