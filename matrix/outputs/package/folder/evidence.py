"""EVIDENCE.md: what was seen of the conversion, what was not, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from matrix.core.text import redact
from matrix.families import Family
from matrix.families.registry import distributions
from matrix.outputs.package.folder.choice import Choice, PackagePart
from matrix.outputs.package.folder.installing import UNPROVEN

_LEGS = {
    "torch-onnxruntime": "torch and ONNX Runtime",
    "given-onnxruntime": "the given outputs and ONNX Runtime",
    "original-altered": "the file before and after it was changed",
    "reloaded-tflite": "the saved model and TensorFlow Lite",
    "reference-repeated": "ONNX Runtime and itself, a second time",
    "torch-repeated": "torch and itself, a second time",
}


# Where such a comparison begins; it ends with what runs the converted model.
_ORIGINS = {"onnxruntime": "ONNX Runtime", "torch": "torch", "given": "the given outputs"}


def _leg(leg: str, family: Family) -> str:
    """What was compared, in words."""
    runtime = family.title_of(family.runtime)
    origin, _, other = leg.partition("-")
    if leg == "memory-reloaded":
        return f"{runtime} in memory and the saved model, reloaded"
    if other == family.runtime and origin in _ORIGINS:
        return f"{_ORIGINS[origin]} and {runtime}"
    return _LEGS.get(leg, leg)


def evidence(choice: Choice, user: Mapping[str, Mapping[str, str]]) -> str:
    """The page. `user` are the user's files, as conversion.json has them."""
    return "\n".join(
        [*_verdict(choice), *_numbers(choice), *_versions(choice), *_again(choice, user), *_limits(choice)]
    )


def _verdict(choice: Choice) -> Iterator[str]:
    cell, run = choice.cell, choice.run
    convert = choice.result.convert
    yield f"# {cell.model.id}: **match**"
    yield ""
    yield f"- cell: `{choice.result.record.cell}`"
    opset = choice.result.opset_written
    if choice.exporter is not None:
        written = f", written {opset}" if opset is not None and opset != cell.opset else ""
        yield f"- exporter: torch {cell.exporter.torch} ({cell.exporter.via}), opset {cell.opset}{written}"
    yield f"- measured: {run.started:%Y-%m-%d}, engine {run.engine}, {choice.host}"
    if convert is not None and convert.run not in (None, run.id):
        yield f"- the conversion itself was measured in an earlier run (number {convert.run}) and is unchanged since"
    yield f"- command: `{redact(run.command)}`"
    steps = [step.words for step in cell.changes]
    yield f"- remedies that were needed: {', '.join(steps) if steps else 'none'}"
    for remark in choice.result.judgement.remarks:
        yield f"- remark: {remark}"
    yield ""


def _numbers(choice: Choice) -> Iterator[str]:
    yield "## Numbers"
    yield ""
    yield "An element passes where |a - b| <= atol + rtol * |ref|. The margin says how many times tighter it could be."
    yield ""
    yield "| compared | elements | max abs | max rel | RMSE | SNR dB | margin |"
    yield "|---|---|---|---|---|---|---|"
    for leg, numbers in choice.result.judgement.legs.items():
        cells = [_number(numbers.get(key)) for key in ("elements", "max_abs", "max_rel", "rmse", "snr_db", "margin")]
        yield f"| {_leg(leg, choice.family)} | {' | '.join(cells)} |"
    tolerance = choice.tolerances
    yield ""
    floats = "; ".join(f"{kind} {getattr(tolerance, kind)}" for kind in ("float32", "float64", "float16"))
    yield f"Tolerances: {floats}; integers {tolerance.integer}; booleans {tolerance.boolean}."
    yield ""


def _number(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions(choice: Choice) -> Iterator[str]:
    yield "## Environments"
    yield ""
    for part in choice.parts:
        lock = part.lock
        known = dict.fromkeys(("torch", *distributions([choice.family]), "numpy", "protobuf", "onnxruntime"))
        pins = ", ".join(f"{name} {lock.packages[name]}" for name in known if name in lock.packages)
        yield (
            f"- **{part.name}** (`{part.prefix}requirements.txt`, row {lock.name}): "
            f"Python {_python(choice, part)}; {pins}; {len(lock.packages)} packages as of {lock.as_of.isoformat()}"
        )
    yield ""


def _python(choice: Choice, part: PackagePart) -> str:
    """The exact one, where an observation tells."""
    result = choice.result
    seen = {"exporter": result.export, "converter": result.convert, "reference": result.reference}
    found = next((item for role in part.roles if (item := seen[role]) is not None and item.python), None)
    return found.python if found is not None else part.lock.python


def _again(choice: Choice, user: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield "## How to reproduce it"
    yield ""
    yield "Each way makes the environments and then converts. `convert.py --help` tells how to name files that moved."
    yield ""
    find = " --find-links FOLDER" if any(part.pip_only for part in choice.parts) else ""
    if find:
        yield "FOLDER holds the wheels that are in no package index; the head of requirements.txt names them."
        yield ""
    yield from _way("pip", [line for part in choice.parts for line in _pip(part, find)] + ["python3 convert.py"])
    yield from _way("uv", [line for part in choice.parts for line in _uv(part, find)] + ["python3 convert.py"])
    yield from _way("tox", [*([f"export UV_FIND_LINKS={find.split()[-1]}"] if find else []), "tox run"])
    copied = ["cp FOLDER/*.whl extra/"] if find else []
    yield from _way("Docker", [*copied, "docker build --tag my-conversion .", "mkdir -p out", _docker(user)])
    yield from _way(
        f"conda ({UNPROVEN})", [line for part in choice.parts for line in _conda(part)] + ["python3 convert.py"]
    )


def _way(name: str, lines: list[str]) -> Iterator[str]:
    yield from (f"### {name}", "", "```sh", *lines, "```", "")


def _pip(part: PackagePart, find: str) -> Iterator[str]:
    place = f"{part.prefix}.venv"
    pip = f"{place}/bin/python -m pip install"
    yield f"python{part.lock.python} -m venv {place}"
    yield f"{pip} --upgrade pip"
    yield f"{pip} --no-deps --require-hashes{find if part.pip_only else ''} -r {part.prefix}requirements.txt"


def _uv(part: PackagePart, find: str) -> Iterator[str]:
    place = f"{part.prefix}.venv"
    yield f"uv venv --no-project --python {part.lock.python} {place}"
    options = find if part.pip_only else ""
    yield f"uv pip sync --require-hashes{options} --python {place}/bin/python {part.prefix}requirements.txt"


def _conda(part: PackagePart) -> Iterator[str]:
    yield (
        f"PIP_NO_DEPS=1 PIP_REQUIRE_HASHES=1 conda env create --prefix {part.prefix}env "
        f"--file {part.prefix}environment.yml"
    )


def _docker(user: Mapping[str, Mapping[str, str]]) -> str:
    """Files are mounted where they lie, so that convert.py finds them under the same names."""
    paths = dict.fromkeys(item["default"] for item in user.values())
    mounts = [f"-v {shlex.quote(f'{path}:{path}:ro')}" for path in paths]
    return " ".join(
        ['docker run --rm --network none --user "$(id -u):$(id -g)"', *mounts, '-v "$PWD/out:/out"', "my-conversion"]
    )


def _limits(choice: Choice) -> Iterator[str]:
    yield "## Limits, and what was not measured"
    yield ""
    yield "- CPU only, and Linux x86-64; other processors may round otherwise."
    yield (
        "- The inputs of the measurement alone: drawn ones, unless a file of inputs was given. "
        "Other inputs, other shapes and training were not tried."
    )
    if not choice.tflite and "tflite" in choice.family.capabilities:
        yield "- TensorFlow Lite was not asked for."
    if "onnxruntime-leg-absent" in choice.result.judgement.remarks:
        runtime = choice.family.title_of(choice.family.runtime)
        yield f"- ONNX Runtime cannot run this file, so torch and {runtime} were compared directly."
    yield f"- `environment.yml` is {UNPROVEN}."
    yield (
        "- `convert.py` compares everything with what torch computed (with the reference, for an .onnx file); "
        "the table above goes leg by leg."
    )
    yield (
        "- `toolkit/conversion.json` and commands above may name folders of the machine this was made on: look before "
        "you pass it on."
    )
    yield "- It is no cage: the model's own code runs as you. The Docker image with `--network none` is one."
    yield ""
