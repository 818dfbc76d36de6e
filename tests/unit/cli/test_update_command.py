"""`update`: the command, its options, what it writes and its exit codes; the index is a fake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import small
from test_cli import Project, project
from test_releases_survey import Fake, index

from matrix.core import errors
from matrix.environments.locks.request import Request

__all__ = ["project"]

ROW = "onnxtf1.10.0-onnx1.10-tf2.9.0"
LINE = f"  - {{id: {ROW}, pins: {{onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.9.0}}}}\n"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], Fake]:
    """Replace the user's index."""

    def put(fake: Fake) -> Fake:
        monkeypatch.setattr("matrix.answers.releases.index.IndexReleases", lambda settings, tell: fake)
        return fake

    return put


Serve = Callable[[Fake], Fake]


def news() -> Fake:
    return index(tensorflow=("2.9.0",))


def table(project: Project) -> Path:
    return project.root / "matrix.yml"


def test_the_row_is_written_and_then_known(project: Project, serve: Serve) -> None:
    serve(news())
    table(project).chmod(0o640)
    locks = sorted((project.root / "envs").iterdir())
    code, out, _ = project("update")
    assert code == 0
    assert out == (
        f"tensorflow 2.9.0: {ROW}, lockable: Python 3.9, 4 packages\n"
        f"matrix.yml: added {ROW}; `python -m matrix lock` makes the locks\n"
    )
    assert table(project).read_text() == small.changed("models:\n  - id: net", f"{LINE}models:\n  - id: net")
    assert table(project).stat().st_mode & 0o777 == 0o640
    assert sorted((project.root / "envs").iterdir()) == locks

    written = table(project).stat().st_ino
    code, out, _ = project("update")
    assert (code, out[:11]) == (0, "nothing new") and table(project).stat().st_ino == written


def test_a_dry_run_shows_a_diff_and_writes_nothing(project: Project, serve: Serve) -> None:
    serve(news())
    code, out, _ = project("update", "--dry-run")
    assert code == 0 and f"\n+{LINE}" in out and "\n--- a/matrix.yml\n+++ b/matrix.yml\n@@" in out
    assert table(project).read_text() == small.SMALL


def test_a_check_writes_nothing_and_says_by_its_exit_code_whether_there_is_news(project: Project, serve: Serve) -> None:
    serve(news())
    code, out, err = project("update", "--check")
    assert code == errors.NewReleases.exit_code == 16
    assert ROW in out and "1 row could be added" in err
    assert table(project).read_text() == small.SMALL
    serve(index())
    assert project("update", "--check")[0] == 0


def test_what_cannot_be_locked_is_no_news_for_a_check(project: Project, serve: Serve) -> None:
    fake = index(lambda request: "no way", tensorflow=("2.9.0",))
    serve(fake)
    code, out, _ = project("update", "--check")
    assert code == 0 and "tensorflow 2.9.0: onnxtf1.10.0-onnx1.5.0-tf2.9.0, unsatisfiable: no way" in out
    assert project("update")[1].endswith("matrix.yml: added a note in `converters`\n")
    fake.asked.clear()
    assert project("update")[1].startswith("nothing new") and fake.asked == []


def test_what_cannot_be_judged_is_an_exit_code_of_its_own_and_the_rest_is_written(
    project: Project, serve: Serve
) -> None:
    def half(request: Request) -> str:
        if request.role == "exporter":
            raise errors.Indeterminate("the index did not answer")
        return ""

    serve(index(half, tensorflow=("2.9.0",), torch=("2.14.0",)))
    code, out, err = project("update")
    assert code == errors.Indeterminate.exit_code and "could not decide about torch 2.14.0" in err
    assert "torch 2.14.0: undecided, the index did not answer" in out
    assert LINE in table(project).read_text() and "2.14.0" not in table(project).read_text()


def test_json_is_one_object(project: Project, serve: Serve) -> None:
    serve(news())
    found = project.json("update")
    assert (found["rows"], found["written"], found["proposals"][0]["outcome"]) == ([ROW], True, "lockable")
    code, out, _ = project("update", "--check", "--format", "json")
    assert code == 0 and json.loads(out)["proposals"] == []


def test_a_table_that_changed_meanwhile_is_left_alone(project: Project, serve: Serve) -> None:
    def edit(request: Request) -> str:
        table(project).write_text(small.SMALL + "# mine\n")
        return ""

    serve(index(edit, tensorflow=("2.9.0",)))
    code, _, err = project("update")
    assert code == errors.ConfigError.exit_code and "changed while releases were looked up" in err
    assert table(project).read_text() == small.SMALL + "# mine\n"


def test_a_link_to_the_table_stays_one(project: Project, serve: Serve) -> None:
    serve(news())
    link = project.root / "link.yml"
    link.symlink_to("matrix.yml")
    assert project("update", "--table", "link.yml")[0] == 0
    assert link.is_symlink() and LINE in table(project).read_text()


def test_one_of_two_ways_of_writing_nothing(project: Project, serve: Serve) -> None:
    serve(news())
    assert project("update", "--check", "--dry-run")[0] == errors.UsageError.exit_code
