"""The conversion as data: which pass runs where with which parameters, as it was measured."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from matrix.config.model import ModelSpec
from matrix.converter_code import ConverterCode
from matrix.execution.inputs import make_inputs
from matrix.execution.job_types import CARRIED, JOB_TYPES
from matrix.execution.jobs import export_params
from matrix.execution.materials import CHECKPOINT, GIVEN, SOURCE, factory_place
from matrix.execution.stated import completed_inputs
from matrix.families import Family, family_of
from matrix.handover.choice import Choice
from matrix.paths import CONVERTER
from matrix.store.records import Pass
from matrix.surroundings import WORKER
from matrix.verdicts.judge import TFLITE
from matrix.verdicts.scheme import MEMORY

SCHEMA = 1


def _compared(made: Family) -> Iterator[tuple[str, str]]:
    """The files of arrays that the passes leave, in the order of their comparison, and what each is of."""
    if made.in_memory:
        yield MEMORY, f"{made.title_of(made.runtime)} in memory"
    for loads in made.loads:
        yield loads.numbers, "TensorFlow Lite" if loads.makes == TFLITE else "the saved model"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """`document` is conversion.json; `modules` are those of converter/ that run; `inputs` is the .npz of drawn inputs,
    None where the model has a file of its own."""

    document: dict[str, Any]
    modules: tuple[str, ...]
    inputs: bytes | None

    def code(self) -> dict[str, bytes]:
        """{place below toolkit/: content} of the files of converter/ that are needed."""
        files = ConverterCode(CONVERTER).closure(self.modules)
        return {f"converter/{path.relative_to(CONVERTER).as_posix()}": path.read_bytes() for path in files}


def make_conversion(choice: Choice) -> Conversion:
    """Pure but for reading converter/ and, for its paths, where the user's files are."""
    model = _placed(choice.cell.model, choice.root)
    made = family_of(choice.cell.converter)
    steps: list[dict[str, Any]] = []
    modules = ["converter.worker"]
    if not choice.cell.exporter.writes:
        steps += _read_file(choice, model)
    else:
        params, imports = _export_params(choice, model)
        takes = {"inputs.npz": "inputs.npz"} | {place: place for place in (SOURCE, CHECKPOINT)}
        leaves = {"model.onnx": "model.onnx", "torch.npz": "expected.npz"}
        steps.append(_step("export", params, takes, leaves))
        modules += imports
    for change in choice.cell.alterations:
        file = {"model.onnx": "model.onnx"}
        steps.append(_step("alter", {"change": dict([change])}, file, file))
    told = {"environ": dict(choice.cell.environ)} if choice.cell.environ else {}
    given = {"model.onnx": "model.onnx", "inputs.npz": "inputs.npz"}
    numbers = {name: name for name in made.converts.leaves}
    steps.append(_step("convert", told, given, {**numbers, CARRIED: made.runtime}, made.converts))
    saved = {CARRIED: made.runtime, "inputs.npz": "inputs.npz"}
    for loads in made.loads:
        if loads.makes != TFLITE:
            steps.append(_step("convert", told, saved, {loads.numbers: loads.numbers}, loads))
        elif choice.tflite:
            kept = {loads.numbers: loads.numbers, "model.tflite": "model.tflite"}
            steps.append(_step("convert", told, saved, kept, replace(loads, module=f"{loads.module}_kept")))
            modules.append(loads.module)
    modules += [step["module"] for step in steps]
    left = {name for step in steps for name in step["leaves"].values()}
    document = {
        "schema": SCHEMA,
        "cell": choice.cell.id,
        "pythons": {role: _places(part.folder, part.name) for part in choice.parts for role in part.roles},
        "packages": {role: part.lock.packages for part in choice.parts for role in part.roles},
        "environ": dict(WORKER),
        "trusted": model.trust,
        "user": _user_files(model, choice.result.export.facts.get("external")),
        "steps": steps,
        "expected": "what torch computed" if choice.exporter else "the reference",
        "compared": [[name, words] for name, words in _compared(made) if name in left],
        "tolerances": dataclasses.asdict(choice.tolerances),
        "model_onnx_sha256": _sha256(choice),
    }
    return Conversion(document, tuple(modules), _inputs(choice, model))


def _export_params(choice: Choice, model: ModelSpec) -> tuple[dict[str, Any], list[str]]:
    facts = choice.result.export.facts
    names = [str(item["name"]) for item in facts.get("given") or ()]
    # As it was measured: in a cage torch < 2.6 was let load what may run code. A handed-over folder is no cage, so
    # there convert.py asks for the user's word.
    trusted = model.trust or (model.checkpoint is not None and Version(choice.cell.exporter.torch) < Version("2.6"))
    written = facts.get("ir_version")
    ir = int(written) if isinstance(written, int) else None
    return export_params(model, choice.cell.exporter, choice.cell.opset, ir, trusted, names or None)


def _read_file(choice: Choice, model: ModelSpec) -> list[dict[str, Any]]:
    """A user's .onnx file made one file, and what it computes where the user did not say."""
    takes = {"model.onnx": "given.onnx", "beside": "beside"}
    if model.reference is not None:
        inspect = _step("inspect", {}, takes | {GIVEN: GIVEN}, {"model.onnx": "model.onnx"})
        inspect["leaves"][GIVEN] = "expected.npz"
        return [inspect]
    given = {"model.onnx": "model.onnx", "inputs.npz": "inputs.npz"}
    return [
        _step("inspect", {}, takes, {"model.onnx": "model.onnx"}),
        _step("reference", {}, given, {"reference.npz": "expected.npz"}),
    ]


def _step(
    kind: str,
    params: Mapping[str, Any],
    takes: Mapping[str, str],
    leaves: Mapping[str, str],
    work: Pass | None = None,
) -> dict[str, Any]:
    """One pass of a job of this kind. `takes` and `leaves` map names in the pass's folders to names in the result. What
    `takes` names and is not there is left out: a zoo model has no source."""
    known = JOB_TYPES[kind]
    work = work or known.passes[0]
    return {
        "pass": work.name,
        "module": work.module,
        "role": known.role,
        "params": dict(params),
        "takes": dict(takes),
        "leaves": dict(leaves),
    }


def _places(folder: str, name: str) -> list[str]:
    """Where an environment is looked for, relative to the folder: as uv, pip's handbook and tox name it."""
    prefix = f"{folder}/" if folder else ""
    return [f"{prefix}{place}" for place in (".venv", "venv", "env")] + [f".tox/{name}-python"]


def _user_files(model: ModelSpec, external: object) -> dict[str, dict[str, str]]:
    """What of the user's convert.py takes: {option: {"default", "place", "about"}}."""
    found: dict[str, dict[str, str]] = {}

    def add(option: str, path: str | None, place: str, about: str) -> None:
        if path is not None:
            found[option] = {"default": path, "place": place, "about": about}

    add("source", model.source, SOURCE, "the folder that the model's modules are imported from")
    file = str(model.factory).rpartition(":")[0]
    if file.endswith(".py"):
        place = factory_place(model)
        inside = model.source is not None and Path(file).resolve().is_relative_to(Path(model.source).resolve())
        if not inside:
            add("factory", file, f"{SOURCE}/{place}", "the file with the function that makes the model")
    add("checkpoint", model.checkpoint, CHECKPOINT, "the file with the weights")
    add("onnx", model.onnx, "given.onnx", "the .onnx file")
    if model.onnx is not None and isinstance(external, Iterable):
        for number, location in enumerate(map(str, external)):
            path = str(Path(model.onnx).parent / location)
            add(f"external-{number}", path, f"beside/{location}", f"{location}, which belongs to the .onnx file")
    add("inputs", model.inputs_file, "inputs.npz", "the .npz file of inputs")
    add("reference", model.reference, GIVEN, "the .npz file of the outputs to compare with")
    return found


def _placed(model: ModelSpec, root: Path) -> ModelSpec:
    """The model with its paths absolute."""

    def whole(place: str | None) -> str | None:
        return None if place is None else os.path.normpath(root.absolute() / place)

    names = ("source", "checkpoint", "onnx", "inputs_file", "reference")
    changed: dict[str, Any] = {name: whole(getattr(model, name)) for name in names}
    place, _, function = (model.factory or "").rpartition(":")
    if place.endswith(".py"):
        changed["factory"] = f"{whole(place)}:{function}"
    return model.model_copy(update=changed)


def _inputs(choice: Choice, model: ModelSpec) -> bytes | None:
    if model.inputs_file is not None:
        return None
    stated = choice.result.export.facts.get("inputs")
    completed = completed_inputs(model, stated if isinstance(stated, list) else ())
    return make_inputs(model.model_copy(update={"inputs": tuple(completed)}))


def _sha256(choice: Choice) -> str | None:
    """Of the file that was converted, so that a user sees whether theirs is byte for byte the same: blobs are named
    by it."""
    last = choice.result.altered[-1] if choice.result.altered else choice.result.export
    return last.file("model.onnx")
