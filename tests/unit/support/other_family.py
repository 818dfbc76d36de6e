"""A second family, brought by an installed package of its own: it takes the torch module itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from small import observation, passed, report

from matrix.families import family_named, registry
from matrix.judging.cells import CellResult
from matrix.judging.finding import Finding
from matrix.judging.judge import Judgement
from matrix.store import Observation

NAME = "torch2lite"

MODULE = """\
from pathlib import Path

from matrix.families import Family
from matrix.store.records import Pass


def loads(name, kind, **more):
    numbers = f"{name}.npz"
    return Pass(f"converter.families.torch2lite.{name}", (numbers,), (kind,), numbers=numbers, **more)


class Torch2Lite(Family):
    name = title = "torch2lite"
    source = "torch"
    packages = ("torch2lite", "torch", "lite-runtime")
    runtime = "lite-runtime"
    titles = {"lite-runtime": "LiteRuntime"}
    code = "torch2lite"
    folder = Path(__file__).parent / "passes"
    loads = (loads("module", "saved-model"), loads("flat", "tflite"))
    artifacts = ("saved-model", "tflite")
    in_memory = False
    reads = None
    newest = ("torch2lite", "torch", "lite-runtime")
    modules = ("torch2lite",)


BROUGHT = Torch2Lite()
"""

ROW = "torch2lite0.4-torch2.13.0-lite-runtime1.2"
VERSIONS = {"lite-runtime": "1.2", "torch": "2.13.0", "torch2lite": "0.4"}

# Beside the two rows of the small table.
TABLE_ROW = f"""\
  - id: {ROW}
    family: {NAME}
    pins: {{torch2lite: 0.4, torch: 2.13.0, lite-runtime: 1.2}}
models:
"""


@contextmanager
def brought(folder: Path) -> Iterator[None]:
    """Install the package that brings the family, as far as entry points and imports are concerned."""
    info = folder / "bringer-1.0.dist-info"
    info.mkdir(parents=True)
    passes = folder / "passes"
    passes.mkdir()
    for name in ("convert", "module", "flat"):
        (passes / f"{name}.py").write_text("")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bringer\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[{registry.GROUP}]\n{NAME} = bringer_of_torch2lite:BROUGHT\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    (folder / "bringer_of_torch2lite.py").write_text(MODULE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        registry._external.cache_clear()
        try:
            yield
        finally:
            registry._external.cache_clear()
            sys.modules.pop("bringer_of_torch2lite", None)


def table(text: str = small.SMALL) -> str:
    """The table with a row of the family."""
    return small.changed("models:\n", TABLE_ROW, text)


def observations(numbers: str, lite: str | None, failed: str = "") -> tuple[Observation, Observation]:
    """What a cell leaves: what the current torch computes, and the conversion. `numbers` and `lite` are the blobs of
    what its torch and the first artifact, and what the second computed; `failed` is what loading the second raised."""
    torch = passed("forward", report("import", "model", "forward"), files={"torch.npz": numbers})
    convert = passed("convert", report("import", "model", "forward", "convert", "save"), files={"own.npz": numbers})
    module = passed("module", report("import", "reload"), files={"module.npz": numbers})
    error = small.raised(failed) if failed else None
    flat = passed("flat", report("import", "reload", error=error), files={"flat.npz": lite} if lite else {})
    return (
        replace(observation("export", torch, environment="torch-2.13.0"), kind="forward"),
        replace(
            observation(
                "convert",
                convert,
                replace(module, artifact="saved-model"),
                replace(flat, artifact="tflite"),
                environment=ROW,
                installed=VERSIONS,
                python="3.11.9",
            ),
            kind="direct",
            family=NAME,
        ),
    )


def record(**changes: Any) -> Any:
    """The cell's record."""
    facts = {"exporter": "direct", "torch": "", "opset": 0, "converter": ROW, "convert": 2}
    return small.cell_record(f"net/direct/{ROW}", **{**facts, **changes})


def result(judgement: Judgement, **changes: Any) -> CellResult:
    """A judged cell of the family."""
    export, convert = observations("n" * 64, "n" * 64)
    return CellResult(
        record(**changes),
        replace(export, id=1),
        None,
        replace(convert, id=2),
        judgement,
        dict(VERSIONS),
        {},
        "3.11",
        cached=True,
        family=family_named(NAME),
    )


APART = {
    "saved-model": Finding("match"),
    "tflite": Finding("error", "converter", "reload", "op-missing", "an operator is missing", "no FlexConv"),
}
BROKEN = Judgement(APART["tflite"], artifacts=APART)
