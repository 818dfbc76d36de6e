"""A damaged or malicious export: reported with file and line, and nothing of it is imported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transfer_world import World, filled

from matrix.core.errors import ConfigError
from matrix.outputs.interchange import folder as folders
from matrix.outputs.interchange import incoming


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damaged")
    return filled(root / "source").export(root / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def refused(copy: Path, tmp_path: Path, match: str) -> None:
    """Check that nothing was imported, not even what was read before the damage."""
    world = World(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=match):
        world.take_in(copy)
    assert world.store.runs() == []
    assert world.store.blobs_named() == set()


def a_file(copy: Path, name: str) -> Path:
    return max(copy.rglob(name), key=lambda path: path.stat().st_size)


def edited(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"\n".join(change(path.read_bytes().split(b"\n"))))


@pytest.mark.parametrize("name", ["cells.jsonl", "observations.jsonl", "resolutions.jsonl", "blames.jsonl"])
def test_a_truncated_line(copy: Path, tmp_path: Path, name: str) -> None:
    path = a_file(copy, name)
    path.write_bytes(path.read_bytes()[:-9])
    refused(copy, tmp_path, rf"{name}:\d+: the file ends in the middle of a line")


def test_a_line_that_is_gone(copy: Path, tmp_path: Path) -> None:
    edited(a_file(copy, "observations.jsonl"), lambda lines: lines[1:])
    refused(copy, tmp_path, r"cells.jsonl:\d+: no observation [0-9a-f]{64} in this folder")


def test_lines_out_of_order(copy: Path, tmp_path: Path) -> None:
    edited(a_file(copy, "cells.jsonl"), lambda lines: [lines[1], lines[0], *lines[2:]])
    refused(copy, tmp_path, r"cells.jsonl:2: the lines are not sorted")


def test_an_observation_that_was_edited(copy: Path, tmp_path: Path) -> None:
    edited(a_file(copy, "observations.jsonl"), lambda lines: [line.replace(b'"1.5.0"', b'"1.6.0"') for line in lines])
    refused(copy, tmp_path, "no observation")


def test_an_observation_in_other_words(copy: Path, tmp_path: Path) -> None:
    edited(a_file(copy, "observations.jsonl"), lambda lines: [line.replace(b'"job":', b'"job": ') for line in lines])
    refused(copy, tmp_path, r"observations.jsonl:1: it differs from the form that an export writes")


def test_something_that_no_export_says(copy: Path, tmp_path: Path) -> None:
    edited(a_file(copy, "cells.jsonl"), lambda lines: [lines[0][:-1] + b',"x":1}', *lines[1:]])
    refused(copy, tmp_path, r"cells.jsonl:1: x: Extra inputs are not permitted")


def test_a_blob_with_another_content(copy: Path, tmp_path: Path) -> None:
    next(path for path in (copy / "blobs").rglob("*") if path.is_file()).write_bytes(b"other")
    refused(copy, tmp_path, r"blobs/\w\w/\w{62}: its content does not match its name")


def test_a_blob_that_is_here_already_is_held_against_its_name_too(copy: Path, whole: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "elsewhere")
    world.take_in(whole)
    path = next(path for path in (copy / "blobs").rglob("*") if path.is_file())
    path.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="its content does not match its name"):
        world.take_in(copy)


def test_logs_that_are_nowhere_are_counted(copy: Path, tmp_path: Path) -> None:
    logs = {
        record["log"]
        for path in copy.rglob("observations.jsonl")
        for line in path.read_text().splitlines()
        for record in json.loads(line)["payload"]["passes"]
    } - {""}
    gone = min(log for log in logs if (copy / "blobs" / log[:2] / log[2:]).exists())
    (copy / "blobs" / gone[:2] / gone[2:]).unlink()
    world = World(tmp_path / "elsewhere")
    assert world.take_in(copy).lacking >= 1


def test_a_lock_with_another_content(copy: Path, tmp_path: Path) -> None:
    path = next((copy / "locks").iterdir())
    path.write_text(path.read_text().replace("3.8", "3.9"))
    refused(copy, tmp_path, r"locks/\w{64}.json: it holds another lock")


def test_a_lock_that_is_gone(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "locks")
    refused(copy, tmp_path, r"resolutions.jsonl:1: no lock")


def test_a_newer_schema(copy: Path, tmp_path: Path) -> None:
    (copy / "history.json").write_text(json.dumps({"schema": 2, "kind": folders.KIND, "more": 1}))
    refused(copy, tmp_path, "export of schema 2, this version reads 1; use a newer version")


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    refused(tmp_path / "x", tmp_path, "is not an export: it has no history.json")
    (tmp_path / "x" / "history.json").write_text('{"schema": 1, "kind": "somebody else\'s"}')
    refused(tmp_path / "x", tmp_path, "history.json: not a torch-tf-matrix history")
    (tmp_path / "x" / "history.json").write_text("[" * 100_000)
    refused(tmp_path / "x", tmp_path, "history.json: ")


@pytest.mark.parametrize("uid", ["..", "../../x", "a/b", "", ".git", "x" * 65])
def test_a_name_that_leads_elsewhere(copy: Path, tmp_path: Path, uid: str) -> None:
    path = a_file(copy, "run.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "uid": uid}))
    refused(copy, tmp_path, r"run.json: uid: ")


@pytest.mark.parametrize("field", ["command", "tier", "engine"])
def test_words_that_would_steer_a_terminal(copy: Path, tmp_path: Path, field: str) -> None:
    path = a_file(copy, "run.json")
    document = json.loads(path.read_text())
    document["parts"][0][field] = "run \x1b]0;x\x07"
    path.write_text(json.dumps(document))
    refused(copy, tmp_path, "run.json: it holds characters that would control a terminal")


@pytest.mark.parametrize("said", [r"\u001b]0;x", r"\\\r", "\x9b31m", "\x7f"])
def test_words_of_a_worker_that_would_steer_a_terminal(copy: Path, tmp_path: Path, said: str) -> None:
    path = a_file(copy, "observations.jsonl")
    edited(path, lambda lines: [lines[0].replace(b'"python":"', f'"python":"{said}'.encode()), *lines[1:]])
    refused(copy, tmp_path, r"observations.jsonl:1: it holds characters that would control a terminal")


def test_a_run_in_another_ones_folder(copy: Path, tmp_path: Path) -> None:
    path = a_file(copy, "run.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "uid": "other"}))
    refused(copy, tmp_path, r"run.json: it belongs to run other")


def test_a_blob_name_that_leads_elsewhere(copy: Path, tmp_path: Path) -> None:
    path = a_file(copy, "observations.jsonl")
    edited(path, lambda lines: [line.replace(b'"memory.npz":"', b'"memory.npz":"../') for line in lines])
    refused(copy, tmp_path, r"observations.jsonl:\d+: payload.passes.0.files.memory.npz: ")


@pytest.mark.parametrize("place", ["runs/x y", "blobs/zz", "blobs/ab/short", "locks/x.txt", "comparisons/abc.jsonl"])
def test_a_file_that_no_export_has(copy: Path, tmp_path: Path, place: str) -> None:
    path = copy / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    refused(copy, tmp_path, "no export has such an entry")


@pytest.mark.parametrize("name", ["run.json", "cells.jsonl", "observations.jsonl"])
def test_a_link(copy: Path, tmp_path: Path, name: str) -> None:
    path = a_file(copy, name)
    shutil.move(path, tmp_path / "there")
    path.symlink_to(tmp_path / "there")
    refused(copy, tmp_path, rf"{path.name}: ")


@pytest.mark.parametrize("place", ["runs", "blobs", "locks"])
def test_a_folder_that_is_a_link(copy: Path, tmp_path: Path, place: str) -> None:
    shutil.move(copy / place, tmp_path / "there")
    (copy / place).symlink_to(tmp_path / "there")
    refused(copy, tmp_path, rf"{place}: not a folder")


def test_a_pipe_does_not_block(copy: Path, tmp_path: Path) -> None:
    path = a_file(copy, "run.json")
    path.unlink()
    os.mkfifo(path)
    refused(copy, tmp_path, "run.json: no export has")


def test_a_line_without_end(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_LINE_CAP", 10_000)
    path = a_file(copy, "cells.jsonl")
    with path.open("r+b") as stream:
        stream.truncate(2**30)  # a hole: 1 GB that takes no room
    refused(copy, tmp_path, r"cells.jsonl:\d+: a line of more than")


def test_a_page_without_end(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_PAGE_CAP", 10_000)
    with a_file(copy, "run.json").open("r+b") as stream:
        stream.truncate(2**30)
    refused(copy, tmp_path, r"run.json: more than")


def test_a_blob_without_end(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_BLOB_CAP", 10_000)
    with next(path for path in (copy / "blobs").rglob("*") if path.is_file()).open("r+b") as stream:
        stream.truncate(2**30)
    refused(copy, tmp_path, r"blobs/\w\w/\w{62}: more than")


def test_the_same_cell_twice(copy: Path, tmp_path: Path) -> None:
    path = a_file(copy, "cells.jsonl")

    def doubled(lines: list[bytes]) -> list[bytes]:
        first = json.loads(lines[0])
        other = {**first, "decided": {**first["decided"], "torch": "9"}}
        encoded = json.dumps(other, sort_keys=True, separators=(",", ":")).encode()
        return [*sorted([*lines[:-1], encoded]), b""]

    edited(path, doubled)
    refused(copy, tmp_path, r"cells.jsonl:\d+: net/\S+ occurs twice")


def test_one_damaged_folder_of_two(copy: Path, whole: Path, tmp_path: Path) -> None:
    path = a_file(copy, "cells.jsonl")
    path.write_bytes(path.read_bytes()[:-1])
    world = World(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        world.take_in(whole, copy)
    assert world.store.runs() == []
