"""`run --remedy` from end to end on a fake engine, and what people and programs are shown of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
import small
from fakes import GOOD, Deed, good
from test_cli import Project, project

from matrix.core import errors
from matrix.core.errors import ConfigError, Indeterminate, LockStale
from matrix.environments.locks import resolve
from matrix.environments.locks.request import Request
from matrix.packages.lock import Lock
from matrix.store.records import Exit

__all__ = ["project"]

TOO_NEW = small.raised("Your model ir_version 9 is higher than the checker's (8).", "onnx.ValidationError")
CELL = "net/torch-1.12.1@8/new"
RUN = ("run", "--tier", "known", "--only", "opset=8", "--only", "converter=new")
IR_OF_CONVERTER = 8


def given(project: Project, spec: Mapping[str, Any], name: str = "model.onnx") -> bytes:
    """A file of the job that is being done."""
    paths = [worker.inbox / spec["folder"] / name for worker in project.engine.workers]
    return next(path.read_bytes() for path in paths if path.exists())


def too_new(project: Project, then: Callable[[Any], Deed] | None = None) -> Callable[[str, Any], Deed]:
    """Exports are stamped with IR version 9, which the converter refuses; what it does with lower ones `then` says."""

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = good(work, spec)
        if work == "export":
            facts = {"opset_written": spec["params"]["opset"], "ir_version": 9}
            return Deed(small.report(*GOOD["export"], facts=facts), deed.files)
        if work == "alter":
            facts = {"opset_written": 8, "ir_version": spec["params"]["change"].get("ir_version", 9)}
            return Deed(small.report(*GOOD["alter"], facts=facts), {"model.onnx": json.dumps(facts).encode()})
        if work == "convert":
            if json.loads(given(project, spec)).get("ir_version") != IR_OF_CONVERTER:
                return Deed(small.report("import", "load", "check", error=TOO_NEW))
            return then(spec) if then else deed
        return deed

    return script


@pytest.fixture
def remedied(project: Project) -> dict[str, Any]:
    project.engine.script = too_new(project)
    found: dict[str, Any] = project.json(*RUN, "--remedy")["cells"]
    assert len(found) == 1
    return dict(found[0])


def test_what_helps_is_part_of_the_cell_which_still_fails(remedied: dict[str, Any]) -> None:
    assert remedied["cell"] == CELL
    assert (remedied["verdict"], remedied["reason"]) == ("error", "ir-version-too-new")
    assert remedied["remedied"] == ["ir_version 9→8"]
    (tried,) = remedied["tried"]
    assert (tried["changes"], tried["verdict"], tried["reason"]) == (["ir_version 9→8"], "match", None)
    assert tried["metrics"]["max_abs"] == 0


def test_without_the_option_nothing_is_tried(project: Project) -> None:
    project.engine.script = too_new(project)
    (cell,) = project.json(*RUN)["cells"]
    assert (cell["remedied"], cell["tried"]) == (None, [])
    assert "alter" not in {work for work, _, _ in project.engine.seen}


def test_a_match_with_a_change_is_never_shown_as_a_match(project: Project) -> None:
    project.engine.script = too_new(project)
    code, out, _ = project(*RUN, "--remedy")
    assert code == 0  # nothing is expected of this cell
    assert "1 match with a remedy of 1 cells" in out
    assert "match with" in out and "ir_version 9→8 (without: ir-version-too-new)" in out
    assert "Works, for example" not in out
    status = project("status")[1]
    assert "1 match with a remedy; 1 of 1 cells" in status
    markdown = project(*RUN, "--remedy", "--format", "md")[1]
    assert "| match with |" in markdown and "**match" not in markdown


def test_programs_are_told_too(project: Project) -> None:
    project.engine.script = too_new(project)
    root = ElementTree.fromstring(project(*RUN, "--remedy", "--format", "junit")[1])
    (failure,) = root.iter("failure")
    assert failure.text is not None and "matches with: ir_version 9→8" in failure.text


def test_a_cell_that_should_match_is_still_unexpected(project: Project) -> None:
    old = "cells: {exporter: torch-1.2.0, opset: 9, converter: old}\n    verdict: match"
    project.write(
        small.changed(
            old, old.replace("torch-1.2.0, opset: 9, converter: old", "torch-1.12.1, opset: 8, converter: new")
        )
    )
    project.engine.script = too_new(project)
    code, out, _ = project(*RUN, "--remedy")
    assert code == errors.UnexpectedVerdicts.exit_code and "expected verdict match, got error" in out


def test_show_tells_what_was_tried(project: Project) -> None:
    project.engine.script = too_new(project)
    project(*RUN, "--remedy")
    code, out, err = project("show", CELL)
    assert code == 0, err
    assert "match with: ir_version 9→8" in out
    assert "decided in 1 run," in out
    assert json.loads(project("show", CELL, "--format", "json")[1])["remedied"] == ["ir_version 9→8"]


def test_the_same_again_runs_nothing_and_knows_as_much(project: Project) -> None:
    project.engine.script = too_new(project)
    first = project.json(*RUN, "--remedy")
    again = project.json(*RUN, "--remedy")
    assert again["jobs"]["run"] == 0 and again["cells"][0]["remedied"] == first["cells"][0]["remedied"]
    # A run without the search knows nothing of it: it is no part of that run.
    assert project.json(*RUN)["cells"][0]["remedied"] is None


def test_the_same_again_from_the_start_runs_everything_once(project: Project) -> None:
    """Trials included, and what this very run has found before the search is not run a second time by it."""
    project.engine.script = too_new(project)
    first = project.json(*RUN, "--remedy")
    ran = Counter((work, job) for work, job, _ in project.engine.seen)
    assert first["jobs"] == {"run": len(ran) - 1, "cached": 0}  # the reload is a second pass of one job
    project.engine.seen.clear()
    again = project.json(*RUN, "--remedy", "--again")
    assert Counter((work, job) for work, job, _ in project.engine.seen) == ran and set(ran.values()) == {1}
    assert again["jobs"] == first["jobs"]
    assert again["cells"][0]["remedied"] == ["ir_version 9→8"] and not again["cells"][0]["cached"]


def test_what_says_nothing_is_tried_again_by_a_search_of_the_same_run(project: Project) -> None:
    lost = small.report("import", "load", done=False)
    project.engine.script = too_new(project, lambda _: Deed(lost, released=False, exit=Exit(signal=9)))
    code, out, _ = project(*RUN, "--remedy", "--again", "--format", "json")
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["verdict"], [trial["verdict"] for trial in cell["tried"]]) == (0, "error", ["infra"])
    project.engine.script = too_new(project)
    assert project.json(*RUN, "--remedy")["cells"][0]["remedied"] == ["ir_version 9→8"]


def test_a_change_that_does_not_help_is_told(project: Project) -> None:
    failed = Deed(small.report("import", "load", "check", "convert", error=small.raised("nobody has described this")))
    project.engine.script = too_new(project, lambda _: failed)
    code, out, _ = project(*RUN, "--remedy")
    assert code == 0 and "tried: ir_version 9→8: unrecognised" in out
    assert "1 error of 1 cells" in out


def test_the_smallest_set_that_works_is_named(project: Project) -> None:
    """Both remedies are needed: the first uncovers what the second is for."""

    def then(spec: Mapping[str, Any]) -> Deed:
        if spec["params"].get("environ") != {"TF_USE_LEGACY_KERAS": "1"}:
            return Deed(small.report("import", "load", "check", "convert", "run", error=KERAS_3))
        return good("convert", spec)

    project.engine.script = too_new(project, then)
    found = project.json(*RUN, "--remedy")["cells"][0]
    assert found["remedied"] == ["ir_version 9→8", "TF_USE_LEGACY_KERAS=1"]
    assert [trial["changes"] for trial in found["tried"]] == [
        ["ir_version 9→8"],
        ["ir_version 9→8", "TF_USE_LEGACY_KERAS=1"],
        ["TF_USE_LEGACY_KERAS=1"],
    ]
    # What is set for one job is not there for the next one: its worker is its own.
    jobs = Counter(id(worker) for worker in project.engine.workers if worker.work == "convert")
    assert len(jobs) >= 3


KERAS_3 = small.raised("A KerasTensor cannot be used as input to a TensorFlow function.")


# --- packages that have to be resolved first -------------------------------------------------------------------------

OLD_PROTOBUF = small.raised("Descriptors cannot be created directly.", "builtins.TypeError")


def needs_protobuf(project: Project, broken: str) -> Callable[[str, Any], Deed]:
    """The exporter or the converter fails where its environment is the plain one."""

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        plain = not any("protobuf" in name for name in project.engine.prepared)
        if work == broken and plain:
            return Deed(small.report("import", error=OLD_PROTOBUF))
        return good(work, spec)

    return script


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the resolver was asked for; it answers without an index."""
    asked: list[Request] = []

    def answer(request: Request, *_: Any) -> Lock:
        asked.append(request)
        as_of = request.as_of.isoformat() if request.as_of else "2022-02-16"
        return small.lock(request.name, request.role, request.python or "3.8", as_of, request=request.digest,
                          body=f"protobuf==3.20.3 \\\n    {small.HASH}\n", find_links=request.find_links)  # fmt: skip

    monkeypatch.setattr(resolve, "resolve", answer)
    return asked


def test_a_package_for_the_converter(project: Project, resolved: list[Request]) -> None:
    project.engine.script = needs_protobuf(project, "convert")
    found = project.json(*RUN, "--remedy")["cells"][0]
    assert (found["verdict"], found["reason"], found["remedied"]) == ("error", "protobuf-too-new", ["protobuf<4"])
    assert [(r.name, r.role, "protobuf<4" in r.requirements) for r in resolved] == [
        ("new+protobuf-below-4", "converter", True)
    ]
    # Of the state folder: the table does not have such a row.
    assert (project.root / ".matrix" / "locks" / "new+protobuf-below-4.lock").exists()
    assert not (project.root / "envs" / "new+protobuf-below-4.lock").exists()


def test_a_package_for_an_exporter_of_which_a_build_is_used(project: Project, resolved: list[Request]) -> None:
    """Any other build is another download, of gigabytes, and no remedy of what failed."""
    project.engine.script = needs_protobuf(project, "export")
    wanted = ("run", "--tier", "full", "--only", "converter=new", "--only", "exporter=torch-2.13.0-torchscript",
              "--only", "opset=9", "--model", "net", "--torch-build", "cpu", "--remedy")  # fmt: skip
    found = project.json(*wanted)["cells"][0]
    assert found["remedied"] == ["protobuf<4"]
    (request,) = resolved
    assert ("torch==2.13.0+cpu" in request.requirements, request.find_links) == (True, True)


def test_locks_that_may_not_be_made_end_the_search_and_not_the_run(project: Project) -> None:
    project.engine.script = needs_protobuf(project, "convert")
    found = project.json(*RUN, "--remedy", "--locked")["cells"][0]
    assert (found["verdict"], found["reason"], found["remedied"]) == ("error", "protobuf-too-new", None)


def test_only_what_needs_a_new_lock_is_not_tried(project: Project) -> None:
    project.engine.script = too_new(project)

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "convert" and json.loads(given(project, spec)).get("opset") == 7:
            return Deed(small.report("import", error=OLD_PROTOBUF))
        return too_new(project)(work, spec)

    project.engine.script = script
    both = ("run", "--tier", "known", "--only", "opset<=8", "--only", "converter=new", "--remedy", "--locked")
    code, out, err = project(*both, "--format", "json")
    found = {cell["opset_asked"]: cell for cell in json.loads(out)["cells"]}
    assert (code, found[8]["remedied"], found[8]["tried"] != []) == (0, ["ir_version 9→8"], True)
    assert (found[7]["reason"], found[7]["remedied"], found[7]["tried"]) == ("protobuf-too-new", None, [])
    assert "not tried, because it needs a new lock (--locked): new+protobuf-below-4" in err
    assert not list(project.root.rglob("*protobuf*.lock"))


def test_what_needs_no_new_lock_is_tried_after_what_does(project: Project) -> None:
    """With the older Keras the converter goes on to another failure, whose remedy is at hand."""

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        deed = too_new(project)(work, spec)
        if work == "convert" and spec["params"].get("environ") != {"TF_USE_LEGACY_KERAS": "1"}:
            return Deed(small.report("import", "load", "check", "convert", "run", error=KERAS_3))
        return deed

    project.engine.script = script
    (cell,) = project.json(*RUN, "--remedy", "--locked")["cells"]
    assert cell["remedied"] == ["TF_USE_LEGACY_KERAS=1", "ir_version 9→8"]


@pytest.mark.parametrize("error", [ConfigError("an impossible pin"), Indeterminate("no index"), LockStale("stale")])
def test_locks_that_cannot_be_made_end_the_search_and_not_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: Any) -> Lock:
        raise error

    monkeypatch.setattr(resolve, "resolve", fails)
    project.engine.script = needs_protobuf(project, "convert")
    code, out, err = project(*RUN, "--remedy", "--format", "json")
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["reason"], cell["tried"]) == (0, "protobuf-too-new", [])
    assert f"search stopped: {error}" in err
    assert project.json("status")["status"] == "complete"


def test_an_index_that_does_not_answer_ends_the_search_and_not_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> Lock:
        raise Indeterminate("the index does not answer")

    monkeypatch.setattr(resolve, "resolve", silent)
    project.engine.script = needs_protobuf(project, "convert")
    _, out, _ = project(*RUN, "--remedy", "--format", "json")
    assert json.loads(out)["cells"][0]["reason"] == "protobuf-too-new"
