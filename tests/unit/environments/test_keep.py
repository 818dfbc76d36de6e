"""What is asked of the resolver, and the file its answer is kept in."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import small
from rows import every
from small import changed

from matrix.core.errors import ConfigError, LockStale
from matrix.environments.locks import keep
from matrix.environments.locks.keep import LockFolders, refresh, stale
from matrix.environments.locks.request import Request, all_requests
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock, parse_lock, read_locks

RESOLVED = small.lock("old", newest_pin=dt.date(2019, 8, 6), as_of="2019-08-20")
REFUSED = small.lock("new", body="", explanation="Python 3.9:\n× No solution found\n\n  ╰─▶ Because …\n#: not a header")


def requests(folder: Path, text: str = small.SMALL) -> dict[str, Request]:
    folder.mkdir(exist_ok=True)
    return {request.name: request for request in all_requests(small.config(folder, text))}


# --- the request -----------------------------------------------------------------------------------------------------


def test_one_request_for_each_environment_in_the_tables_order(tmp_path: Path) -> None:
    exporters = ["torch-1.2.0", "torch-1.12.1", "torch-2.13.0", "torch-2.13.0.cpu"]
    assert [*requests(tmp_path)] == [*exporters, "reference", "old", "new"]


def test_companions_go_with_the_rows_their_ranges_hold(tmp_path: Path) -> None:
    found = requests(tmp_path)
    assert found["new"].requirements == (
        "onnx-tf==1.10.0",
        "onnx==1.10",
        "tensorflow-addons==0.16.1",
        "tensorflow==2.8.0",
    )
    assert "tensorflow-addons" not in dict(found["old"].pinned)
    # Its upload counts for the date as a pin's does.
    assert dict(found["new"].pinned)["tensorflow-addons"] == "0.16.1"


def test_companion_ranges_narrow_each_other(tmp_path: Path) -> None:
    more = '  - when: {onnx: ">=1.10"}\n    add: {protobuf: "<4"}\n    why: x\n  - when: {onnx: ">=1.10"}\n'
    more += '    add: {protobuf: ">=3.9", numpy: ""}\n    why: x\nonnx:\n'
    found = requests(tmp_path, changed("onnx:\n  - {version: 1.5.0", more + "  - {version: 1.5.0"))["new"]
    assert {"protobuf<4,>=3.9", "numpy"} <= set(found.requirements)
    assert "protobuf" not in dict(found.pinned)


def test_a_build_has_its_own_pins_and_the_index_build_no_further_wheels(tmp_path: Path) -> None:
    found = requests(tmp_path)
    assert found["torch-2.13.0.cpu"].requirements == ("torch==2.13.0+cpu",)
    assert found["torch-2.13.0.cpu"].find_links
    assert not found["torch-2.13.0"].find_links
    assert found["torch-1.2.0"].find_links


# What is changed in the table, and whose locks are stale by it.
CHANGES = {
    "a pin": ("tensorflow: 2.8.0", "tensorflow: 2.8.1", {"new"}),
    "a row's date": ("as_of: 2019-08-20", "as_of: 2019-08-21", {"old"}),
    "a row's Python": ('python: "3.8"', 'python: "3.9"', {"old"}),
    "a companion": ('"==0.16.1"', '"==0.17.0"', {"new"}),
    "the override, for rows it can touch": (
        "{tensorflow: tensorflow-cpu}",
        "{tensorflow: tensorflow-intel}",
        {"old", "new"},
    ),
    "the Pythons to try, where the row names none": ('["3.9", "3.8"]', '["3.10", "3.9", "3.8"]', "all but old"),
    "the margin, where the row names no date": ("margin_days: 14", "margin_days: 15", "all but old"),
    "what must be a wheel": ("wheels_only: [numpy]", "wheels_only: [numpy, onnx]", "all"),
    "a build's pin": ("2.13.0+cpu", "2.13.0+cpu.1", {"torch-2.13.0.cpu"}),
    "a note": ('python: "3.8", as_of', 'note: hello, python: "3.8", as_of', set()),
    "a reason": ("why: onnx-tf imports it", "why: it does", set()),
    "a model": ("shape: [1, 4]", "shape: [1, 5]", set()),
    "an expectation": ("verdict: match", "verdict: error", set()),
    "the order of a row's pins": ("{onnx-tf: 1.10.0, onnx: 1.10,", "{onnx: 1.10, onnx-tf: 1.10.0,", set()),
    "the order of the wheels": ("wheels_only: [numpy]", "wheels_only:\n    - numpy", set()),
}


@pytest.mark.parametrize(("old", "new", "hit"), CHANGES.values(), ids=CHANGES.keys())
def test_a_lock_is_stale_exactly_when_what_decides_it_changed(tmp_path: Path, old: str, new: str, hit: object) -> None:
    before = requests(tmp_path / "before")
    after = requests(tmp_path / "after", changed(old, new))
    locks = {name: small.lock(name, request=request.digest) for name, request in before.items()}
    names = {request.name for request in stale(after.values(), locks)}
    assert names == {"all": {*after}, "all but old": {*after} - {"old"}}.get(str(hit), hit)


def test_a_row_without_lock_is_stale(tmp_path: Path) -> None:
    found = requests(tmp_path)
    assert [r.name for r in stale([found["old"]], {})] == ["old"]


def test_what_else_is_in_a_request(tmp_path: Path) -> None:
    one = requests(tmp_path)["old"]
    assert one.digest != replace(one, find_links=False).digest
    assert one.digest != replace(one, role="exporter").digest
    assert one.digest == replace(one, name="renamed").digest


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lock", [RESOLVED, REFUSED, replace(RESOLVED, find_links=False)], ids=["yes", "no", "no links"]
)
def test_text_and_lock_are_the_same_thing(lock: Lock) -> None:
    read = parse_lock(lock.text(), Path("x.lock"))
    assert read == lock
    assert read.text() == lock.text()


@every(sorted((small.ROOT / "envs").glob("*.lock")), lambda path: path.stem)
def test_committed_locks_are_written_as_today(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert parse_lock(text, path).text() == text


def test_packages_by_their_normalised_name() -> None:
    body = "Foo_Bar==1.0 \\\n    --hash=sha256:00\nbaz==2+cpu ; python_version < '3' \\\n    --hash=sha256:00\n"
    lock = small.lock("x", body=body)
    assert lock.packages == {"foo-bar": "1.0", "baz": "2+cpu"}


def test_the_digest_is_of_what_gets_installed() -> None:
    same = replace(RESOLVED, name="other", request="1" * 64, resolver="uv 9", as_of=dt.date.max)
    assert RESOLVED.digest == same.digest
    others = [
        replace(RESOLVED, body=RESOLVED.body.replace("sha256:0", "sha256:1")),
        replace(RESOLVED, python="3.9"),
        replace(RESOLVED, role="exporter"),
        REFUSED,
        replace(REFUSED, explanation="another"),
    ]
    assert len({RESOLVED.digest, *(other.digest for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.replace("#: python: '3.8'\n", ""),
        lambda text: text.replace("2019-08-20", "2019-88-20"),
        lambda text: text.replace("schema: 1", "schema: 2"),
        lambda text: text.replace("#: role: converter", "#: role: [converter"),
        lambda text: text[len(text) // 2 :],
    ],
)
def test_a_damaged_lock_names_its_file(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "old.lock"
    path.write_text(damage(RESOLVED.text()), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(ConfigError) as caught:
        read_locks(tmp_path)
    assert str(caught.value).startswith(f"{path}:1: ")
    assert "python -m matrix lock" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("#: role", "<<<<<<< HEAD\n#: role", 4),
        ("#: request", "=======\n#: request", 11),
        ("#: request", "# a remark\n#: request", 12),
        ("onnx==", "<<<<<<< HEAD\nonnx==", 12),
        (small.HASH, f"{small.HASH}\n>>>>>>> theirs", 14),
        (small.HASH, small.HASH[:-1], 13),
        (small.HASH, small.HASH.replace("sha256", "md5"), 13),
        (small.HASH, f"{small.HASH} \\", 13),
        (small.HASH, "", 13),
        ("onnx==1.5.0 \\", "onnx==1.5.0", 13),
        ("onnx==1.5.0", "onnx>=1.5.0", 12),
        ("onnx==1.5.0", "onnx @ https://host/onnx.whl", 12),
        ("onnx==1.5.0", "--index-url https://host\nonnx==1.5.0", 12),
        ("onnx==1.5.0", "tensorflow==1.5.0\ntensorflow-cpu==1.5.0", 13),
        ("#: outcome: resolved", "#: outcome: unsatisfiable", 1),
        ("#: role: converter", "#: role: conductor", 1),
        ("# Written by", "#: # Written by", 1),
    ],
)
def test_an_invalid_line_of_a_lock_is_named(old: str, new: str, line: int) -> None:
    text = RESOLVED.text()
    assert text.count(old) == 1
    with pytest.raises(ConfigError, match="run: python -m matrix lock") as caught:
        parse_lock(text.replace(old, new), Path("x.lock"), [frozenset(("tensorflow", "tensorflow-cpu"))])
    assert str(caught.value).startswith(f"x.lock:{line}: ")


def test_a_damaged_lock_can_be_set_aside(tmp_path: Path) -> None:
    (tmp_path / "old.lock").write_text(RESOLVED.text(), encoding="utf-8")
    (tmp_path / "half.lock").write_text("half of", encoding="utf-8")
    (tmp_path / "other.lock").write_text(RESOLVED.text(), encoding="utf-8")
    (tmp_path / "bytes.lock").write_bytes(b"\xff\xfe")
    damaged: dict[str, str] = {}
    assert read_locks(tmp_path, damaged) == {"old": RESOLVED}
    assert damaged.keys() == {"half", "other", "bytes"}
    assert all(message.startswith(f"{tmp_path / name}.lock:1: ") for name, message in damaged.items())


def test_a_lock_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "new.lock").write_text(RESOLVED.text(), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds the lock of 'old'"):
        read_locks(tmp_path)


def test_no_folder_no_locks(tmp_path: Path) -> None:
    assert read_locks(tmp_path / "envs") == {}


# --- keeping them current --------------------------------------------------------------------------------------------


def folders(root: Path) -> LockFolders:
    return LockFolders(root / "envs", root / "state" / "locks")


def test_variants_stay_out_of_the_committed_folder(tmp_path: Path) -> None:
    kept = folders(tmp_path)
    assert kept.write(RESOLVED, variant=False) == tmp_path / "envs" / "old.lock"
    assert kept.write(replace(REFUSED, name="old+onnx1"), variant=True).parent == tmp_path / "state" / "locks"
    assert kept.read() == {"old": RESOLVED, "old+onnx1": replace(REFUSED, name="old+onnx1")}


def test_a_committed_lock_goes_before_a_variants(tmp_path: Path) -> None:
    kept = folders(tmp_path)
    kept.write(replace(RESOLVED, python="3.9"), variant=True)
    kept.write(RESOLVED, variant=False)
    assert kept.read()["old"].python == "3.8"


def test_stale_and_not_allowed(tmp_path: Path) -> None:
    wanted = requests(tmp_path)
    with pytest.raises(LockStale, match="old, new"):
        refresh([wanted["old"], wanted["new"]], folders(tmp_path), frozenset(), IndexSettings(), print, allowed=False)
    assert refresh([], folders(tmp_path), frozenset(), IndexSettings(), print, allowed=False) == []


def test_each_lock_is_written_before_the_next_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matrix.environments.locks import resolve as resolving

    def resolve(request: Request, *_: object) -> Lock:
        if request.name == "new":
            raise ConfigError("the index went away")
        return small.lock(request.name, request=request.digest)

    monkeypatch.setattr(resolving, "resolve", resolve)
    wanted = requests(tmp_path)
    with pytest.raises(ConfigError, match="went away"):
        refresh([wanted["old"], wanted["new"]], folders(tmp_path), frozenset(), IndexSettings(), lambda _: None)
    assert not stale([wanted["old"]], keep.read_locks(tmp_path / "envs"))
