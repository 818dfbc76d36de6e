"""Convert, reload, run the reference, compare and report: the whole way of one model."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from matrix.core.errors import UsageError
from matrix.execution.drawn_inputs import draw, pack
from matrix.judging.tensors import Array
from matrix.outputs.package.image.inside import inputs, result_folder
from matrix.outputs.package.image.inside.judging import Reference, conclude, speak
from matrix.outputs.package.image.inside.model import Model, read_model
from matrix.outputs.package.image.inside.options import ImageOptions, parse
from matrix.outputs.package.image.inside.report import ConversionReport
from matrix.outputs.package.image.inside.toolchain import Toolchain
from matrix.outputs.package.image.inside.workers import Workers, memory_limit_mb
from matrix.store.records import Observation, PassRecord


def main(root: Path) -> int:
    """Run the command line of the image whose code is in `root`; return one of report.EXIT_CODES."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        toolchain = Toolchain.read(root)
        return _run(root, toolchain, parse(toolchain))
    except UsageError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except PermissionError as error:
        _say(result_folder.no_access(error.filename or "a file", error))
        return 2
    except OSError as error:
        _say(f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}")
        return 7


def _run(root: Path, toolchain: Toolchain, options: ImageOptions) -> int:
    for path, what in ((options.model, "model"), (options.inputs, "--inputs"), (options.reference, "--reference")):
        if path is not None and not result_folder.inside(path, what).is_file():
            raise UsageError(f"{path} is not a file in {Path.cwd()}; name it relative to the folder you mount there")
    folder = result_folder.inside(options.output or options.model.with_suffix(".tf"), "--output")
    result_folder.claim(folder, options.overwrite)
    model = read_model(options.model)
    with result_folder.scratch(folder) as scratch:
        staged = scratch / "staged"
        staged.mkdir()
        try:
            report = _convert(root, toolchain, options, model, folder, staged)
        except (UsageError, OSError):
            raise
        except Exception as fault:
            (staged / result_folder.LOG).write_text(traceback.format_exc(), encoding="utf-8")
            result_folder.publish(staged, folder)
            _say(f"internal error ({type(fault).__name__}); the traceback is in {folder / result_folder.LOG}")
            return 1
        document = report.document(sorted(path.name for path in staged.iterdir()))
        (staged / result_folder.REPORT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        result_folder.publish(staged, folder)
    print(json.dumps(document, indent=1) if options.json else report.text())
    return report.exit_code


def _convert(
    root: Path, toolchain: Toolchain, options: ImageOptions, model: Model, folder: Path, staged: Path
) -> ConversionReport:
    """Fill `staged` with the files for `folder`, working beside it. Raises UsageError and OSError."""
    started = time.monotonic()
    arrays, words = _inputs(model, options)
    (staged / "inputs.npz").write_bytes(pack(arrays))
    outputs = None
    if options.reference is not None:
        outputs = inputs.read_given(options.reference, "--reference")
        inputs.check_reference(arrays, outputs, options.reference)
    files = {
        "model.onnx": model.path,
        "inputs.npz": staged / "inputs.npz",
        **{name: model.path.parent / name for name in model.companions},
    }
    workers = Workers(root / "converter" / "worker.py", staged.parent)
    passes = [workers.run(toolchain.converts, toolchain.python, files)]
    convert = _observation(toolchain, passes)
    kind = str(next(iter(convert.facts.get("artifacts") or ()), ""))
    if kind:
        saved = {"saved": Path(workers.jobs["convert"].made, "saved"), "inputs.npz": staged / "inputs.npz"}
        # TensorFlow Lite is not asked for: the artifact that the converter leaves by itself.
        loads = next(one for one in toolchain.scheme.artifacts if not one.makes)
        passes.append(replace(workers.run(loads.module, toolchain.python, saved), artifact=kind))
        convert = _observation(toolchain, passes)
        # Loaded, the artifact is handed out; what no pass could be started on is not.
        for path in Path(workers.jobs[loads.name].given, "saved").glob("*"):
            path.rename(staged / path.name)
    ran: list[PassRecord] = []
    if speak(convert) is not None:
        reference = Reference.none("not run, since there is nothing to compare")
    elif options.reference is not None and outputs is not None:
        (staged / "reference.npz").write_bytes(pack(outputs))
        reference = Reference.given(options.reference, staged / "reference.npz")
    elif toolchain.onnxruntime is None:
        reference = Reference.none("this image carries none; give --inputs and --reference to compare")
    else:
        ran = [workers.run("converter.stages.reference", toolchain.reference_python, files)]
        reference = Reference.carried(toolchain.onnxruntime, ran[0])
    judgement = conclude(model.opset, convert, reference, toolchain.rule, toolchain.scheme)
    if memory := convert.file("memory.npz"):
        Path(memory).rename(staged / "outputs.npz")
    if ran and (made := ran[0].files.get("reference.npz")):
        Path(made).rename(staged / "reference.npz")
    (staged / result_folder.LOG).write_text("".join(map(_log, [*passes, *ran])), encoding="utf-8")
    return ConversionReport(
        toolchain=toolchain,
        model=model,
        sha256=hashlib.sha256(model.path.read_bytes()).hexdigest(),
        inputs=words,
        reference=reference,
        judgement=judgement,
        result=str(folder),
        kind=convert.facts.get("saved") if (staged / "names.json").exists() else None,
        seconds=round(time.monotonic() - started, 1),
    )


def _inputs(model: Model, options: ImageOptions) -> tuple[dict[str, Array], str]:
    """Return the inputs, given or drawn, and a description of them. Raises UsageError."""
    if options.inputs is not None:
        arrays = inputs.read_given(options.inputs, "--inputs")
        inputs.check_inputs(model, arrays, options.inputs)
        return arrays, f"{len(inputs.cases(arrays))} cases, given ({options.inputs})"
    fed = inputs.choose_shapes(model, options.shapes)
    arrays = dict(draw(fed, seed=0))
    sizes = ", ".join(f"{item.name} {item.dtype} {'x'.join(map(str, item.shape)) or '()'}" for item in fed)
    return arrays, f"{len(inputs.cases(arrays))} cases, drawn: {sizes}"


def _observation(toolchain: Toolchain, passes: list[PassRecord]) -> Observation:
    return Observation(
        job="",
        kind="convert",
        role="converter",
        environment=toolchain.row,
        environment_id=toolchain.environment,
        limits_seconds=0.0,
        limits_memory_mb=memory_limit_mb(),
        passes=tuple(passes),
        family=toolchain.scheme.name,
    )


def _log(record: PassRecord) -> str:
    error = (record.result or {}).get("error") or {}
    ended = "" if record.exit is None else f"ended: {record.exit}\n"
    text = Path(record.log).read_text(encoding="utf-8")
    return f"=== {record.name}\n{text}{error.get('traceback', '')}{ended}"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr)
