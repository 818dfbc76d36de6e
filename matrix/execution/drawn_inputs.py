"""Make the inputs of a model: seeded draws and edge cases, the same bytes for every environment."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from matrix.table.ids import ArrayKey

DRAWS = 3

# The case in which axes that may vary have another size.
_LONGER = 1


class InputTensor(Protocol):
    """An input to draw: its shape, and the one of the second draw; the half-open ranges of the values of each, in the
    tensor's unit."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def longer(self) -> tuple[int, ...]: ...
    @property
    def longer_range(self) -> tuple[float, float]: ...


def make_inputs(inputs: Sequence[InputTensor], seed: int | None, of_file: bool = False) -> bytes:
    """Draw inputs as an .npz. The same arguments give the same bytes on every machine. `of_file`: other sizes come last
    in a case of their own, so that those before it can be had without it."""
    return pack(draw_for_file(inputs, seed or 0) if of_file else draw(inputs, seed or 0))


def draw_for_file(inputs: Sequence[InputTensor], seed: int) -> dict[str, NDArray[np.generic]]:
    """Draw as `draw` does, but all of one size; with another size where there is one, a sixth case."""
    first = [_Fixed(item) for item in inputs]
    if all(item.longer == item.shape for item in inputs):
        return draw(first, seed)
    last = str(DRAWS + 2)
    longer = {str(ArrayKey(last, item.name)): _values(item, seed, _LONGER) for item in inputs}
    return {**draw(first, seed), **longer}


class _Fixed:
    """An input of one size."""

    def __init__(self, item: InputTensor) -> None:
        self.name, self.dtype = item.name, item.dtype
        self.shape = self.longer = item.shape
        self.range = self.longer_range = item.range


def draw(inputs: Sequence[InputTensor], seed: int) -> dict[str, NDArray[np.generic]]:
    """Draw arrays with keys `<case>/<input name>`: three uniform draws, all at the lower bound, a ramp over the range.

    The second draw has other sizes, where they may vary, which reveals a size that is fixed in the converted model.
    Keys are in the order of cases, within a case in that of `inputs`.
    """
    return {
        str(ArrayKey(str(case), item.name)): _values(item, seed, case) for case in range(DRAWS + 2) for item in inputs
    }


def _values(item: InputTensor, seed: int, case: int) -> NDArray[np.generic]:
    low, high = item.longer_range if case == _LONGER else item.range
    shape = item.longer if case == _LONGER else item.shape
    size = int(np.prod(shape))
    if case < DRAWS:
        # numpy guarantees that RandomState's stream never changes; not so for default_rng.
        state = np.random.RandomState(zlib.crc32(f"{item.name}/{seed}/{case}".encode()))
        unit = state.random_sample(size)
    elif case == DRAWS:
        unit = np.zeros(size)
    else:
        unit = np.arange(size) / size
    values = low + unit * (high - low)
    if item.dtype == "bool":
        return (unit >= 0.5).reshape(shape)
    if item.dtype.startswith(("int", "uint")):
        values = np.floor(values)
    return values.astype(item.dtype).reshape(shape)


def of_first_size(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the cases at the beginning that have the shapes of the first."""
    cases: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        cases.setdefault(ArrayKey.parse(key).case, {})[key] = array
    shapes = [[array.shape for array in one.values()] for one in cases.values()]
    alike = len(list(takewhile(lambda shape: shape == shapes[0], shapes)))
    return {key: array for one in list(cases.values())[:alike] for key, array in one.items()}


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays as np.savez does, but without time stamps."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return stream.getvalue()
