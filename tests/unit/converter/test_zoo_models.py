"""The zoo in converter/zoo and in the table; integration tests show that the models run."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import small
from rows import every

from matrix.execution.drawn_inputs import draw
from matrix.table import ModelSpec, load_config

ZOO = Path(__file__).parents[3] / "converter" / "zoo"
MODULES = sorted(path for path in ZOO.glob("*.py") if path.name != "__init__.py")
MODELS = {model.id: model for model in load_config(small.TABLE).models if model.package is None}


def place(model: ModelSpec) -> tuple[str, str]:
    """Return module and function of the factory."""
    module, _, function = (model.factory or "").removeprefix("converter.zoo.").partition(":")
    return module, function


def parsed(path: Path) -> ast.Module:
    # The oldest Python an exporter has.
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_every_module_is_a_model_of_the_table() -> None:
    assert {place(model)[0] for model in MODELS.values()} == {path.stem for path in MODULES}


@every(MODULES, lambda path: path.stem)
def test_the_first_sentence_of_a_module_says_what_it_exercises(path: Path) -> None:
    first = (ast.get_docstring(parsed(path)) or "").split(".")[0]
    assert ": exercises " in " ".join(first.split())


@every(MODELS)
def test_the_table_has_a_short_note(model: str) -> None:
    assert 0 < len(MODELS[model].note) < 100


@every(MODELS)
def test_a_factory_takes_nothing_and_says_what_goes_in_and_out(model: str) -> None:
    module, function = place(MODELS[model])
    (factory,) = (
        node
        for node in parsed(ZOO / f"{module}.py").body
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    assert not factory.args.args
    said = ast.get_docstring(factory) or ""
    if function == "build":
        assert "->" in said
        for item in MODELS[model].inputs:
            assert item.dtype in said.partition("->")[0]
    assert said


@every(MODULES, lambda path: path.stem)
def test_a_model_needs_nothing_but_torch(path: Path) -> None:
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found <= {"torch", "math"}


@every(MODELS)
def test_a_model_is_seeded_and_its_inputs_are_small(model: str) -> None:
    spec = MODELS[model]
    assert spec.seed is not None
    arrays = draw(spec.inputs, spec.seed)
    assert sum(array.nbytes for array in arrays.values()) < 2**22


def test_integer_inputs_stay_within_the_vocabulary() -> None:
    spec = MODELS["embedding"]
    tokens = np.concatenate([array.ravel() for array in draw(spec.inputs, spec.seed or 0).values()])
    assert tokens.dtype == np.int64
    assert (tokens.min(), tokens.max()) == (0, 99)


def test_one_draw_of_a_sequence_is_longer() -> None:
    spec = MODELS["sequence"]
    lengths = [len(array) for array in draw(spec.inputs, spec.seed or 0).values()]
    assert sorted(set(lengths)) == [9, 18]
