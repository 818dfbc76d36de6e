"""Convert, reload, run the reference, compare, report: one model from beginning to end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix.execution.inputs import draw, pack
from matrix.judging.tensors import Array
from matrix.outputs.package.image.inside import given, memory, place
from matrix.outputs.package.image.inside.judging import conclude, speak
from matrix.outputs.package.image.inside.mistake import Mistake
from matrix.outputs.package.image.inside.model import Model, choose_shapes, read_model
from matrix.outputs.package.image.inside.options import ImageOptions, parse
from matrix.outputs.package.image.inside.reference import Reference
from matrix.outputs.package.image.inside.telling import Telling
from matrix.outputs.package.image.inside.toolchain import Toolchain
from matrix.outputs.package.image.inside.workers import Workers
from matrix.store.records import Observation, PassRecord


def main(root: Path) -> int:
    """Run the command line of the image whose code lies in `root`; the exit code is one of telling.EXIT_CODES."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        toolchain = Toolchain.read(root)
        return _run(root, toolchain, parse(toolchain))
    except Mistake as mistake:
        _say(str(mistake))
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except PermissionError as error:
        _say(
            f"{error.filename or 'a file'} may not be read or written by user {os.getuid()}; "
            'run the container with --user "$(id -u):$(id -g)" on a folder of your own'
        )
        return 2
    except OSError as error:
        _say(f"{error.filename or 'a file'} could not be read or written: {error.strerror or error}")
        return 7


def _run(root: Path, toolchain: Toolchain, options: ImageOptions) -> int:
    for path, what in ((options.model, "model"), (options.inputs, "--inputs"), (options.reference, "--reference")):
        if path is not None and not place.inside(path, what).is_file():
            raise Mistake(f"{path} is no file in {Path.cwd()}; name it relative to the folder you mount there")
    folder = place.inside(options.output or options.model.with_suffix(".tf"), "--output")
    place.claim(folder, options.overwrite)
    model = read_model(options.model)
    with place.scratch(folder) as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        try:
            telling = _convert(root, toolchain, options, model, scratch, staged, folder)
        except (Mistake, OSError):
            raise
        except Exception as fault:
            (staged / place.LOG).write_text(traceback.format_exc(), encoding="utf-8")
            place.publish(staged, folder)
            _say(f"a fault of this program ({type(fault).__name__}); what happened is in {folder / place.LOG}")
            return 1
        document = telling.document(sorted(path.name for path in staged.iterdir()))
        (staged / place.REPORT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        place.publish(staged, folder)
    print(json.dumps(document, indent=1) if options.json else telling.text())
    return telling.exit_code


def _convert(
    root: Path,
    toolchain: Toolchain,
    options: ImageOptions,
    model: Model,
    scratch: Path,
    staged: Path,
    folder: Path,
) -> Telling:
    started = time.monotonic()
    arrays, words = _inputs(model, options)
    (staged / "inputs.npz").write_bytes(pack(arrays))
    outputs = None
    if options.reference is not None:
        outputs = given.read_given(options.reference, "--reference")
        given.check_reference(arrays, outputs, options.reference)
    files = {
        "model.onnx": model.path,
        "inputs.npz": staged / "inputs.npz",
        **{name: model.path.parent / name for name in model.companions},
    }
    workers = Workers(root / "converter" / "worker.py", scratch)
    passes = [_pass(workers, toolchain.converts, toolchain.python, files)]
    convert = _observation(toolchain, passes)
    kind = str(next(iter(convert.facts.get("artifacts") or ()), ""))
    if kind:
        saved = {"saved": workers.outbox("convert") / "saved", "inputs.npz": staged / "inputs.npz"}
        # TensorFlow Lite is not asked for: the artifact that the converter leaves by itself.
        loads = next(one for one in toolchain.scheme.artifacts if not one.makes)
        passes.append(replace(_pass(workers, loads.module, toolchain.python, saved), artifact=kind))
        convert = _observation(toolchain, passes)
    if speak(convert) is None:
        reference, ran = _reference(toolchain, options, outputs, workers, files, staged)
    else:
        reference, ran = Reference.none("not asked, since there is nothing to compare"), []
    judgement = conclude(model.opset, convert, reference, toolchain.rule, toolchain.scheme)
    _keep(scratch, staged, convert, reference)
    (staged / place.LOG).write_text("".join(map(_log, [*passes, *ran])), encoding="utf-8")
    facts = convert.facts
    return Telling(
        toolchain=toolchain,
        model=model,
        sha256=hashlib.sha256(model.path.read_bytes()).hexdigest(),
        inputs=words,
        reference=reference,
        judgement=judgement,
        result=str(folder),
        kind=facts.get("saved") if (staged / "names.json").exists() else None,
        seconds=round(time.monotonic() - started, 1),
    )


def _inputs(model: Model, options: ImageOptions) -> tuple[dict[str, Array], str]:
    if options.inputs is not None:
        arrays = given.read_given(options.inputs, "--inputs")
        given.check_inputs(model, arrays, options.inputs)
        return arrays, f"{len(given.cases(arrays))} cases, given ({options.inputs})"
    fed = choose_shapes(model, options.shapes)
    arrays = dict(draw(fed, seed=0))
    sizes = ", ".join(f"{item.name} {item.dtype} {'x'.join(map(str, item.shape)) or '()'}" for item in fed)
    return arrays, f"{len(given.cases(arrays))} cases, made up: {sizes}"


def _reference(
    toolchain: Toolchain,
    options: ImageOptions,
    outputs: dict[str, Array] | None,
    workers: Workers,
    files: dict[str, Path],
    staged: Path,
) -> tuple[Reference, list[PassRecord]]:
    if outputs is not None:
        assert options.reference is not None
        (staged / "reference.npz").write_bytes(pack(outputs))
        return Reference.given(options.reference, staged / "reference.npz"), []
    if toolchain.onnxruntime is None:
        return Reference.none("this image carries none; give --inputs and --reference to compare"), []
    record = _pass(workers, "converter.stages.reference", toolchain.reference_python, files)
    return Reference.carried(toolchain.onnxruntime, record), [record]


def _pass(workers: Workers, module: str, python: str, files: dict[str, Path]) -> PassRecord:
    print(f"{module.rpartition('.')[2]} ...", file=sys.stderr, flush=True)
    return workers.run(module, python, files)


def _observation(toolchain: Toolchain, passes: list[PassRecord]) -> Observation:
    return Observation(
        job="",
        kind="convert",
        role="converter",
        environment=toolchain.row,
        environment_id=toolchain.environment,
        limits_seconds=0.0,
        limits_memory_mb=memory.limit_mb(),
        passes=tuple(passes),
        family=toolchain.scheme.name,
    )


def _keep(scratch: Path, staged: Path, convert: Observation, reference: Reference) -> None:
    """Bring what the user gets together."""
    # After the second pass the artifact lies in its inbox; if that never ran, there is none to hand out.
    saved = scratch / "reload" / "inbox" / "job" / "saved"
    if saved.is_dir():
        for path in saved.iterdir():
            path.rename(staged / path.name)
    if memory_file := convert.file("memory.npz"):
        Path(memory_file).rename(staged / "outputs.npz")
    if reference.kind == "carried" and reference.observation is not None:
        made = reference.observation.file("reference.npz")
        if made:
            Path(made).rename(staged / "reference.npz")


def _log(record: PassRecord) -> str:
    error = (record.result or {}).get("error") or {}
    ended = "" if record.exit is None else f"ended: {record.exit}\n"
    text = Path(record.log).read_text(encoding="utf-8")
    return f"=== {record.name}\n{text}{error.get('traceback', '')}{ended}"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr)
