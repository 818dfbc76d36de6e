"""Families: ours, and those that another package provides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small

from matrix.core.converter_code import ConverterCode
from matrix.core.errors import ConfigError
from matrix.core.paths import CONVERTER
from matrix.execution.graph import Graphs
from matrix.execution.job_identity import JobMaker
from matrix.families import KNOWN, Family, family_named, find_family, in_order, registry
from matrix.families.converter_folder import converter_folder, remove_unused
from matrix.families.onnx_tf import OnnxTf
from matrix.judging.judge import ways_of
from matrix.planning import Selection, make_plan
from matrix.planning.cells import cell_named
from matrix.store.records import Pass
from matrix.table import load_config
from matrix.table.ids import FIRST_FAMILY
from matrix.table.selectors import from_text

TOYS = small.ROOT / "tests" / "families"

# Rows of the toy families beside those of the small table.
ROWS = """\
  - {id: text, family: onnx-text, pins: {protobuf: 4.25.3, onnx: 1.10}}
  - {id: script, family: torchscript, pins: {torch: 1.12.1}}
models:
"""


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy families on the path, as if they were installed."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(TOYS)])
    registry._external.cache_clear()
    yield
    registry._external.cache_clear()


def test_the_first_is_ours() -> None:
    assert family_named(FIRST_FAMILY).packages == ("onnx-tf", "onnx", "tensorflow")
    assert list(KNOWN) == ["onnx-tf"] and len(KNOWN) == 1
    assert OnnxTf().row_id({"onnx-tf": "1.10.0", "onnx": "1.15.0", "tensorflow": "2.15.0"}) == (
        "onnxtf1.10.0-onnx1.15.0-tf2.15.0"
    )


def test_what_remedies_may_refer_to() -> None:
    facts = OnnxTf().facts
    assert facts({"tensorflow": "2.15.0"}) == {"tensorflow_minor": "2.15", "tensorflow_probability_minor": "0.23"}
    assert facts({"tensorflow": "2.17.1"})["tensorflow_probability_minor"] == "0.24"
    assert facts({"tensorflow": "1.15.0"}) == {"tensorflow_minor": "1.15"}
    assert facts({}) == {}


def test_others_come_by_an_entry_point(toys: None) -> None:
    assert [one.name for one in in_order(["torchscript", "onnx-tf", "nowhere"])] == ["onnx-tf", "torchscript"]
    found = find_family("onnx-text")
    assert found is not None and found.artifacts == ("onnx-text", "onnx-json")
    assert list(KNOWN) == ["onnx-tf", "onnx-text", "torchscript"]


def test_one_that_cannot_be_loaded_is_an_error_only_for_commands_that_name_it(
    tmp_path: Path, toys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nbroken = no_such_module:FAMILY\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry._external.cache_clear()
    assert list(KNOWN) == ["onnx-tf", "onnx-text", "torchscript"]
    with pytest.raises(ConfigError, match=r"'broken' of no_such_module:FAMILY cannot be loaded \(ModuleNotFoundError"):
        find_family("broken")


def test_one_that_is_no_longer_installed_is_only_a_name() -> None:
    gone = family_named("gone")
    assert (gone.name, gone.packages, gone.capabilities) == ("gone", (), frozenset())
    assert next(ways_of(gone.scheme, ["reference.npz", "torch.npz"])).leg == "torch-onnxruntime"


def test_a_row_of_an_unknown_family_is_reported_with_its_line(tmp_path: Path) -> None:
    text = small.changed("models:\n", ROWS)
    path = small.table(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, families=KNOWN)
    assert f"{path}:{small.position(text, 'family: onnx-text')}: there is no family 'onnx-text'" in str(caught.value)


def test_a_row_has_to_pin_what_names_it(tmp_path: Path, toys: None) -> None:
    path = small.table(tmp_path, small.changed("models:\n", ROWS.replace("protobuf: 4.25.3, ", "")))
    with pytest.raises(ConfigError, match="text must pin protobuf"):
        load_config(path, families=KNOWN)


def test_a_torch_module_needs_no_exporter_and_no_opset(tmp_path: Path, toys: None) -> None:
    table = small.config(tmp_path, small.changed("models:\n", ROWS))
    locks = small.locks(table)
    plan = make_plan(table, locks, Selection("full"), "cpu")
    direct = [cell for cell in plan.cells if cell.converter.id == "script"]
    assert [cell.id for cell in direct] == ["net/direct/script", "other/direct/script"]
    assert {cell.exporter.torch for cell in direct} == {"1.12.1"}
    assert cell_named(table, locks, "net/direct/script").id == "net/direct/script"
    graph = Graphs(table, plan).of(direct[0])
    assert [(node.kind, node.environment) for node in graph.nodes] == [
        ("forward", "torch-2.13.0.cpu"),
        ("direct", "script"),
    ]
    # The other family of files goes the usual way.
    text = next(cell for cell in plan.cells if cell.converter.id == "text")
    assert [node.kind for node in Graphs(table, plan).of(text).nodes] == ["forward", "export", "reference", "convert"]


def test_code_from_outside_lies_beside_ours_and_changes_nothing_of_it(tmp_path: Path, toys: None) -> None:
    families = in_order(KNOWN)
    assert converter_folder(CONVERTER, in_order([FIRST_FAMILY]), tmp_path) == CONVERTER
    made = converter_folder(CONVERTER, families, tmp_path)
    assert converter_folder(CONVERTER, families, tmp_path) == made
    names = {path.name for path in ConverterCode(made).closure(["converter.families.text.reload_json"])}
    assert {"reload_json.py", "run.py"} <= names and "convert.py" not in names
    ours = ["converter.worker", OnnxTf().converts.module]
    assert ConverterCode(made).digest(ours) == ConverterCode(CONVERTER).digest(ours)

    old = tmp_path / "of another day" / "converter"
    old.mkdir(parents=True)
    remove_unused(made, tmp_path)
    assert made.is_dir() and not old.exists()
    remove_unused(CONVERTER, tmp_path / "nothing is there")
    remove_unused(CONVERTER, tmp_path)
    assert not made.exists()


def test_artifacts_without_a_model_in_memory_are_each_compared_with_the_reference(toys: None) -> None:
    scheme = family_named("onnx-text").scheme
    legs = {way.leg: (way.one, way.two, way.main) for way in ways_of(scheme, ["reference.npz", "text.npz", "json.npz"])}
    assert legs == {
        "onnxruntime-onnx-text": ("reference.npz", "text.npz", True),
        "onnxruntime-onnx-json": ("reference.npz", "json.npz", False),
    }
    scheme = family_named("torchscript").scheme
    ways = list(ways_of(scheme, ["torch.npz", "own.npz", "reloaded.npz"]))
    assert [(way.leg, way.role, way.by_position) for way in ways] == [
        ("torch-torch", "exporter", True),
        ("torch-torchscript", "converter", True),
    ]


class _Odd(Family):
    """The minimum that a family has to state."""

    name = title = "odd"
    source = "onnx"
    packages = ("odd",)
    runtime = "odd"
    code = "odd"
    folder = TOYS / "toy_families" / "script"
    loads = (Pass("converter.families.odd.reload", ("a.npz",), ("odd",), numbers="a.npz"),)


def _made(**changes: Any) -> Family:
    made = _Odd()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (5, "inherits from matrix.families.Family"),
        (_Odd, "inherits from matrix.families.Family"),
        (_made(name="even"), "is named 'even'"),
        (_made(source="keras"), "has the source 'keras'"),
        (_made(packages=()), "names no packages"),
        (_made(packages=("Odd_One",)), "in normalized form (odd-one)"),
        (_made(watched=("torch",)), "lists in watched packages that are not its own: torch"),
        (_made(code="onnx_tf"), "belongs to another family"),
        (_made(folder=None), "has no convert.py in its folder None"),
        (_made(folder=TOYS), f"has no convert.py in its folder {TOYS}"),
        (_made(capabilities=frozenset({"trace"})), "has no module converter.families.odd.trace"),
        (
            _made(loads=(Pass("converter.families.odd.reload", (), ("odd",), numbers="a.npz"),)),
            "whose numbers, 'a.npz'",
        ),
        (_made(loads=(_Odd.loads * 2)), "loads two artifacts with the same module"),
    ],
)
def test_a_faulty_external_family_is_reported(made: object, words: str) -> None:
    assert any(words in wrong for wrong in registry._faults("odd", made, {}))


def test_names_and_folders_are_unique() -> None:
    assert not [*registry._faults("odd", _made(), {})]
    assert any("name of another" in wrong for wrong in registry._faults("odd", _made(), {"odd": _made(code="other")}))
    assert any("belongs to another" in wrong for wrong in registry._faults("odd", _made(), {"even": _made()}))


def test_a_copy_is_made_anew_where_only_a_familys_place_changes(tmp_path: Path) -> None:
    one, two = _made(code="one"), _made(code="two")
    assert converter_folder(CONVERTER, [one], tmp_path) != converter_folder(CONVERTER, [two], tmp_path)
    assert (converter_folder(CONVERTER, [two], tmp_path) / "families" / "two" / "convert.py").is_file()


def test_what_a_pass_leaves_is_part_of_a_jobs_identity() -> None:
    more = _made(loads=(replace(_Odd.loads[0], leaves=("a.npz", "b.npz")),))
    maker = JobMaker(ConverterCode(CONVERTER))
    assert maker.make("convert", "env", {}, {}, _made()).id != maker.make("convert", "env", {}, {}, more).id


def test_a_direct_cell_has_a_family_and_no_opset(tmp_path: Path, toys: None) -> None:
    table = small.config(tmp_path, small.changed("models:\n", ROWS))

    def chosen(*only: str) -> set[str]:
        selection = Selection("full", tuple(map(from_text, only)))
        return {cell.converter.id for cell in make_plan(table, small.locks(table), selection, "cpu").cells}

    assert chosen("family=torchscript") == {"script"}
    assert chosen("family=onnx-*") == {"old", "new", "text"}
    assert "script" not in chosen("opset>=0")
