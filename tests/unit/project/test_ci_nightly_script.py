"""The steps of .ci/nightly, with a stub for the program: after a failure nothing is published."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from small import ROOT

# Records its calls, leaves the files of the real program, and exits as the test requires.
STUB = f"""\
#!{sys.executable} -ISs
import json, os, pathlib, sys
words = sys.argv[3:]
assert sys.argv[1:3] == ["-m", "matrix"], sys.argv
log = pathlib.Path(os.environ["STUB_LOG"])
with log.open("a") as stream:
    stream.write(json.dumps(words) + "\\n")
ends = json.loads(os.environ["STUB_ENDS"])
name = " ".join(words[:2]) if words[0] == "ci" else words[0]
if "--shard" in words:
    name = f"run {{words[words.index('--shard') + 1]}}"
if name == "export" and "shards/" in " ".join(words):
    name = "export " + words[words.index("--state") + 1].rpartition("/")[2]
code = ends.get(name, 0)
if code == "waits":
    import time
    log.with_name("waiting").touch()
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        code = 130
if code == 0 and words[0] == "export":
    folder = pathlib.Path(words[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text("new")
if code == 0 and words[0] == "dashboard":
    folder = pathlib.Path(words[words.index("--out") + 1])
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("new")
sys.exit(code)
"""


@dataclass
class Night:
    """A folder with state, data and site, and the script that uses them."""

    root: Path
    calls: list[list[str]]
    code: int = 0
    err: str = ""

    @property
    def data(self) -> str:
        return (self.root / "data" / "history.json").read_text()

    @property
    def site(self) -> str:
        return (self.root / "site" / "index.html").read_text()

    @property
    def names(self) -> list[str]:
        return [" ".join(words[:2]) if words[0] == "ci" else words[0] for words in self.calls]

    def __call__(self, *more: str, ends: Mapping[str, int | str] | None = None, stop: bool = False) -> Night:
        """Run the script. `stop`: a signal to send as soon as a run that `waits` has started."""
        import json

        log = self.root / "log"
        log.write_text("")
        environ = {**os.environ, "PYTHON": str(self.root / "stub"), "STUB_LOG": str(log)}
        environ["STUB_ENDS"] = json.dumps(dict(ends or {}))
        folders = [part for name in ("state", "data", "site") for part in (f"--{name}", name)]
        done = subprocess.Popen(
            [str(ROOT / ".ci" / "nightly"), *folders, *more],
            cwd=self.root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if stop:
            until = time.monotonic() + 20
            while not (self.root / "waiting").exists() and time.monotonic() < until:
                time.sleep(0.05)
            done.terminate()
        self.err = done.communicate(timeout=60)[1]
        self.code = done.returncode
        self.calls = [json.loads(line) for line in log.read_text().splitlines()]
        return self


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A later night: a history and a site exist."""
    stub = tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    for name, file in (("data", "history.json"), ("site", "index.html")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("old")
    return Night(tmp_path, [])


def unchanged(night: Night) -> bool:
    return night.data == "old" and night.site == "old"


def test_a_night(night: Night) -> None:
    night("--run-id", "n7", "--", "--tier", "smoke")
    assert night.code == 0, night.err
    assert night.names == ["import", "run", "compare", "dashboard", "export", "ci summary"]
    run = night.calls[1]
    assert run[run.index("--run-id") + 1] == "n7"
    assert run[-2:] == ["--tier", "smoke"]
    assert (night.data, night.site) == ("new", "new")
    assert not [path.name for path in night.root.iterdir() if path.name.startswith("site.")]


def test_the_first_night(night: Night) -> None:
    (night.root / "data" / "history.json").unlink()
    night()
    assert (night.code, night.names[0]) == (0, "run")
    assert "starting a new one" in night.err


def test_a_folder_that_is_no_history_is_not_the_first_night(night: Night) -> None:
    (night.root / "data" / "history.json").rename(night.root / "data" / "something")
    night(ends={"import": 3})
    assert (night.code, night.names) == (3, ["import"])


def test_a_folder_that_cannot_be_listed_is_not_the_first_night(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    (night.root / "bin").mkdir()
    (night.root / "bin" / "ls").write_text("#!/bin/sh\nexit 2\n")
    (night.root / "bin" / "ls").chmod(0o755)
    monkeypatch.setenv("PATH", f"{night.root / 'bin'}:{os.environ['PATH']}")
    night()
    assert (night.code, night.names) == (3, [])
    assert "cannot be read" in night.err and unchanged(night)


@pytest.mark.parametrize(
    ("ends", "code", "last"),
    [
        ({"import": 3}, 3, "import"),
        ({"import": 8}, 8, "import"),
        ({"run": 1}, 1, "run"),
        ({"run": 2}, 2, "run"),
        ({"run": 130}, 130, "run"),
        ({"compare": 1}, 1, "compare"),
        ({"compare": 3}, 3, "compare"),
        ({"dashboard": 1}, 1, "dashboard"),
    ],
)
def test_what_fails_publishes_nothing(night: Night, ends: dict[str, int], code: int, last: str) -> None:
    night(ends=ends)
    assert (night.code, night.names[-1]) == (code, last)
    assert unchanged(night)


def test_a_history_that_cannot_be_written_leaves_the_site(night: Night) -> None:
    night(ends={"export": 3})
    assert night.code == 3
    assert unchanged(night)


@pytest.mark.parametrize("code", [5, 7])
def test_what_a_run_found_is_published_whatever_it_was(night: Night, code: int) -> None:
    night(ends={"run": code})
    assert (night.code, night.data, night.site) == (code, "new", "new")


def test_a_regression_is_published_and_shows_in_the_exit_code(night: Night) -> None:
    night("--issues", "a/b", ends={"compare": 18, "run": 5})
    assert (night.code, night.data, night.site) == (18, "new", "new")
    assert night.names[-2:] == ["ci summary", "ci issues"]


def test_shards(night: Night) -> None:
    night("--shards", "3", "--run-id", "n7")
    assert night.code == 0, night.err
    runs = [words for words in night.calls if words[0] == "run"]
    assert sorted(words[words.index("--shard") + 1] for words in runs) == ["1/3", "2/3", "3/3"]
    assert len({words[words.index("--state") + 1] for words in runs}) == 3
    merged = next(words for words in night.calls[1:] if words[0] == "import")
    assert len(merged) == 6
    assert night.names.index("compare") > len(night.names) - 6


def test_a_shard_that_is_missing_is_missing_and_no_more(night: Night) -> None:
    night("--shards", "3", ends={"run 2/3": 1, "export 2": 4})
    assert (night.code, night.data) == (7, "new")
    assert "shard 2/3 is missing" in night.err
    merged = next(words for words in night.calls[1:] if words[0] == "import")
    assert len(merged) == 5


def test_a_shard_that_failed_leaves_what_it_found(night: Night) -> None:
    night("--shards", "2", ends={"run 1/2": 130, "run 2/2": 5})
    assert (night.code, night.data) == (7, "new")
    assert "missing" not in night.err
    night("--shards", "2", ends={"run 2/2": 5})
    assert night.code == 5


def test_an_empty_shard_is_not_missing(night: Night) -> None:
    night("--shards", "3", ends={"export 3": 4})
    assert (night.code, night.data) == (0, "new")
    assert "missing" not in night.err


def test_a_night_that_is_stopped_keeps_what_was_found_and_publishes_nothing(night: Night) -> None:
    began = time.monotonic()
    night("--shards", "2", ends={"run 2/2": "waits"}, stop=True)
    assert night.code == 130, night.err
    assert time.monotonic() - began < 25, "the run was left behind"
    assert night.names.count("export") == 2 and night.names[-1] == "import"
    assert len([word for word in night.calls[-1] if word.endswith(("/1", "/2"))]) == 2
    assert unchanged(night)


def test_no_shard_left_anything(night: Night) -> None:
    night("--shards", "2", ends={"export 1": 3, "export 2": 3})
    assert night.code == 7
    assert unchanged(night)


@pytest.mark.parametrize("more", [("--shards", "0"), ("--shards", "x"), ("--nonsense",), ("--shards",)])
def test_wrong_usage(night: Night, more: tuple[str, ...]) -> None:
    night(*more)
    assert (night.code, night.calls) == (2, [])
    assert "usage" in night.err
