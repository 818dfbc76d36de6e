"""Measure for how many real .onnx files `pick` proves a toolchain: every model of tier `wild`, no option but the file.

    python benchmarks/wild.py --state FOLDER --out FILE.json [--half developed|kept] [--page docs/wild.md]
    python benchmarks/wild.py --out FILE.json --page docs/wild.md --no-run

Files already in FILE.json are not tried again. The half of a file follows from the hash of its id: `developed` was
looked at while pick was made, `kept` was not. Prints the share that ends in a proof for both halves; --page writes what
came of every file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matrix.table import load_config  # noqa: E402
from matrix.table.model import ModelSpec  # noqa: E402

_HALVES = ("developed", "kept")
_SECONDS = 1800
# So much is shown of what stood in the way.
_SHOWN = 240

Results = dict[str, dict[str, Any]]


def half(model: ModelSpec) -> str:
    """Return the half that a file belongs to."""
    return _HALVES[hashlib.sha256(model.id.encode()).digest()[0] % 2]


def tried(model: ModelSpec, state: Path) -> dict[str, Any]:
    """Run pick for a model; return what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [*(sys.executable, "-m", "matrix", "pick", "--model", model.id, "--state", str(state))]
        command += ["--engine", "venv", "--format", "json", "--out", f"{scratch}/toolchain"]
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    seconds = round(time.monotonic() - began, 1)
    said = [line for line in done.stderr.splitlines() if line.startswith("matrix: ")]
    found: dict[str, Any] = {"code": done.returncode, "seconds": seconds, "said": said[-1][8:] if said else ""}
    sizes = [line for line in done.stderr.splitlines() if line.startswith("sizes chosen")]
    found["sizes"] = sizes[-1].partition("; ")[0].partition(": ")[2] if sizes else ""
    if done.stdout.strip():
        document = json.loads(done.stdout)
        found["conversions"] = document["conversions"]
        found["proven"] = [proof["cell"] for proof in document["proven"]]
        found["changes"] = [change for proof in document["proven"] for change in proof.get("changes") or ()]
    return found


def report(models: Sequence[ModelSpec], results: Results) -> Iterator[str]:
    """Yield the shares and the figures beside them, as lines."""
    for name in _HALVES:
        mine = [results[model.id] for model in models if half(model) == name and model.id in results]
        if not mine:
            continue
        good = [found for found in mine if found["code"] == 0]
        yield f"{name}: {len(good)} of {len(mine)} proven ({len(good) / len(mine):.0%})"
        if good:
            seconds = [found["seconds"] for found in good]
            conversions = [found["conversions"] for found in good]
            yield (
                f"{name}: seconds to the proof: median {statistics.median(seconds):.0f}, worst {max(seconds):.0f}; "
                f"conversions: median {statistics.median(conversions):g}, most {max(conversions)}"
            )


def page(models: Sequence[ModelSpec], results: Results) -> str:
    """Return what came of every file, as Markdown."""
    lines = [
        "# Real files",
        "",
        "What `pick --model FILE`, without any other option, makes of .onnx files that packages of the index carry:",
        "all of a package, at most its first five (tier `wild` of matrix.yml names release, hash and licence). `kept`",
        "files were not looked at while `pick` was made. `python benchmarks/wild.py` measures this again.",
        "",
        *(f"- {line}" for line in report(models, results)),
        "",
        "| file | half | outcome | conversions | seconds |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(model, results[model.id]) for model in models if model.id in results]
    return "\n".join(lines) + "\n"


def _row(model: ModelSpec, found: Mapping[str, Any]) -> str:
    if found["code"] == 0:
        row = found["proven"][0].split("/")[-1].partition("+")
        changes = f" with {', '.join(found['changes'])}" if found.get("changes") else ""
        outcome = f"`{row[0]}`{changes}"
    else:
        said = found["said"].partition(f"could convert {model.id}: ")
        outcome = f"none: {said[2] or said[0]}" if found["code"] == 15 else f"exit {found['code']}: {found['said']}"
    outcome = outcome if len(outcome) <= _SHOWN else f"{outcome[:_SHOWN]} …"
    sizes = f" ({found['sizes']})" if found.get("sizes") else ""
    cells = (f"{model.id}{sizes}", half(model), outcome, found.get("conversions", ""), f"{found['seconds']:.0f}")
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--state", type=Path, default=Path(".matrix"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", choices=_HALVES)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--no-run", action="store_true")
    options = parser.parse_args()
    models = [model for model in load_config(ROOT / "matrix.yml").models if model.package is not None]
    results: Results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for model in models:
        if model.id in results or options.no_run or options.half not in (None, half(model)):
            continue
        results[model.id] = tried(model, options.state)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{model.id}: {results[model.id]['code']}, {results[model.id]['seconds']} s", file=sys.stderr, flush=True)
    print("\n".join(report(models, results)))
    if options.page is not None:
        options.page.write_text(page(models, results))


if __name__ == "__main__":
    main()
