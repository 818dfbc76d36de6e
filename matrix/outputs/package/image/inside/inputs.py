"""What a model is fed: arrays from the user's .npz, keys `<case>/<name>` or plain names for one case, or drawn ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from matrix.core.errors import UsageError
from matrix.judging.arrays import UnreadableArrays, read_cases
from matrix.judging.tensors import Array
from matrix.outputs.package.image.inside.model import GraphInput, Model, dimensions
from matrix.table.ids import ArrayKey, by_case

_FLOATS = frozenset({"float16", "float32", "float64"})
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class Fed:
    """An input to draw numbers for; `range` is half-open."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def range(self) -> tuple[float, float]:
        # Integers are mostly indices, and 0 and 1 are the only ones that every table has.
        return (0, 2) if self.dtype in _INTEGERS else (-1, 1)

    @property
    def longer(self) -> tuple[int, ...]:
        return self.shape

    @property
    def longer_range(self) -> tuple[float, float]:
        return self.range


def read_given(path: Path, option: str) -> dict[str, Array]:
    """Read the file given with an option. Raises UsageError if it is not an .npz of plain arrays."""
    try:
        return read_cases(path)
    except UnreadableArrays as error:
        raise UsageError(f"{option} {path} is not an .npz file of plain arrays ({error})") from error
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be read: {error.strerror}") from error


def cases(arrays: dict[str, Array]) -> list[str]:
    """Return the cases in the order of their numbers."""
    return sorted(by_case(arrays), key=int)


def check_inputs(model: Model, arrays: dict[str, Array], path: Path) -> None:
    """Raise UsageError if a case does not hold exactly what the model takes."""
    wanted = {item.name: item for item in model.inputs}
    for case, there in sorted(by_case(arrays).items(), key=lambda item: int(item[0])):
        if there.keys() != wanted.keys():
            names = ", ".join(str(ArrayKey(case, name)) for name in wanted)
            raise UsageError(f"--inputs {path}: case {case} has {', '.join(there)}; the model takes {names}")
        for name, array in there.items():
            item, key = wanted[name], ArrayKey(case, name)
            if array.dtype.name != item.dtype:
                raise UsageError(f"--inputs {path}: {key} holds {array.dtype.name}, the model takes {item.dtype}")
            if not item.takes(array.shape):
                shape = dimensions(array.shape)
                raise UsageError(f"--inputs {path}: {key} has the shape {shape}, the model takes {item.declared}")


def check_reference(inputs: dict[str, Array], reference: dict[str, Array], path: Path) -> None:
    """Raise UsageError if the reference has other cases than the inputs."""
    if cases(inputs) != cases(reference):
        here, there = ", ".join(cases(reference)), ", ".join(cases(inputs))
        raise UsageError(f"--reference {path} has outputs for the cases {here}, the inputs are the cases {there}")


def choose_shapes(model: Model, stated: Mapping[str, tuple[int, ...]]) -> list[Fed]:
    """Return every input with its shape: as declared, or as `stated`. Raises UsageError that shows the option to type
    where the file leaves a size open."""
    names = [item.name for item in model.inputs]
    for name in stated:
        if name not in names:
            raise UsageError(f"--shape: there is no input {name!r}; the model takes {', '.join(names) or 'none'}")
    return [_chosen(item, stated.get(item.name)) for item in model.inputs]


def _chosen(item: GraphInput, stated: tuple[int, ...] | None) -> Fed:
    if item.dtype not in _FLOATS | _INTEGERS | {"bool"}:
        raise UsageError(f"input {item.name!r} takes {item.dtype}, which cannot be drawn; give --inputs FILE.npz")
    has = f"input {item.name!r} has the shape {item.declared}"
    if stated is not None:
        if not item.takes(stated):
            raise UsageError(f"--shape: {has}, not {dimensions(stated)}")
        return Fed(item.name, stated, item.dtype)
    if item.dims is None or not all(isinstance(size, int) for size in item.dims):
        sizes = ("1" if isinstance(size, str) else str(size) for size in item.dims or (1, 3, 224, 224))
        example = quote(f"{item.name}={'x'.join(sizes)}")
        raise UsageError(f"{has}, which leaves sizes open; choose them, for example: --shape {example}")
    return Fed(item.name, tuple(map(int, item.dims)), item.dtype)
