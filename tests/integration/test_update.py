"""New releases on the real index: their metadata, and the real table with rows for them."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version
from product import Project
from tables import ROOT

from matrix.answers.releases.facts import ONNX_FILES, TORCH_FILES, onnx_release, torch_opsets
from matrix.answers.releases.index import IndexReleases
from matrix.packages.index import IndexSettings
from matrix.table import Config, load_config
from matrix.table.model import TorchRelease

NOWHERE = "http://127.0.0.1:9/simple"
REAL = ROOT / "matrix.yml"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Project]:
    """A copy of the real table and its locks. Nothing is built, so no interpreter is needed."""
    project = Project(tmp_path / "project", tmp_path / "state")
    project.folder.mkdir()
    shutil.copy(REAL, project.table)
    shutil.copytree(ROOT / "envs", project.folder / "envs")
    yield project
    project.end_processes()


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(REAL)


def test_releases_say_what_the_table_says_of_them(config: Config) -> None:
    index = IndexReleases(IndexSettings.resolve())
    for onnx in config.onnx[-4:]:
        version = Version(onnx.version)
        assert onnx_release(version, index.read("onnx", version, ONNX_FILES)) == onnx
    for torch in config.torch[-2:]:
        found = torch_opsets(index.read("torch", Version(torch.version), TORCH_FILES))
        assert found == (torch.opsets, torch.dynamo), torch.version


def test_what_onnx_defines_is_what_is_published_later(config: Config) -> None:
    """As of a release that is missing from its own VERSION_TABLE."""
    index = IndexReleases(IndexSettings.resolve())
    for onnx in config.onnx[-4:]:
        files = index.read("onnx", Version(onnx.version), ONNX_FILES[1:])
        assert onnx_release(Version(onnx.version), files) == onnx


def forget_newest_torch(table: Path, config: Config) -> TorchRelease:
    """Take the newest torch out of the table, and the exporter that may pin it."""
    newest = config.torch[-1]
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [
        line
        for line in lines
        if not line.startswith((f"  - {{version: {newest.version}, released:", f"  - {{id: torch-{newest.version},"))
    ]
    assert len(lines) - len(kept) in (1, 2)
    table.write_text("".join(kept), encoding="utf-8")
    return newest


def _minor(version: str) -> tuple[int, int]:
    return Version(version).major, Version(version).minor


def test_rows_for_all_that_is_new_and_then_nothing_is(mine: Project, config: Config) -> None:
    newest = forget_newest_torch(mine.table, config)
    before = mine.table.read_bytes()
    done = mine.call("update", "--format", "json")
    assert done.code == 0, done.err
    document = done.document
    proposals = document["proposals"]
    assert {proposal["outcome"] for proposal in proposals} <= {"lockable", "unsatisfiable"}
    (again,) = (
        proposal["facts"]
        for proposal in proposals
        if proposal["package"] == "torch" and _minor(proposal["version"]) == _minor(newest.version)
    )
    assert (tuple(again["opsets"]), tuple(again["dynamo"])) == (newest.opsets, newest.dynamo)

    # Lines were added, none removed, and they are the rows of the document.
    after = mine.table.read_text(encoding="utf-8")
    changes = [line for line in difflib.ndiff(before.decode().splitlines(), after.splitlines()) if line[0] in "+-?"]
    assert {line[0] for line in changes} == {"+"}
    assert [line for line in changes if "{id: " in line] == [
        line for line in changes if any(line.startswith(f"+   - {{id: {row}, pins: ") for row in document["rows"])
    ]
    rows = load_config(mine.table)
    assert {row.id for row in (*rows.exporters, *rows.converters)} >= set(document["rows"]) > set()

    # Locking a proposed row gives the lock for which it was proposed.
    first = next(proposal for proposal in proposals if proposal["outcome"] == "lockable")
    locked = mine.call("lock", first["row"]["id"])
    assert locked.code == 0, locked.err
    text = (mine.folder / "envs" / f"{first['row']['id']}.lock").read_text()
    assert all(f"\n{name}=={version} " in text for name, version in first["packages"].items())

    assert mine.call("update", "--check").code == 0


def test_without_an_index_nothing_is_known_and_nothing_written(mine: Project) -> None:
    before = mine.table.read_bytes()
    for arguments in ((), ("--check",)):
        done = mine.call("update", *arguments, "--index-url", NOWHERE)
        assert done.code == 7, done.err
        assert "torch: unknown, the package index did not answer about torch" in done.out
        assert "could not decide about torch, onnx, onnx-tf, tensorflow" in done.err
    assert mine.table.read_bytes() == before
