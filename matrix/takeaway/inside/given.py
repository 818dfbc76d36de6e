"""Arrays the user brings along as .npz: keys `<case>/<name>`, or plain names for a single case."""

from __future__ import annotations

from pathlib import Path

from matrix.arrays import UnreadableArrays, read_cases
from matrix.takeaway.inside.mistake import Mistake
from matrix.takeaway.inside.model import Model
from matrix.verdicts.tensors import Array


def read_given(path: Path, option: str) -> dict[str, Array]:
    """Raises Mistake where it is no .npz of plain arrays."""
    try:
        return read_cases(path)
    except UnreadableArrays as error:
        raise Mistake(f"{option} {path} is no .npz file of plain arrays ({error})") from error
    except OSError as error:
        raise Mistake(f"{option} {path} cannot be read: {error.strerror}") from error


def cases(arrays: dict[str, Array]) -> list[str]:
    """The cases in the order of their numbers."""
    return sorted({key.partition("/")[0] for key in arrays}, key=int)


def check_inputs(model: Model, arrays: dict[str, Array], path: Path) -> None:
    """Raises Mistake where a case does not hold exactly what the model takes."""
    wanted = {item.name: item for item in model.inputs}
    for case in cases(arrays):
        there = {key.partition("/")[2]: array for key, array in arrays.items() if key.partition("/")[0] == case}
        if there.keys() != wanted.keys():
            names = ", ".join(f"{case}/{name}" for name in wanted)
            raise Mistake(f"--inputs {path}: case {case} has {', '.join(there)}; the model takes {names}")
        for name, array in there.items():
            item = wanted[name]
            if array.dtype.name != item.dtype:
                raise Mistake(f"--inputs {path}: {case}/{name} holds {array.dtype.name}, the model takes {item.dtype}")
            if not item.takes(array.shape):
                shape = " x ".join(map(str, array.shape)) or "()"
                raise Mistake(f"--inputs {path}: {case}/{name} has the shape {shape}, the model takes {item.declared}")


def check_reference(inputs: dict[str, Array], reference: dict[str, Array], path: Path) -> None:
    """Raises Mistake where the reference is of other cases than the inputs."""
    if cases(inputs) != cases(reference):
        here, there = ", ".join(cases(reference)), ", ".join(cases(inputs))
        raise Mistake(f"--reference {path} has outputs for the cases {here}, the inputs are the cases {there}")
