"""Arrays the user brings along as .npz: keys `<case>/<name>`, or plain names for a single case."""

from __future__ import annotations

from pathlib import Path

from matrix.judging.arrays import UnreadableArrays, read_cases
from matrix.judging.tensors import Array
from matrix.outputs.package.image.inside.mistake import Mistake
from matrix.outputs.package.image.inside.model import Model
from matrix.table.ids import ArrayKey, by_case


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
    return sorted(by_case(arrays), key=int)


def check_inputs(model: Model, arrays: dict[str, Array], path: Path) -> None:
    """Raises Mistake where a case does not hold exactly what the model takes."""
    wanted = {item.name: item for item in model.inputs}
    for case, there in sorted(by_case(arrays).items(), key=lambda item: int(item[0])):
        if there.keys() != wanted.keys():
            names = ", ".join(str(ArrayKey(case, name)) for name in wanted)
            raise Mistake(f"--inputs {path}: case {case} has {', '.join(there)}; the model takes {names}")
        for name, array in there.items():
            item, key = wanted[name], ArrayKey(case, name)
            if array.dtype.name != item.dtype:
                raise Mistake(f"--inputs {path}: {key} holds {array.dtype.name}, the model takes {item.dtype}")
            if not item.takes(array.shape):
                shape = " x ".join(map(str, array.shape)) or "()"
                raise Mistake(f"--inputs {path}: {key} has the shape {shape}, the model takes {item.declared}")


def check_reference(inputs: dict[str, Array], reference: dict[str, Array], path: Path) -> None:
    """Raises Mistake where the reference is of other cases than the inputs."""
    if cases(inputs) != cases(reference):
        here, there = ", ".join(cases(reference)), ", ".join(cases(inputs))
        raise Mistake(f"--reference {path} has outputs for the cases {here}, the inputs are the cases {there}")
