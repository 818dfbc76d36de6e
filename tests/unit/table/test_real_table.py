"""What matrix.yml and envs/ of this repository must hold."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import small
from rows import every

from matrix.environments.locks.keep import stale
from matrix.environments.locks.request import all_requests
from matrix.packages.lock import Lock, read_locks
from matrix.planning import Cell, Selection, make_plan
from matrix.table import Config, ConverterRow, load_config, selectors
from matrix.table.exporters import expand

# From onnx/onnx docs/Versioning.md; the first rows are the article's.
ONNX = {
    # version: (IR, ai.onnx, ai.onnx.ml)
    "1.0.0": (3, 1, 1), "1.1.0": (3, 5, 1), "1.1.2": (3, 6, 1), "1.2.1": (3, 7, 1), "1.3.0": (3, 8, 1),
    "1.4.1": (4, 9, 1), "1.5.0": (5, 10, 1),
    "1.6.0": (6, 11, 2), "1.7.0": (7, 12, 2), "1.8.0": (7, 13, 2), "1.8.1": (7, 13, 2), "1.9.0": (7, 14, 2),
    "1.10.2": (8, 15, 2), "1.11.0": (8, 16, 3), "1.12.0": (8, 17, 3), "1.13.1": (8, 18, 3), "1.14.1": (9, 19, 3),
    "1.15.0": (9, 20, 4), "1.16.2": (10, 21, 5), "1.17.0": (10, 22, 5),
}  # fmt: skip

# (onnx-tf, onnx, TensorFlow); two parts mean any patch release.
CONVERTERS = [
    ("1.1.2", "1.2.1", "1.13.1"),
    # the official pairs
    ("1.2.1", "1.1.2", "1.5"), ("1.3.0", "1.3.0", "1.13.1"), ("1.5.0", "1.5.0", "1.15.0"),
    ("1.6.0", "1.6.0", "2.2.0"), ("1.7.0", "1.7.0", "2.3.1"), ("1.8.0", "1.8.0", "2.4.1"),
    ("1.9.0", "1.9.0", "2.6.0"), ("1.10.0", "1.10.2", "2.8.0"),
    # onnx-tf 1.3.0 with newer onnx
    ("1.3.0", "1.4.1", "1.13.1"), ("1.3.0", "1.5.0", "1.13.1"),
    # onnx-tf 1.10.0 with everything after it
    ("1.10.0", "1.11", "2.9"), ("1.10.0", "1.12", "2.10"), ("1.10.0", "1.13.1", "2.12"), ("1.10.0", "1.14.1", "2.13"),
    ("1.10.0", "1.15", "2.15"), ("1.10.0", "1.17", "2.15"), ("1.10.0", "1.16.2", "2.16"),
]  # fmt: skip

# (exporter, opset, converter); from the table of outcomes measured before.
KNOWN = {
    ("torch-1.0.1", 9, "onnxtf1.3.0-onnx1.4.1-tf1.13.1"): "match",
    ("torch-1.2.0", 9, "onnxtf1.3.0-onnx1.4.1-tf1.13.1"): "match",
    ("torch-1.0.1", 9, "onnxtf1.3.0-onnx1.3.0-tf1.13.1"): "error",
    ("torch-1.2.0", 9, "onnxtf1.1.2-onnx1.2.1-tf1.13.1"): "error",
    ("torch-1.2.0", 10, "onnxtf1.3.0-onnx1.5.0-tf1.13.1"): "unsupported",
    ("torch-1.12.1", 15, "onnxtf1.10.0-onnx1.10.2-tf2.8.0"): "match",
}


@cache
def table() -> Config:
    return load_config(small.TABLE)


@cache
def committed() -> dict[str, Lock]:
    return read_locks(small.ROOT / "envs")


LOCKS = sorted((small.ROOT / "envs").glob("*.lock"))


@every(ONNX)
def test_onnx_releases(version: str) -> None:
    release = next(r for r in table().onnx if r.version == version)
    assert (release.ir, release.opset, release.ml_opset) == ONNX[version]


def test_newer_onnx_never_knows_less() -> None:
    facts = [(r.ir, r.opset, r.ml_opset) for r in table().onnx]
    assert facts == sorted(facts)
    assert len(facts) >= 35


@every(CONVERTERS)
def test_converters(row: tuple[str, str, str]) -> None:
    onnx_tf, onnx, tensorflow = row

    def fits(row: ConverterRow) -> bool:
        wanted = (("onnx-tf", onnx_tf), ("onnx", onnx), ("tensorflow", tensorflow))
        return all(f"{row.pins[package]}.".startswith(f"{version}.") for package, version in wanted)

    assert any(map(fits, table().converters))


def test_converters_state_only_what_they_pin() -> None:
    whole = [row for row in table().converters if row.companions]
    assert len(whole) >= 18
    assert {frozenset(row.pins) for row in whole} == {frozenset({"onnx-tf", "onnx", "tensorflow"})}


def test_rows_without_companions_are_what_someone_knows_who_knows_the_pair() -> None:
    """They are there for what moved since: something must be left to move, and nothing be bounded by the table."""
    bare = [row for row in table().converters if not row.companions]
    assert bare
    for row in bare:
        assert {"onnx-tf", "tensorflow"} <= row.pins.keys() and "onnx" not in row.pins
        assert not row.add and not row.within
        assert row.python is not None and row.as_of is not None, "of its own time, written down"
        # Left open, and in the lock of then.
        assert {"onnx", "protobuf", "numpy"} <= committed()[row.id].packages.keys()


def test_exporters() -> None:
    exporters = {(exporter.torch, exporter.via) for exporter in expand(table())}
    for torch in ("1.0.1", "1.1.0", "1.2.0", "1.4.0", "1.8.1", "1.12.1"):
        assert (torch, "torchscript") in exporters
    (current,) = [row for row in table().exporters if row.current]
    assert current.pins["torch"].startswith("2.")
    assert {via for torch, via in exporters if torch == current.pins["torch"]} == {"torchscript", "dynamo", "builder"}
    assert current.builds, "a CPU build beside the index's own"


# From torch/onnx in each wheel.
OPSETS = {
    "1.0.1": (9, 9), "1.1.0": (9, 10), "1.2.0": (7, 10), "1.4.0": (7, 11), "1.8.1": (7, 13), "1.12.1": (7, 16),
    "2.13.0": (7, 20),
}  # fmt: skip


@every(OPSETS)
def test_opsets_of_torch(version: str) -> None:
    assert next(r for r in table().torch if r.version == version).opsets == OPSETS[version]


def test_models_are_of_two_families() -> None:
    hair = next(model for model in table().models if model.id == "mobilehairnet")
    assert hair.inputs[0].shape == (1, 3, 224, 224)
    assert len({model.factory for model in table().models}) >= 2


def test_tiers() -> None:
    assert {"smoke", "quick", "known", "documented", "full"} <= table().tiers.keys()
    assert table().default_tier == "quick"


def test_smoke_is_one_exporter_and_two_generations_of_tensorflow() -> None:
    cells = make_plan(table(), committed(), Selection("smoke"), None).cells
    assert len({cell.exporter.id for cell in cells}) == 1
    assert sorted(cell.converter.pins["tensorflow"][0] for cell in cells) == ["1", "2"]


def test_quick_has_an_exporter_of_each_converters_time() -> None:
    cells = make_plan(table(), committed(), Selection("quick"), None).cells
    assert {cell.converter.pins["tensorflow"].split(".")[0] for cell in cells} == {"1", "2"}
    for cell in cells:
        newest = next(r.opset for r in table().onnx if r.version == cell.converter.pins["onnx"])
        assert cell.opset <= newest


def known_cells() -> tuple[Cell, ...]:
    return make_plan(table(), committed(), Selection("known"), None).cells


def test_known_is_planned() -> None:
    planned = {(cell.exporter.id, cell.opset, cell.converter.id) for cell in known_cells()}
    assert planned >= KNOWN.keys()
    assert any(exporter == "torch-1.1.0" for exporter, _, _ in planned)
    assert {(e, o) for e, o, _ in planned} >= {(e, o) for e in ("torch-1.2.0", "torch-1.4.0") for o in (7, 8)}
    assert {o for e, o, _ in planned if e.endswith("-dynamo")} == {7}
    assert any("tf2.16" in converter for _, _, converter in planned)


def test_known_is_expected() -> None:
    rules = [(selectors.from_mapping(item.cells), item.verdict) for item in table().expect]
    for cell in known_cells():
        verdicts = {verdict for selector, verdict in rules if selector(cell.subject)}
        wanted = KNOWN.get((cell.exporter.id, cell.opset, cell.converter.id))
        assert verdicts, cell.id
        assert wanted is None or verdicts == {wanted}, cell.id


def test_every_lock_is_current_and_every_environment_has_one() -> None:
    requests = all_requests(table())
    assert [request.name for request in stale(requests, committed())] == []
    assert committed().keys() == {request.name for request in requests}


def test_a_row_is_locked_for_the_python_and_date_it_states() -> None:
    for request in all_requests(table()):
        lock = committed()[request.name]
        assert lock.role == request.role
        assert lock.python == (request.python or lock.python) and lock.python in request.pythons
        assert lock.as_of == (request.as_of or lock.as_of)


@every(LOCKS, lambda path: path.stem)
def test_a_lock_pins_and_hashes_every_package(path: Path) -> None:
    lock = committed()[path.stem]
    if lock.outcome == "unsatisfiable":
        assert lock.explanation and not lock.body
        return
    blocks = re.split(r"\n(?=\S)", lock.body.strip())
    assert len(blocks) == len(lock.packages) > 3
    for block in blocks:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", block), block[:200]


@every(LOCKS, lambda path: path.stem)
def test_a_lock_holds_the_rows_pins(path: Path) -> None:
    lock = committed()[path.stem]
    request = next(r for r in all_requests(table()) if r.name == lock.name)
    if lock.outcome == "unsatisfiable":
        return
    for package, version in request.pinned:
        found = lock.packages.get(package) or lock.packages[dict(request.replace)[package]]
        # A build's pin has a local part that its row's pin lacks.
        assert found.split("+")[0] == version.split("+")[0]


@every(LOCKS, lambda path: path.stem)
def test_a_lock_tells_nothing_of_where_it_was_made(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|\bfile:|@ |/home/|/root|/Users/|/tmp|/opt|--index|--find-links", text)


def test_no_lock_has_tensorflow_twice() -> None:
    both = {"tensorflow", "tensorflow-cpu"}
    assert [name for name, lock in committed().items() if both <= lock.packages.keys()] == []
    assert any("tensorflow-cpu" in lock.packages for lock in committed().values())
