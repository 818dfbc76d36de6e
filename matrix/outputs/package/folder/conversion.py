"""The conversion as data: which pass runs in which environment with which parameters, as it was measured."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from matrix.core.converter_code import ConverterCode
from matrix.environments.worker_client import WORKER
from matrix.execution.drawn_inputs import draw_for_file, make_inputs, of_first_size, pack
from matrix.execution.job_identity import export_params, factory_params
from matrix.execution.job_types import CARRIED, JOB_TYPES
from matrix.execution.model_inputs import completed_inputs
from matrix.execution.user_files import CHECKPOINT, GIVEN, SOURCE, factory_place
from matrix.families import Family
from matrix.families.scheme import MEMORY
from matrix.judging.judge import TFLITE
from matrix.outputs.package.folder.choice import Choice
from matrix.store.records import Pass
from matrix.table.ids import FILE
from matrix.table.model import ModelSpec

SCHEMA = 1

_KEPT = Path(__file__).with_name("inside") / "tflite_kept.py"

# Kinds of artifact in the user's words; any other is a saved model.
_ARTIFACTS = {TFLITE: "TensorFlow Lite", "keras": "the Keras model"}

# The pass that makes a TensorFlow Lite model; the one in _KEPT does the same and keeps the model.
_TFLITE = "converter.stages.tflite"


def _compared(made: Family) -> Iterator[tuple[str, str]]:
    """Yield the files of arrays that the passes leave, in the order of their comparison, and their sources in words."""
    if made.in_memory:
        yield MEMORY, f"{made.title_of(made.runtime)} in memory"
    for loads in made.loads:
        yield loads.numbers, _ARTIFACTS.get(loads.makes or loads.loads[0], "the saved model")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """`document` is conversion.json; `modules` are those of `root`, the folder converter/, that run; `inputs` is the
    .npz of drawn inputs, None if the model has its own file."""

    document: dict[str, Any]
    modules: tuple[str, ...]
    root: Path
    inputs: bytes | None

    def code(self) -> dict[str, bytes]:
        """Return {place below toolkit/: content} of the files of converter/ that are needed."""
        files = ConverterCode(self.root).closure(self.modules)
        made = {f"converter/{path.relative_to(self.root).as_posix()}": path.read_bytes() for path in files}
        if _TFLITE in self.modules:
            made["converter/stages/tflite_kept.py"] = _KEPT.read_bytes()
        return made


def make_conversion(choice: Choice) -> Conversion:
    """Make the conversion of a choice. Raises OSError if converter/ cannot be read."""
    model = _placed(choice.cell.model, choice.root)
    made = choice.family
    steps: list[dict[str, Any]] = []
    modules = ["converter.worker"]
    factory = {"inputs.npz": "inputs.npz"} | {place: place for place in (SOURCE, CHECKPOINT)}
    numbers = {name: name for name in made.converts.leaves if name != MEMORY or made.in_memory}
    trusted = _trusted(choice, model)
    # In the order of forward(), if that was recorded.
    names = [str(item["name"]) for item in choice.result.export.facts.get("given") or ()] or None
    if choice.cell.exporter.via == FILE:
        steps += _read_file(choice, model)
    elif choice.cell.exporter.writes:
        written = choice.result.export.facts.get("ir_version")
        ir = int(written) if isinstance(written, int) else None
        params, imports = export_params(model, choice.cell.exporter, choice.cell.opset, ir, trusted, names)
        leaves = {"model.onnx": "model.onnx", "torch.npz": "expected.npz"}
        steps.append(_step("export", params, factory, leaves))
        modules += imports
    for change in choice.cell.alterations:
        file = {"model.onnx": "model.onnx"}
        steps.append(_step("alter", {"change": dict([change])}, file | {"inputs.npz": "inputs.npz"}, file))
    own: dict[str, Any] = {"environ": dict(choice.cell.environ)} if choice.cell.environ else {}
    kind, given = "convert", {"model.onnx": "model.onnx", "inputs.npz": "inputs.npz"}
    if made.source == "torch":
        params, imports = factory_params(model, trusted, names)
        kind, given, own, numbers = "direct", factory, {**params, **own}, {**numbers, "torch.npz": "expected.npz"}
        modules += imports
    steps.append(_step(kind, own, given, {**numbers, CARRIED: made.runtime}, made.converts))
    saved = {CARRIED: made.runtime, "inputs.npz": "inputs.npz"}
    left = _left(choice)
    for loads in made.loads:
        leaves = {loads.numbers: loads.numbers}
        if loads.makes == TFLITE and not choice.tflite:
            continue
        if left is not None:
            if left.isdisjoint(loads.loads):
                # The converter did not make this artifact, so it was not measured.
                continue
            left |= {loads.makes}
        if loads.module == _TFLITE:
            leaves["model.tflite"] = "model.tflite"
            modules.append(loads.module)
            loads = replace(loads, module=f"{loads.module}_kept")
        steps.append(_step(kind, own, saved, leaves, loads))
    modules += [step["module"] for step in steps]
    arrays = {name for step in steps for name in step["leaves"].values()}
    document = {
        "schema": SCHEMA,
        "cell": choice.cell.id,
        "pythons": {role: part.places for part in choice.parts for role in part.roles},
        "packages": {role: part.lock.packages for part in choice.parts for role in part.roles},
        "environ": dict(WORKER),
        "trusted": model.trust,
        "user": _user_files(model, choice.result.export.facts.get("external")),
        "steps": steps,
        "expected": "the reference" if choice.cell.exporter.via == FILE else "what torch computed",
        "compared": [[name, words] for name, words in _compared(made) if name in arrays],
        "tolerances": dataclasses.asdict(choice.tolerances),
        "model_onnx_sha256": _sha256(choice),
    }
    return Conversion(document, tuple(modules), choice.code, _inputs(choice, model))


def _left(choice: Choice) -> set[str] | None:
    """Return the kinds of artifact that the converter left, None if that was not recorded."""
    passes = choice.result.convert.passes if choice.result.convert is not None else ()
    named = passes[0].facts.get("artifacts") if passes else None
    return set(named) if isinstance(named, list) else None


def _trusted(choice: Choice, model: ModelSpec) -> bool:
    """Whether the checkpoint may run code, as in the measurement: there a sandbox lets torch < 2.6 load such files. The
    folder is not one, so convert.py asks the user."""
    torch = choice.cell.exporter.torch or choice.converter.packages.get("torch", "0")
    return model.trust or (model.checkpoint is not None and Version(torch) < Version("2.6"))


def _read_file(choice: Choice, model: ModelSpec) -> list[dict[str, Any]]:
    """Return the passes that inline a user's .onnx file and, without given outputs, run it."""
    takes, leaves = {"model.onnx": "given.onnx", "beside": "beside"}, {"model.onnx": "model.onnx"}
    if model.reference is not None:
        return [_step("inspect", {}, takes | {GIVEN: GIVEN}, leaves | {GIVEN: "expected.npz"})]
    given = {"model.onnx": "model.onnx", "inputs.npz": "inputs.npz"}
    return [
        _step("inspect", {}, takes, leaves),
        _step("reference", {}, given, {"reference.npz": "expected.npz"}),
    ]


def _step(
    kind: str,
    params: Mapping[str, Any],
    takes: Mapping[str, str],
    leaves: Mapping[str, str],
    work: Pass | None = None,
) -> dict[str, Any]:
    """Return one pass of a job of this kind. `takes` and `leaves` map names in the pass's folders to names in the
    result; files of `takes` that do not exist are left out, such as the source of a zoo model."""
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


def _user_files(model: ModelSpec, external: object) -> dict[str, dict[str, str]]:
    """Return the user's files that convert.py takes: {option: {"default", "place", "about"}}."""
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
    if (of := model.package) is not None:
        add("onnx", of.file, "given.onnx", f"the .onnx file, part of the package {of.name}=={of.version}")
    if model.onnx is not None and isinstance(external, Iterable):
        for number, location in enumerate(map(str, external)):
            path = str(Path(model.onnx).parent / location)
            add(f"external-{number}", path, f"beside/{location}", f"{location}, which belongs to the .onnx file")
    add("inputs", model.inputs_file, "inputs.npz", "the .npz file of inputs")
    add("reference", model.reference, GIVEN, "the .npz file of the outputs to compare with")
    return found


def _placed(model: ModelSpec, root: Path) -> ModelSpec:
    """Return the model with absolute paths."""

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
    facts = choice.result.export.facts
    completed = completed_inputs(model, facts.get("inputs") or (), facts.get("chosen") or ())
    inputs = tuple(completed)
    if "fix" in dict(choice.cell.alterations):
        return pack(of_first_size(draw_for_file(inputs, model.seed or 0)))
    return make_inputs(inputs, model.seed, model.is_file)


def _sha256(choice: Choice) -> str | None:
    """Return the hash of the file that was converted, which is the name of its blob."""
    last = choice.result.altered[-1] if choice.result.altered else choice.result.export
    return last.file("model.onnx")
