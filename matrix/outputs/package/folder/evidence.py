"""EVIDENCE.md: what was measured of the conversion, what was not, and how to reproduce it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from matrix.core.text import redact
from matrix.families.registry import distributions
from matrix.outputs.package.folder.choice import Choice, PackagePart
from matrix.outputs.package.folder.installing import UNPROVEN
from matrix.outputs.wording.legs import leg_words


def evidence(choice: Choice, user: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page. `user` are the user's files, as conversion.json has them."""
    sections = (_verdict(choice), _numbers(choice), _versions(choice), _again(choice, user), _limits(choice))
    return "\n\n".join("\n".join(section).rstrip() for section in sections) + "\n"


def _verdict(choice: Choice) -> Iterator[str]:
    cell, run = choice.cell, choice.run
    convert, opset = choice.result.convert, choice.result.opset_written
    yield from (f"# {cell.model.id}: **match**", "", f"- cell: `{choice.result.record.cell}`")
    if choice.exporter is not None:
        written = f", written {opset}" if opset is not None and opset != cell.opset else ""
        yield f"- exporter: torch {cell.exporter.torch} ({cell.exporter.via}), opset {cell.opset}{written}"
    yield f"- measured: {run.started:%Y-%m-%d}, engine {run.engine}, {choice.host}"
    if convert is not None and convert.run not in (None, run.id):
        yield f"- the conversion itself was measured in an earlier run (number {convert.run}) and is unchanged since"
    yield f"- command: `{redact(run.command)}`"
    yield f"- remedies that were needed: {', '.join(step.words for step in cell.changes) or 'none'}"
    yield from (f"- remark: {remark}" for remark in choice.result.judgement.remarks)


def _numbers(choice: Choice) -> Iterator[str]:
    words, tolerance = leg_words(choice.family), choice.tolerances
    floats = "; ".join(f"{kind} {getattr(tolerance, kind)}" for kind in ("float32", "float64", "float16"))
    yield from ("## Numbers", "")
    yield "An element passes if |a - b| <= atol + rtol * |ref|. The margin is how many times tighter it could be."
    yield ""
    yield "| compared | elements | max abs | max rel | RMSE | SNR dB | margin |"
    yield "|---|---|---|---|---|---|---|"
    for leg, numbers in choice.result.judgement.legs.items():
        cells = [_number(numbers.get(key)) for key in ("elements", "max_abs", "max_rel", "rmse", "snr_db", "margin")]
        yield f"| {words.get(leg, leg)} | {' | '.join(cells)} |"
    yield from ("", f"Tolerances: {floats}; integers {tolerance.integer}; booleans {tolerance.boolean}.")


def _number(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions(choice: Choice) -> Iterator[str]:
    yield from ("## Environments", "")
    known = dict.fromkeys(("torch", *distributions([choice.family]), "numpy", "protobuf", "onnxruntime"))
    for part in choice.parts:
        lock = part.lock
        pins = ", ".join(f"{name} {lock.packages[name]}" for name in known if name in lock.packages)
        yield (
            f"- **{part.name}** (`{part.prefix}requirements.txt`, row {lock.name}): "
            f"Python {_python(choice, part)}; {pins}; {len(lock.packages)} packages as of {lock.as_of.isoformat()}"
        )


def _python(choice: Choice, part: PackagePart) -> str:
    """Return the exact version if an observation has it."""
    result = choice.result
    seen = {"exporter": result.export, "converter": result.convert, "reference": result.reference}
    found = (item.python for role in part.roles if (item := seen[role]) is not None and item.python)
    return next(found, part.lock.python)


def _again(choice: Choice, user: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield from ("## How to reproduce it", "")
    yield "Each way makes the environments and then converts. `convert.py --help` shows how to name files that moved."
    yield ""
    local = any(part.pip_only for part in choice.parts)
    if local:
        yield "FOLDER holds the wheels that are in no package index; the head of requirements.txt names them."
        yield ""
    convert = "python3 convert.py"
    yield from _way("pip", *(line for part in choice.parts for line in _pip(part)), convert)
    yield from _way("uv", *(line for part in choice.parts for line in _uv(part)), convert)
    yield from _way("tox", *(["export UV_FIND_LINKS=FOLDER"] if local else []), "tox run")
    copied = ["cp FOLDER/*.whl extra/"] if local else []
    yield from _way("Docker", *copied, "docker build --tag my-conversion .", "mkdir -p out", _docker(user))
    yield from _way(f"conda ({UNPROVEN})", *map(_conda, choice.parts), convert)


def _way(name: str, *lines: str) -> Iterator[str]:
    yield from (f"### {name}", "", "```sh", *lines, "```", "")


def _pip(part: PackagePart) -> Iterator[str]:
    pip = f"{part.prefix}.venv/bin/python -m pip install"
    yield f"python{part.lock.python} -m venv {part.prefix}.venv"
    yield f"{pip} --upgrade pip"
    yield f"{pip} --no-deps --require-hashes{_wheels(part)} -r {part.prefix}requirements.txt"


def _uv(part: PackagePart) -> Iterator[str]:
    place, wheels = f"{part.prefix}.venv", _wheels(part)
    yield f"uv venv --no-project --python {part.lock.python} {place}"
    yield f"uv pip sync --require-hashes{wheels} --python {place}/bin/python {part.prefix}requirements.txt"


def _wheels(part: PackagePart) -> str:
    return " --find-links FOLDER" if part.pip_only else ""


def _conda(part: PackagePart) -> str:
    options = f"--prefix {part.prefix}env --file {part.prefix}environment.yml"
    return f"PIP_NO_DEPS=1 PIP_REQUIRE_HASHES=1 conda env create {options}"


def _docker(user: Mapping[str, Mapping[str, str]]) -> str:
    """Mount files where they are, so that convert.py finds them under the same names."""
    paths = dict.fromkeys(item["default"] for item in user.values())
    mounts = [f"-v {shlex.quote(f'{path}:{path}:ro')}" for path in paths]
    start = 'docker run --rm --network none --user "$(id -u):$(id -g)"'
    return " ".join([start, *mounts, '-v "$PWD/out:/out"', "my-conversion"])


def _limits(choice: Choice) -> Iterator[str]:
    yield from ("## Limits, and what was not measured", "")
    yield "- CPU only, on Linux x86-64; other processors may round differently."
    yield (
        "- Only the inputs of the measurement: drawn ones, unless a file of inputs was given. "
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
        "the table above compares step by step."
    )
    yield (
        "- `toolkit/conversion.json` and commands above may name folders of the machine this was made on: check before "
        "you share them."
    )
    yield "- This is not a sandbox: the model's own code runs as you. The Docker image with `--network none` is one."
