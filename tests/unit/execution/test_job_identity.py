"""The identity of a job: what changes it and what does not."""

from __future__ import annotations

import io
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small

from matrix.core.converter_code import ConverterCode
from matrix.execution.drawn_inputs import DRAWS, make_inputs
from matrix.execution.job_identity import Job, JobMaker, export_params
from matrix.execution.user_files import UserFiles
from matrix.families.onnx_tf import OnnxTf
from matrix.store.blobs import FolderBlobs
from matrix.table import Config, ModelInput, ModelSpec
from matrix.table.exporters import Exporter, expand

CONVERTER = small.ROOT / "converter"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of converter/ for a test to edit."""
    return Path(shutil.copytree(CONVERTER, tmp_path / "converter", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def table(tmp_path: Path) -> Config:
    return small.config(tmp_path)


def ids(code: Path, table: Config, **changes: Any) -> dict[str, str]:
    """Ids of one job of each kind, and of an export for each zoo model."""
    maker = JobMaker(ConverterCode(code))
    given: dict[str, Any] = {"environment": "e", "inputs": "i", "onnx": "o", "opset": 9, "files": {}} | changes
    exporter = expand(table)[changes.get("exporter", 0)]
    net, other = table.models
    files = {"model.onnx": given["onnx"], "inputs.npz": given["inputs"]}
    return {
        "export": export(maker, net, exporter, given).id,
        "export other": export(maker, other, exporter, given | {"files": {}}).id,
        "reference": maker.make("reference", given["environment"], {}, files).id,
        "convert": maker.make("convert", given["environment"], {}, files, OnnxTf()).id,
    }


def export(maker: JobMaker, model: ModelSpec, exporter: Exporter, given: dict[str, Any]) -> Job:
    params, imports = export_params(model, exporter, given["opset"], 4, False)
    files = {"inputs.npz": given["inputs"], **given["files"]}
    return maker.make("export", given["environment"], params, files, imports=imports)


def different(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


# --- converter/ ------------------------------------------------------------------------------------------------------


def edit(name: str) -> Callable[[Path], None]:
    def append(code: Path) -> None:
        with (code / name).open("a", encoding="utf-8") as stream:
            stream.write("\n# edited\n")

    return append


def add_zoo_model(code: Path) -> None:
    (code / "zoo" / "brandnew.py").write_text("from converter import weights\n")


def add_stage(code: Path) -> None:
    (code / "stages" / "coverage.py").write_text("from converter import graph\n")


def add_family(code: Path) -> None:
    (code / "families" / "other").mkdir()
    (code / "families" / "other" / "convert.py").write_text("from converter import graph\n")


EXPORTS = {"export", "export other"}

EDITS = {
    "the export stage": (edit("stages/export.py"), EXPORTS),
    "the convert stage": (edit("families/onnx_tf/convert.py"), {"convert"}),
    "the reload stage": (edit("families/onnx_tf/reload.py"), {"convert"}),
    "the reference stage": (edit("stages/reference.py"), {"reference"}),
    "a zoo model": (edit("zoo/gestures.py"), {"export"}),
    "the worker": (edit("worker.py"), EXPORTS | {"reference", "convert"}),
    "what the worker imports": (edit("results.py"), EXPORTS | {"reference", "convert"}),
    "what only models import": (edit("weights.py"), EXPORTS),
    "the package around the stages": (edit("stages/__init__.py"), EXPORTS | {"reference"}),
    "the package around a family": (edit("families/onnx_tf/__init__.py"), {"convert"}),
    "the package around the models": (edit("zoo/__init__.py"), EXPORTS),
    "a new zoo model": (add_zoo_model, set()),
    "a new stage": (add_stage, set()),
    "another family": (add_family, set()),
}


def drawn(spec: ModelSpec) -> bytes:
    return make_inputs(spec.inputs, spec.seed)


@pytest.mark.parametrize(("change", "hit"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_touches_only_the_jobs_that_import_it(
    code: Path, table: Config, change: Callable[[Path], None], hit: set[str]
) -> None:
    before = ids(code, table)
    change(code)
    assert different(before, ids(code, table)) == hit


def test_where_converter_lies_does_not_matter(code: Path, table: Config) -> None:
    assert ids(code, table) == ids(CONVERTER, table)


def names(paths: tuple[Path, ...], root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in paths}


def test_the_closure_follows_every_form_of_import(tmp_path: Path) -> None:
    root = tmp_path / "converter"
    for name, text in {
        "__init__.py": "",
        "start.py": "import os, converter.a\nfrom converter import b, no\ndef f():\n    import converter.sub.c\n",
        "a.py": "import converter.start\n",
        "b.py": "from converter.sub import d\n",
        "sub/__init__.py": "from . import e\nfrom .inner import nothing\n",
        "sub/c.py": "from .f import x\n",
        "sub/e.py": "from .. import g\nfrom ..far.h import x\n",
        "sub/f.py": "",
        "sub/inner/__init__.py": "from ...i import x\nfrom ....beyond import x\n",
        "far/__init__.py": "",
        "far/h.py": "",
        "far/f.py": "",
        "g.py": "",
        "i.py": "",
        "sub/d.py": "this is no Python 3.11\n",
        "unused.py": "import converter.start\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    found = names(ConverterCode(root).closure(["converter.start", "converter.missing", "numpy"]), root)
    absolute = {"__init__.py", "start.py", "a.py", "b.py", "sub/__init__.py", "sub/c.py", "sub/d.py"}
    relative = {"sub/e.py", "sub/f.py", "sub/inner/__init__.py", "far/__init__.py", "far/h.py", "g.py", "i.py"}
    assert found == absolute | relative


def test_the_packages_of_an_entry_run_too(tmp_path: Path) -> None:
    root = tmp_path / "converter"
    (root / "sub").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "sub/__init__.py": "import converter.a\n",
        "sub/b.py": "",
        "a.py": "",
    }.items():
        (root / name).write_text(text)
    found = names(ConverterCode(root).closure(["converter.sub.b"]), root)
    assert found == {"__init__.py", "sub/__init__.py", "sub/b.py", "a.py"}


# --- everything else an id is made of --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "hit"),
    [
        ({"environment": "f"}, {"export", "export other", "reference", "convert"}),
        ({"inputs": "j"}, {"export", "export other", "reference", "convert"}),
        ({"onnx": "p"}, {"reference", "convert"}),
        ({"opset": 10}, EXPORTS),
        ({"files": {"source/mine.py": "f"}}, {"export"}),
        ({"exporter": 3}, EXPORTS),
        ({"exporter": 1}, set()),  # another torch is another environment, which the id holds already
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_an_id_is_made_of(table: Config, changes: dict[str, Any], hit: set[str]) -> None:
    assert different(ids(CONVERTER, table), ids(CONVERTER, table, **changes)) == hit


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 1), ("outputs", ("z",)), ("factory", "converter.zoo.gestures:make")]
)
def test_a_models_own_facts_are_in_the_id(table: Config, field: str, value: object) -> None:
    net = table.models[0]
    other = table.model_copy(update={"models": (net.model_copy(update={field: value}), table.models[1])})
    assert different(ids(CONVERTER, table), ids(CONVERTER, other)) == {"export"}


@pytest.mark.parametrize("field", [{"note": "hello"}, {"tolerances": {}}, {"id": "renamed"}], ids=str)
def test_what_changes_nothing_inside_is_not(table: Config, field: dict[str, Any]) -> None:
    net = table.models[0].model_copy(update=field)
    other = table.model_copy(update={"models": (net, table.models[1])})
    assert ids(CONVERTER, table) == ids(CONVERTER, other)


def test_kinds_are_distinct(table: Config) -> None:
    assert len(set(ids(CONVERTER, table).values())) == 4


def test_a_users_factory_goes_into_the_jobs_folder(table: Config, tmp_path: Path) -> None:
    mine = table.models[0].model_copy(update={"factory": "models/mine.py:build"})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").write_text("def build(): ...\n")
    blobs = FolderBlobs(tmp_path / "blobs")
    files = UserFiles(tmp_path, blobs).of_factory(mine)
    given = {"environment": "e", "opset": 9, "inputs": "i", "files": files}
    job = export(JobMaker(ConverterCode(CONVERTER)), mine, expand(table)[0], given)
    assert job.params["factory"] == "mine.py:build"
    assert set(job.inputs) == {"inputs.npz", "source/mine.py"}
    assert blobs.read(job.inputs["source/mine.py"]) == b"def build(): ...\n"
    assert UserFiles(tmp_path, blobs).of_factory(table.models[0]) == {}


# --- inputs ----------------------------------------------------------------------------------------------------------


def model(*inputs: ModelInput, seed: int = 0) -> ModelSpec:
    return ModelSpec(id="m", factory="a:b", seed=seed, inputs=inputs, outputs=("y",))


def arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return dict(archive)


X = ModelInput(name="x", shape=(2, 3), range=(-2, 2))


def test_the_same_model_gives_the_same_bytes() -> None:
    assert drawn(model(X)) == drawn(model(X))
    assert drawn(model(X)) != drawn(model(X, seed=1))


def test_the_bytes_hold_no_time_of_day() -> None:
    with zipfile.ZipFile(io.BytesIO(drawn(model(X)))) as archive:
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_these_inputs_are_these_bytes_everywhere() -> None:
    # Draws of RandomState, by name, seed and case. A change here invalidates every finding ever stored.
    first = arrays(drawn(model(X)))["0/x"]
    expected = -2 + 4 * np.random.RandomState(zlib.crc32(b"x/0/0")).random_sample(6)
    assert np.array_equal(first, expected.astype(np.float32).reshape(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
def test_dtype_shape_and_range(dtype: Any) -> None:
    item = ModelInput(name="x", shape=(3, 5), dtype=dtype, range=(-3, 4))
    for array in arrays(drawn(model(item))).values():
        assert array.dtype == np.dtype(dtype) and array.shape == (3, 5)
        if dtype != "bool":
            assert array.min() >= -3 and array.max() < 4


def test_draws_differ_and_the_edges_are_there() -> None:
    found = arrays(drawn(model(X)))
    assert sorted(found) == [f"{case}/x" for case in range(DRAWS + 2)]
    draws = [found[f"{case}/x"] for case in range(DRAWS)]
    assert len({draw.tobytes() for draw in draws}) == DRAWS
    assert np.all(found[f"{DRAWS}/x"] == -2)
    ramp = found[f"{DRAWS + 1}/x"].ravel()
    assert ramp[0] == -2 and np.all(np.diff(ramp) > 0) and ramp[-1] < 2


def test_inputs_of_one_model_are_drawn_apart() -> None:
    found = arrays(drawn(model(X, ModelInput(name="z", shape=(2, 3), range=(-2, 2)))))
    assert not np.array_equal(found["0/x"], found["0/z"])


def test_keys_go_by_case_and_then_in_the_models_order() -> None:
    found = list(arrays(drawn(model(ModelInput(name="z", shape=(1,)), ModelInput(name="a", shape=(1,))))))
    assert found == [f"{case}/{name}" for case in range(DRAWS + 2) for name in ("z", "a")]


def test_integers_reach_both_ends_of_their_range() -> None:
    item = ModelInput(name="x", shape=(1000,), dtype="int64", range=(0, 3))
    assert set(np.unique(arrays(drawn(model(item)))["0/x"])) == {0, 1, 2}
