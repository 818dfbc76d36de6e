"""Read the models that `--model` names, and the options that describe them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from matrix.core.errors import UsageError
from matrix.table.model import ModelInput, ModelSpec

_FACTORY = re.compile(r"(?P<place>.+):(?P<function>[A-Za-z_]\w*)")

# The options that name a file or folder, by the field of a model.
_PATHS = {"inputs_file": "--inputs", "reference": "--reference", "checkpoint": "--checkpoint", "source": "--source"}

# 1x3x224x224; a dynamic axis is name@size.
_SIZE = r"(?:[A-Za-z_]\w*@)?\d+"
_INPUT = re.compile(
    rf"(?:(?P<name>[^=:]+)=)?(?P<shape>{_SIZE}(?:x{_SIZE})*)(?::(?P<dtype>[a-z]+\d*))?"
    r"(?::(?P<low>-?[\d.]+)\.\.(?P<high>-?[\d.]+))?"
)


@dataclass(frozen=True)
class ModelOptions:
    """The options that describe the model of `--model`; paths as the user wrote them."""

    checkpoint: Path | None = None
    checkpoint_key: str | None = None
    source: Path | None = None
    trust: bool = False
    seed: int | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    inputs_file: Path | None = None
    reference: Path | None = None

    @property
    def is_empty(self) -> bool:
        return self == ModelOptions()


def named_models(
    names: Sequence[str], about: ModelOptions, known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[ModelSpec, ...]]:
    """Return the names of models of the table, and the models that are not in it. `known` are the ids of the table.

    Raises UsageError for a model or an option that cannot be understood, and for options without a model.
    """
    own = [name for name in names if name.endswith(".onnx") or _FACTORY.fullmatch(name)]
    if len(own) > 1 and not about.is_empty:
        raise UsageError("--checkpoint, --input and the like describe one model: name one, or use matrix.yml")
    if not own and not about.is_empty:
        raise UsageError(
            "--checkpoint, --input, --source and the like need --model FILE.onnx or --model FILE.py:FUNCTION"
        )
    for name in names:
        if name.endswith((".pt", ".pth", ".ckpt", ".bin")):
            raise UsageError(
                f"--model {name}: weights are not a model; name the function that makes it: --model FILE.py:FUNCTION "
                f"--checkpoint {name} --input 1x3x224x224"
            )
        if name.endswith(".py"):
            raise UsageError(f"--model {name}: name the function in it that makes the model: --model {name}:FUNCTION")
    models: list[ModelSpec] = []
    for name in own:
        taken = {*known, *(model.id for model in models)}
        models.append(_model(name, about, taken))
    return tuple(name for name in names if name not in own), tuple(models)


def _model(name: str, about: ModelOptions, taken: set[str]) -> ModelSpec:
    inputs = tuple(parse_input(text, position) for position, text in enumerate(about.inputs))
    fields: dict[str, object] = vars(about) | {"inputs": inputs}
    fields |= {name: _place(getattr(about, name), option) for name, option in _PATHS.items()}
    if name.endswith(".onnx"):
        label = Path(name).stem
        fields["onnx"] = _place(Path(name), "--model")
    else:
        found = _FACTORY.fullmatch(name)
        assert found is not None
        place, function = found["place"], found["function"]
        if place.endswith(".py"):
            label = f"{Path(place).stem}.{function}"
            fields["factory"] = f"{_place(Path(place), '--model')}:{function}"
        else:
            label = name.replace(":", ".")
            fields["factory"] = name
        if not about.inputs and about.inputs_file is None:
            raise UsageError(
                f"--model {name}: describe its inputs, such as --input image=1x3x224x224 or tokens=1x16:int64:0..1000"
            )
    names = [item.name for item in inputs]
    if len(set(names)) < len(names):
        raise UsageError(f"--model {name}: two inputs have the same name: {', '.join(names)}")
    identifier = re.sub(r"[^\w.+-]", "-", label) or "model"
    while identifier in taken:
        identifier += "-own"
    try:
        return ModelSpec.model_validate({"id": identifier, **fields})
    except ValidationError as error:
        raise UsageError(f"--model {name}: {_first(error)}") from error


def parse_input(text: str, position: int) -> ModelInput:
    """Read an input: `image=1x3xheight@224xwidth@224:float32:-2..2` is name, shape, dtype and range.

    All but the shape may be left out. Raises UsageError.
    """
    found = _INPUT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--input {text}: write [NAME=]SHAPE[:DTYPE][:LOW..HIGH], such as 1x3x224x224 or "
            "tokens=1xlength@16:int64:0..1000, where length@16 is a dynamic axis"
        )
    # With its separator, because a label may begin with an x too.
    sizes = re.findall(rf"({_SIZE})(?:x|$)", found["shape"])
    dtype = found["dtype"] or "float32"
    bounds: dict[str, tuple[float, float]] = {}
    if found["low"] is not None:
        try:
            bounds["range"] = float(found["low"]), float(found["high"])
        except ValueError as error:
            raise UsageError(f"--input {text}: {error}") from error
    try:
        item = ModelInput.model_validate(
            {
                "name": found["name"] or ("input" if position == 0 else f"input_{position}"),
                "shape": tuple(int(size.rpartition("@")[2]) for size in sizes),
                "dtype": dtype,
                "dynamic": {axis: size.partition("@")[0] for axis, size in enumerate(sizes) if "@" in size},
                **bounds,
            }
        )
    except ValidationError as error:
        raise UsageError(f"--input {text}: {_first(error)}") from error
    if item.range[0] >= item.range[1] or min(item.shape) < 1:
        raise UsageError(f"--input {text}: sizes must be at least 1, and the first bound below the second")
    return item


def _place(path: Path | None, option: str) -> str | None:
    """Return the absolute path: a model's paths are relative to the table, these to the current folder.

    Raises UsageError if there is nothing.
    """
    if path is None:
        return None
    if not path.exists():
        raise UsageError(f"{option} {path}: no such file or folder")
    return str(path.absolute())


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in item["loc"])
    return f"{place}: {item['msg']}" if place else item["msg"].removeprefix("Value error, ")
