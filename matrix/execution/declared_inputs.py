"""What an .onnx file states of its inputs, as the reference environment tells it, and what a user says of them.

Nothing the file says is believed: a name, a type or a size may be missing, or be nonsense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from matrix.core.errors import ConfigError
from matrix.judging.tensors import Arrays
from matrix.table.ids import ArrayKey
from matrix.table.model import ModelInput, ModelSpec

# Of all inputs together, axes of free size twice as long.
_MOST_ELEMENTS = 2**26

# What an input is called that the user gave no name.
_UNNAMED = re.compile(r"input(_\d+)?")


def completed_inputs(model: ModelSpec, stated: Iterable[Mapping[str, Any]]) -> Iterator[ModelInput]:
    """The inputs of a model, those of its file filled up by what the user says of them."""
    own = {item.name: item for item in model.inputs}
    found = _understood(model, stated)
    if not found:
        yield from model.inputs
        return
    names = [str(item["name"]) for item in found]
    if len(own) == len(names) and all(_UNNAMED.fullmatch(n) and n not in names for n in own):
        own = {name: item.model_copy(update={"name": name}) for name, item in zip(names, own.values(), strict=True)}
    if unknown := [name for name in own if name not in names]:
        raise ConfigError(
            f"model {model.id!r} has no input {', '.join(unknown)}; its file has: {', '.join(names) or 'none'}"
        )
    for item in found:
        name = str(item["name"])
        if name in own:
            _check(model, f"input {name}", own[name].dtype, own[name].shape, item)
            yield own[name]
            continue
        yield _drawable(model, name, item)


def _drawable(model: ModelSpec, name: str, item: Mapping[str, Any]) -> ModelInput:
    """An input as a file states it. Nothing the file says is believed: it may be of any size and type, or neither."""
    stated, dtype = item.get("shape"), item.get("dtype")
    if not isinstance(stated, list):
        stated = [None, None]
    # A free first axis is the batch; what any other free axis may be, only the user knows.
    shape = [1 if axis == 0 and not isinstance(size, int) else size for axis, size in enumerate(stated)]
    if not all(isinstance(size, int) and size > 0 for size in shape):
        sizes = "x".join(str(size) if isinstance(size, int) else "?" for size in shape)
        raise ConfigError(
            f"model {model.id!r}: its file leaves the size of input {name!r} open ({sizes}); state it, such as "
            f"--input {name}=1x3x224x224"
        )
    try:
        return ModelInput.model_validate({"name": name, "shape": tuple(shape), "dtype": dtype})
    except ValidationError as error:
        raise ConfigError(
            f"model {model.id!r}: no numbers can be drawn for input {name!r} of type {dtype or 'unknown'}; give it "
            "some: --inputs FILE.npz"
        ) from error


def check_arrays(model: ModelSpec, arrays: Arrays, stated: Iterable[Mapping[str, Any]]) -> None:
    """Raises ConfigError where given inputs, keys `<case>/<name>`, are not what an .onnx file takes. Of a factory's
    model only the names that the user stated are known."""
    wanted = {str(item["name"]): item for item in _understood(model, stated)} or {
        item.name: {} for item in model.inputs
    }
    if not wanted:
        return
    for key, array in arrays.items():
        case, name = ArrayKey.parse(key)
        if name not in wanted:
            raise ConfigError(f"model {model.id!r}: --inputs holds {key}; the model takes {', '.join(wanted)}")
        _check(model, f"--inputs {key}", array.dtype.name, array.shape, wanted[name])
        if missing := [other for other in wanted if str(ArrayKey(case, other)) not in arrays]:
            lacking = ArrayKey(case, missing[0])
            raise ConfigError(f"model {model.id!r}: --inputs has no {lacking}, which the model takes")


def _understood(model: ModelSpec, stated: object) -> list[Mapping[str, Any]]:
    found: list[Any] = list(stated) if isinstance(stated, Iterable) else [stated]
    if not all(isinstance(item, Mapping) and "name" in item for item in found):
        raise ConfigError(f"model {model.id!r}: what the reference environment says of its inputs cannot be understood")
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


def refuse_beyond_limit(model: ModelSpec, inputs: Sequence[ModelInput]) -> None:
    """Raises ConfigError where drawing would take more memory than a driver should."""
    asked = sum(math.prod(item.shape) * 2 ** len(item.dynamic) for item in inputs)
    if asked > _MOST_ELEMENTS:
        raise ConfigError(
            f"model {model.id!r}: {asked} numbers would have to be drawn for input "
            f"{', '.join(repr(item.name) for item in inputs)}, more than {_MOST_ELEMENTS}; give some: --inputs FILE.npz"
        )
