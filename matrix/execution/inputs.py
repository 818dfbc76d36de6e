"""The inputs of a model: several seeded draws and edge cases, the same bytes for every environment."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray

from matrix.config.model import ModelInput, ModelSpec

DRAWS = 3


def make_inputs(model: ModelSpec) -> bytes:
    """An .npz with keys `<case>/<input name>`: three uniform draws, all at the lower bound, a ramp over the range.

    Keys go case by case, within a case in the model's order of inputs. The same model spec gives the same bytes on
    every machine.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for case in range(DRAWS + 2):
        for item in model.inputs:
            arrays[f"{case}/{item.name}"] = _values(item, model.seed, case)
    return _npz(arrays)


def _values(item: ModelInput, seed: int, case: int) -> NDArray[np.generic]:
    low, high = item.range
    size = int(np.prod(item.shape))
    if case < DRAWS:
        # RandomState's stream is frozen by numpy's promise; default_rng's is not.
        state = np.random.RandomState(zlib.crc32(f"{item.name}/{seed}/{case}".encode()))
        unit = state.random_sample(size)
    elif case == DRAWS:
        unit = np.zeros(size)
    else:
        unit = np.arange(size) / size
    values = low + unit * (high - low)
    if item.dtype == "bool":
        return (unit >= 0.5).reshape(item.shape)
    if item.dtype.startswith("int"):
        values = np.floor(values)
    return values.astype(item.dtype).reshape(item.shape)


def _npz(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """np.savez without time stamps."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return stream.getvalue()
