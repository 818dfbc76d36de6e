"""Models that `--model` names, and the options that describe them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.cli.model_options import ModelOptions, named_models, parse_input
from matrix.core.errors import UsageError
from matrix.table.model import ModelInput, ModelSpec

# --- one input -------------------------------------------------------------------------------------------------------

INPUTS: dict[str, dict[str, Any]] = {
    "1x3x224x224": {"name": "input", "shape": (1, 3, 224, 224)},
    "7": {"name": "input", "shape": (7,)},
    "image=1x3": {"name": "image", "shape": (1, 3)},
    "1x3:float16": {"name": "input", "shape": (1, 3), "dtype": "float16"},
    "1x3:-2..2.5": {"name": "input", "shape": (1, 3), "range": (-2.0, 2.5)},
    "mask=2x2:bool": {"name": "mask", "shape": (2, 2), "dtype": "bool"},
    # Whole numbers are indices, of which 0 and 1 always exist.
    "tokens=1x16:int64": {"name": "tokens", "shape": (1, 16), "dtype": "int64", "range": (0.0, 2.0)},
    "tokens=1x16:uint8": {"name": "tokens", "shape": (1, 16), "dtype": "uint8", "range": (0.0, 2.0)},
    "tokens=1x16:int64:0..999": {"name": "tokens", "shape": (1, 16), "dtype": "int64", "range": (0.0, 999.0)},
    "x=batch@1x3xhigh@8xwide@9": {
        "name": "x",
        "shape": (1, 3, 8, 9),
        "dynamic": {0: "batch", 2: "high", 3: "wide"},
    },
    "t=1xlength@16:int32:-3..4": {
        "name": "t",
        "shape": (1, 16),
        "dtype": "int32",
        "range": (-3.0, 4.0),
        "dynamic": {1: "length"},
    },
}


@pytest.mark.parametrize(("text", "wanted"), INPUTS.items(), ids=INPUTS.keys())
def test_an_input(text: str, wanted: dict[str, Any]) -> None:
    assert parse_input(text, 0) == ModelInput(**wanted)


def test_unnamed_inputs_are_named_by_their_place() -> None:
    assert [parse_input("1x3", place).name for place in range(3)] == ["input", "input_1", "input_2"]
    assert parse_input("x=1x3", 2).name == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"write \[NAME=\]SHAPE"),
        ("x=", r"write \[NAME=\]SHAPE"),
        ("=1x3", r"write \[NAME=\]SHAPE"),
        ("1x", r"write \[NAME=\]SHAPE"),
        ("1,3", r"write \[NAME=\]SHAPE"),
        ("1x-3", r"write \[NAME=\]SHAPE"),
        ("1x3:", r"write \[NAME=\]SHAPE"),
        ("1x3:0..", r"write \[NAME=\]SHAPE"),
        ("1x3:0-1", r"write \[NAME=\]SHAPE"),
        ("1x@3", r"write \[NAME=\]SHAPE"),
        ("1x2@3", r"write \[NAME=\]SHAPE"),
        ("1x3:float31", "dtype"),
        ("1x3:int64:2..2", "first bound below"),
        ("1x3:3..2", "first bound below"),
        ("1x0x3", "at least 1"),
        ("1x3:1..2..3", r"1\.\.2"),
        ("1x3:....1", "float"),
        ("1x3:uint8:-1..2", "uint8 holds numbers from 0 to 256, not -1 to 2"),
        ("1x3:uint8:0..257", "uint8 holds numbers from 0 to 256"),
        ("1x3:int8:-129..0", "int8 holds numbers from -128 to 128"),
        ("1x3:int8:0..129", "int8 holds numbers from -128 to 128"),
        ("1x3:float16:0..65505", "float16 holds numbers from -65504 to 65504"),
        ("1x3:float16:-70000..0", "float16 holds numbers"),
    ],
)
def test_what_is_no_input(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_input(text, 0)
    assert f"--input {text}:" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["1x3:uint8:0..256", "1x3:uint8", "1x3:int8:-128..128", "1x3:float16:-65504..65504", "1x3:int64:0..9999"]
)
def test_a_range_may_be_all_that_its_type_holds(text: str) -> None:
    assert parse_input(text, 0).range[1] > 0


# --- which model is whose --------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a user's files."""
    for name in ("net.onnx", "models.py", "net.pt", "inputs.npz", "outputs.npz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


INPUT = ModelOptions(inputs=("1x3",))


def one(name: str, about: ModelOptions = INPUT, known: tuple[str, ...] = ("net",)) -> ModelSpec:
    globs, models = named_models([name], about, known)
    assert globs == () and len(models) == 1
    return models[0]


def test_names_and_globs_are_the_tables(here: Path) -> None:
    assert named_models(["net", "mobile*", "converter", "net.ONNX"], ModelOptions(), ()) == (
        ("net", "mobile*", "converter", "net.ONNX"),
        (),
    )


def test_a_file_among_names(here: Path) -> None:
    globs, models = named_models(["hair*", "net.onnx"], ModelOptions(), ("hairnet",))
    assert globs == ("hair*",)
    assert [(model.id, model.onnx, model.factory) for model in models] == [("net", str(here / "net.onnx"), None)]


@pytest.mark.parametrize(
    ("name", "identifier", "factory"),
    [
        ("models.py:build", "models.build", "{here}/models.py:build"),
        ("./models.py:build", "models.build", "{here}/models.py:build"),
        ("package.module:Net", "package.module.Net", "package.module:Net"),
    ],
)
def test_a_factory(here: Path, name: str, identifier: str, factory: str) -> None:
    model = one(name)
    assert (model.id, model.factory, model.onnx) == (identifier, factory.format(here=here), None)
    assert [item.shape for item in model.inputs] == [(1, 3)]


def test_every_option_reaches_the_model_with_absolute_paths(here: Path) -> None:
    about = ModelOptions(
        checkpoint=Path("net.pt"), checkpoint_key="model", source=Path("code"), trust=True,
        inputs=("a=1x3", "b=2:int64"), outputs=("y", "z"), inputs_file=Path("inputs.npz"),
    )  # fmt: skip
    model = one("models.py:build", about)
    assert model.model_dump(exclude_defaults=True, exclude={"inputs"}) == {
        "id": "models.build",
        "factory": f"{here}/models.py:build",
        "checkpoint": str(here / "net.pt"),
        "checkpoint_key": "model",
        "source": str(here / "code"),
        "trust": True,
        "outputs": ("y", "z"),
        "inputs_file": str(here / "inputs.npz"),
    }
    assert [item.name for item in model.inputs] == ["a", "b"]
    seeded = one("models.py:build", ModelOptions(inputs=("1x3",), seed=0))
    assert seeded.seed == 0
    file = one("net.onnx", ModelOptions(inputs_file=Path("inputs.npz"), reference=Path("outputs.npz")))
    assert (file.inputs_file, file.reference) == (str(here / "inputs.npz"), str(here / "outputs.npz"))


def test_an_id_that_is_taken(here: Path) -> None:
    (here / "other").mkdir()
    (here / "other" / "net.onnx").write_bytes(b"")
    _, models = named_models(["net.onnx", "other/net.onnx"], ModelOptions(), ("net", "net-own"))
    assert [model.id for model in models] == ["net-own-own", "net-own-own-own"]


@pytest.mark.parametrize(("file", "identifier"), [("my net (1).onnx", "my-net--1-"), (".onnx", ".onnx")])
def test_an_id_of_any_file_name(here: Path, file: str, identifier: str) -> None:
    (here / file).write_bytes(b"")
    assert one(file, ModelOptions()).id == identifier


WRONG: dict[str, tuple[tuple[str, ...], Callable[[], ModelOptions], str]] = {
    "options of no model": ((), lambda: INPUT, "need --model FILE.onnx"),
    "options of a model of the table": (("net",), lambda: ModelOptions(trust=True), "need --model FILE.onnx"),
    "the seed 0 is an option too": (("net",), lambda: ModelOptions(seed=0), "need --model FILE.onnx"),
    "options of two models": (("net.onnx", "models.py:build"), lambda: INPUT, "describe one model"),
    "a file that is not there": (("gone.onnx",), ModelOptions, r"--model gone\.onnx: no such file"),
    "a factory that is not there": (("gone.py:build",), lambda: INPUT, r"--model gone\.py: no such file"),
    "a checkpoint that is not there": (
        ("models.py:build",),
        lambda: ModelOptions(checkpoint=Path("gone.pt"), inputs=("1x3",)),
        r"--checkpoint gone\.pt: no such file",
    ),
    "a factory and no input": (("models.py:build",), ModelOptions, "describe its inputs"),
    "an .onnx file with a checkpoint": (
        ("net.onnx",),
        lambda: ModelOptions(checkpoint=Path("net.pt"), trust=True),
        "takes no checkpoint, trust",
    ),
    "an .onnx file with a seed": (("net.onnx",), lambda: ModelOptions(seed=0), "takes no seed"),
    "two inputs of one name": (
        ("models.py:build",),
        lambda: ModelOptions(inputs=("x=1x3", "x=1x4")),
        "two inputs have the same name: x, x",
    ),
    "two inputs of one name of a file": (
        ("net.onnx",),
        lambda: ModelOptions(inputs=("input_1=1x3", "1x4")),
        "two inputs have the same name: input_1, input_1",
    ),
    "a key without a checkpoint": (
        ("models.py:build",),
        lambda: ModelOptions(checkpoint_key="model", inputs=("1x3",)),
        "needs a `checkpoint`",
    ),
    "a seed for a checkpoint": (
        ("models.py:build",),
        lambda: ModelOptions(checkpoint=Path("net.pt"), seed=1, inputs=("1x3",)),
        "would replace the weights",
    ),
    "reference outputs of unknown inputs": (
        ("net.onnx",),
        lambda: ModelOptions(reference=Path("outputs.npz")),
        "goes with an .onnx file and the `inputs_file`",
    ),
}


@pytest.mark.parametrize(("names", "about", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_go_together(
    here: Path, names: tuple[str, ...], about: Callable[[], ModelOptions], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        named_models(names, about(), ("net",))


def test_inputs_from_a_file_are_enough(here: Path) -> None:
    assert one("models.py:build", ModelOptions(inputs_file=Path("inputs.npz"))).inputs == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [("net.pt", "--checkpoint net.pt"), ("net.ckpt", "weights are not"), ("models.py", "--model models.py:FUNCTION")],
)
def test_half_of_a_model_is_said_with_the_other_half(here: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        named_models((name,), ModelOptions(), ("net",))
