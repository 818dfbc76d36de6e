"""The inputs that an .onnx file declares, as the reference environment reads them, and those that a user states.

What a file declares is untrusted: a name, a type or a size may be missing or make no sense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from matrix.core.errors import ConfigError
from matrix.judging.tensors import Arrays
from matrix.table.ids import ArrayKey
from matrix.table.model import ModelInput, ModelSpec

# Of all inputs together, with dynamic axes twice as long.
_MOST_ELEMENTS = 2**26

# The names of inputs that the user gave no name.
_UNNAMED = re.compile(r"input(_\d+)?")


@dataclass(frozen=True)
class ChosenInput:
    """An input whose sizes and values were chosen, because its file leaves them open."""

    name: str
    shape: tuple[int, ...]
    longer: tuple[int, ...]
    dtype: str
    range: tuple[float, float]
    longer_range: tuple[float, float]


def stated_inputs(model: ModelSpec) -> list[dict[str, Any]] | None:
    """Return the inputs that a user states of an .onnx file, as the job that chooses the others is told; None where all
    are given as arrays."""
    if model.inputs_file is not None:
        return None
    return [
        {
            "name": item.name,
            "shape": list(item.shape),
            "longer": list(item.longer),
            "dtype": item.dtype,
            "range": list(item.range),
        }
        for item in model.inputs
    ]


def completed_inputs(
    model: ModelSpec, stated: Iterable[Mapping[str, Any]], chosen: Iterable[Mapping[str, Any]] = ()
) -> Iterator[ModelInput | ChosenInput]:
    """Yield the inputs of a model: those that its file declares as they were `chosen`, unless the user states them.

    Raises ConfigError where both do not fit, or where numbers cannot be drawn for an input.
    """
    ready = {item.name: item for item in _chosen(model, chosen)}
    own = {item.name: item for item in model.inputs}
    declared = {str(item["name"]): item for item in _understood(model, stated)}
    if not declared:
        yield from model.inputs
        return
    if len(own) == len(declared) and all(_UNNAMED.fullmatch(name) and name not in declared for name in own):
        own = {name: item.model_copy(update={"name": name}) for name, item in zip(declared, own.values(), strict=True)}
    if unknown := [name for name in own if name not in declared]:
        raise ConfigError(f"model {model.id!r} has no input {', '.join(unknown)}; its file has: {', '.join(declared)}")
    for name, item in declared.items():
        if name in own:
            _check(model, f"input {name}", own[name].dtype, own[name].shape, item)
            yield own[name]
        elif name in ready:
            yield ready[name]
        else:
            yield _drawable(model, name, item)


def _chosen(model: ModelSpec, stated: object) -> Iterator[ChosenInput]:
    for item in _understood(model, stated):
        try:
            shape, longer = (tuple(int(size) for size in item[name]) for name in ("shape", "longer"))
            low, high, longer_low, longer_high = (float(x) for name in ("range", "longer_range") for x in item[name])
            sound = len(shape) == len(longer) and min((0, *shape, *longer)) >= 0 and math.isfinite(low + high)
            dtype = np.dtype(str(item["dtype"]))
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound or dtype.kind not in "fiub":
            raise ConfigError(f"model {model.id!r}: the reference environment's choice of inputs is malformed")
        yield ChosenInput(str(item["name"]), shape, longer, dtype.name, (low, high), (longer_low, longer_high))


def _drawable(model: ModelSpec, name: str, item: Mapping[str, Any]) -> ModelInput:
    stated, dtype = item.get("shape"), item.get("dtype")
    if not isinstance(stated, list):
        stated = [None, None]
    # A free first axis is the batch; only the user knows the size of any other.
    shape = [1 if axis == 0 and not isinstance(size, int) else size for axis, size in enumerate(stated)]
    if not all(isinstance(size, int) and size > 0 for size in shape):
        sizes = "x".join(str(size) if isinstance(size, int) else "?" for size in shape)
        example = "x".join(str(size) if isinstance(size, int) and size > 0 else "16" for size in shape)
        raise ConfigError(
            f"model {model.id!r}: its file does not fix the size of input {name!r} ({sizes}); state it, for example "
            f"--input {name}={example}"
        )
    try:
        return ModelInput.model_validate({"name": name, "shape": tuple(shape), "dtype": dtype})
    except ValidationError as error:
        raise ConfigError(
            f"model {model.id!r}: cannot draw numbers for input {name!r} of type {dtype or 'unknown'}; pass your own: "
            "--inputs FILE.npz"
        ) from error


def check_arrays(model: ModelSpec, arrays: Arrays, stated: Iterable[Mapping[str, Any]]) -> None:
    """Check given inputs, with keys `<case>/<name>`. Raises ConfigError where they do not fit those that an .onnx file
    declares, or the names that the user stated of a factory's model."""
    wanted = {str(item["name"]): item for item in _understood(model, stated)}
    wanted = wanted or {item.name: {} for item in model.inputs}
    if not wanted:
        return
    for key, array in arrays.items():
        case, name = ArrayKey.parse(key)
        if name not in wanted:
            raise ConfigError(f"model {model.id!r}: --inputs holds {key}; the model takes {', '.join(wanted)}")
        _check(model, f"--inputs {key}", array.dtype.name, array.shape, wanted[name])
        if missing := [other for other in wanted if str(ArrayKey(case, other)) not in arrays]:
            key = str(ArrayKey(case, missing[0]))
            raise ConfigError(f"model {model.id!r}: --inputs has no {key}, which the model takes")


def _understood(model: ModelSpec, stated: object) -> list[Mapping[str, Any]]:
    found: list[Any] = list(stated) if isinstance(stated, Iterable) else [stated]
    if not all(isinstance(item, Mapping) and "name" in item for item in found):
        raise ConfigError(f"model {model.id!r}: the reference environment's report on its inputs is malformed")
    return found


def _check(model: ModelSpec, what: str, dtype: str, shape: Sequence[int], stated: Mapping[str, Any]) -> None:
    takes, dims = stated.get("dtype"), stated.get("shape")
    if isinstance(takes, str) and takes != dtype:
        raise ConfigError(f"model {model.id!r}: {what} is {dtype}; the model takes {takes}")
    if isinstance(dims, list) and (
        len(dims) != len(shape)
        or any(isinstance(dim, int) and dim != size for dim, size in zip(dims, shape, strict=True))
    ):
        sizes = "x".join(str(dim) if dim is not None else "?" for dim in dims)
        raise ConfigError(f"model {model.id!r}: {what} is {'x'.join(map(str, shape))}; the model takes {sizes}")


def refuse_beyond_limit(model: ModelSpec, inputs: Sequence[ModelInput | ChosenInput]) -> None:
    """Check the size of the inputs. Raises ConfigError where drawing them would take too much memory."""
    asked = sum(max(math.prod(item.shape), math.prod(item.longer)) for item in inputs)
    if asked > _MOST_ELEMENTS:
        raise ConfigError(
            f"model {model.id!r}: {asked} numbers would have to be drawn for input "
            f"{', '.join(repr(item.name) for item in inputs)}, more than {_MOST_ELEMENTS}; pass your own: "
            "--inputs FILE.npz"
        )
