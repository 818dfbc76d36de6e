"""Measure how the cost of a run grows with the number of cells and the number of converter rows.

    python benchmarks/growth.py [--cells 10,100,1000] [--rows 4,8,16] [--at CELLS] [--work FOLDER] [--out FILE.json]
                                [--picture FILE.svg]
    python benchmarks/growth.py --draw FILE.json --picture FILE.svg

Every point is a real `python -m matrix run` of a generated table: the rows of matrix.yml with their committed locks, so
that nothing is resolved, and copies of one small model of the zoo that differ by their seed, so that every copy is a
file of its own. All rows read what the exporter writes. The number of cells varies with the first number of --rows, the
number of rows varies at --at cells.

A first run that is not timed makes all environments and fills the package cache. Each point then starts with an empty
store: its run executes every job, on environments that exist. The same command again finds everything in the store.

Measured are wall-clock seconds, the seconds that the processors were busy (driver and workers), and the wall-clock
seconds of the second run. --draw draws figures that were written before, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent

EXPORTER, OPSET = "torch-1.2.0", 9
MODEL = "gestures"
# Rows that cannot read the exporter's files, or cannot be imported.
UNFIT = ("onnxtf1.1.*", "onnxtf1.2.*", "onnxtf1.3.0-onnx1.3.*", "*-tf2.16.*")

Table = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One measured run: seconds, and the number of cells by verdict."""

    cells: int
    rows: int
    seconds: float
    cpu_seconds: float
    unchanged_seconds: float
    verdicts: dict[str, int]


def table_of(cells: int, rows: int) -> Table:
    """Return the content of a table whose tier `growth` has so many cells over so many converter rows.

    Raises SystemExit where matrix.yml has fewer rows that fit.
    """
    table: Table = yaml.load((ROOT / "matrix.yml").read_text(), Loader=yaml.BaseLoader)
    fit = [row for row in table["converters"] if not any(fnmatchcase(row["id"], pattern) for pattern in UNFIT)]
    # Rows without companions are taken last.
    fit.sort(key=lambda row: ("companions" in row, *map(int, row["pins"]["tensorflow"].split("."))))
    if rows > len(fit):
        raise SystemExit(f"--rows {rows}: matrix.yml has {len(fit)} rows that read what {EXPORTER} writes")
    # Spread over the releases of TensorFlow, whatever their number; fewer rows are a part of more.
    names = [row["id"] for first in range(4) for row in fit[first::4]][:rows]
    model = next(model for model in table["models"] if model["id"] == MODEL)
    models = [{**model, "id": f"{MODEL}-{seed}", "seed": str(seed)} for seed in range(-(-cells // rows))]
    selected = {"exporter": EXPORTER, "opset": str(OPSET)}
    parts = [
        {**selected, "model": model["id"], "converter": names[: cells - done]}
        for done, model in zip(range(0, cells, rows), models, strict=True)
    ]
    tier = {"about": f"{cells} cells over {rows} rows", "bare": "true", "cells": parts}
    # The other rows stay: a companion's rule that matches no row is an error.
    kept = {key: value for key, value in table.items() if key != "expect"}
    return kept | {"models": models, "default_tier": "growth", "tiers": {"growth": tier}}


def write_table(folder: Path, table: Table) -> Path:
    """Write a table, and the committed locks beside it."""
    shutil.copytree(ROOT / "envs", folder / "envs")
    path = folder / "matrix.yml"
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    return path


class Rounds:
    """Runs of generated tables below a folder. All share the environments, none the store."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._state = work / "state"

    def warm_up(self, rows: int) -> None:
        """Make every environment and run one cell in it."""
        with self._prepared(rows, rows) as command:
            _call(command)

    def point(self, cells: int, rows: int) -> Point:
        """Run a table on an empty store, and again with nothing changed."""
        with self._prepared(cells, rows) as command:
            found, seconds, cpu_seconds = _call(command)
            again, unchanged, _ = _call(command)
        verdicts = Counter(cell["verdict"] for cell in found["cells"])
        assert sum(verdicts.values()) == cells, f"{sum(verdicts.values())} cells were decided, not {cells}"
        assert not found["jobs"]["cached"], "the store was not empty"
        assert not again["jobs"]["run"], "the second run repeated jobs"
        return Point(cells, rows, round(seconds, 2), round(cpu_seconds, 2), round(unchanged, 2), dict(verdicts))

    @contextmanager
    def _prepared(self, cells: int, rows: int) -> Iterator[list[str]]:
        """Yield the command that runs a table with an empty store; remove both afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="round-", dir=self._work))
        try:
            path = write_table(folder, table_of(cells, rows))
            store = f"sqlite:///{folder / 'matrix.db'}"
            shutil.rmtree(self._state / "blobs", ignore_errors=True)
            options = ["--table", str(path), "--state", str(self._state), "--store", store, "--engine", "venv"]
            yield [sys.executable, "-m", "matrix", "run", *options, "--tier", "growth", "--locked", "--format", "json"]
        finally:
            shutil.rmtree(folder)


def _call(command: Sequence[str]) -> tuple[Any, float, float]:
    """Return the document that a run prints, its wall-clock seconds and its processor seconds."""
    started, before = time.monotonic(), _work()
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds, cpu_seconds = time.monotonic() - started, _work() - before
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout)
    left_out = [cell["cell"] for cell in found["cells"] if cell["indeterminate"]]
    if left_out:
        raise SystemExit(f"{len(left_out)} cells could not be measured, such as {left_out[0]}\n{done.stderr[-3000:]}")
    return found, seconds, cpu_seconds


def _environment() -> dict[str, str]:
    """Return this process's variables without those that choose another state or store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MATRIX_")}


def _work() -> float:
    """Return the processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(work: Path, cells: Sequence[int], rows: Sequence[int], at: int) -> Iterator[Point]:
    """Yield the points: every number of cells with the first number of rows, then the other rows at `at` cells."""
    rounds = Rounds(work)
    # On the file system of the environments, where packages can be linked.
    work.mkdir(parents=True, exist_ok=True)
    rounds.warm_up(max(rows))
    pairs = dict.fromkeys([*((count, rows[0]) for count in cells), *((at, count) for count in rows)])
    for count, of_rows in pairs:
        found = rounds.point(count, of_rows)
        print(f"{count} cells, {of_rows} rows: {found.seconds} s", file=sys.stderr, flush=True)
        yield found


def as_markdown(points: Sequence[Point]) -> str:
    """Format the points as a table."""
    lines = [
        "| cells | rows | run | per cell | processors | per cell | nothing changed | verdicts |",
        "|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for point in points:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(point.verdicts.items()))
        lines.append(
            f"| {point.cells:,} | {point.rows} | {point.seconds:.1f} s | {point.seconds / point.cells:.3f} s "
            f"| {point.cpu_seconds:.1f} s | {point.cpu_seconds / point.cells:.3f} s "
            f"| {point.unchanged_seconds:.1f} s | {verdicts} |"
        )
    return "\n".join(lines)


# -- the picture

_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, DejaVu Sans, sans-serif"
_PAPER, _INK, _GRID = "#ffffff", "#1f2328", "#d1d9e0"
# Okabe and Ito's colours, which the colour-blind can tell apart; marks and dashes differ too.
_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"
_DARK = {_PAPER: "#0d1117", _INK: "#e6edf3", _GRID: "#30363d", _BLUE: "#56b4e9", _ORANGE: "#e69f00", _GREEN: "#2fc79a"}
_MEASURES = (
    ("wall clock", "seconds", _BLUE, "circle", [1, 0]),
    ("processors", "cpu_seconds", _ORANGE, "square", [6, 3]),
    ("nothing changed", "unchanged_seconds", _GREEN, "triangle-up", [2, 3]),
)
# What may stand at the ticks of a logarithmic axis.
_ROUND = [digit * 10**power / 10 for power in range(6) for digit in (1, 2, 5)]


def picture(points: Sequence[Point]) -> str:
    """Return the points as SVG: seconds by cells on the left, by rows on the right, on logarithmic axes."""
    import vl_convert

    fewest, at = _held(points)
    by_cells = [point for point in points if point.rows == fewest]
    by_rows = [point for point in points if point.cells == at]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": _PAPER,
        "padding": 16,
        "config": {
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {
                "labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal", "labelColor": _INK,
                "titleColor": _INK, "gridColor": _GRID, "tickColor": _GRID, "domainColor": _GRID,
            },
            "legend": {
                "labelFontSize": 13, "labelColor": _INK, "orient": "bottom", "title": None, "symbolSize": 90,
                "symbolStrokeWidth": 0,
            },
            "title": {"fontSize": 14, "fontWeight": "normal", "color": _INK, "anchor": "start"},
        },
        "hconcat": [
            _panel(f"{fewest} converter rows", "cells", by_cells),
            _panel(f"{at:,} cells", "rows", by_rows),
        ],
    }  # fmt: skip
    dark = "".join(f'[fill="{one}"]{{fill:{two}}}[stroke="{one}"]{{stroke:{two}}}' for one, two in _DARK.items())
    said = "; ".join(f"{one.cells} cells over {one.rows} rows: {one.seconds} s" for one in points)
    head = (
        f"<title>Seconds of a run by cells and by converter rows</title><desc>{escape(said)}</desc>"
        f"<style>@media (prefers-color-scheme:dark){{{dark}}}</style>"
    )
    return vl_convert.vegalite_to_svg(spec).replace(">", f">{head}", 1) + "\n"


def _held(points: Sequence[Point]) -> tuple[int, int]:
    """Return the number of rows at which cells vary, and of cells at which rows vary."""
    fewest = min(point.rows for point in points)
    return fewest, next((point.cells for point in points if point.rows != fewest), points[0].cells)


def _panel(title: str, key: str, points: Sequence[Point]) -> dict[str, Any]:
    """Return the chart of every measure over `key`, a number of each point."""
    counts = sorted({getattr(point, key) for point in points})
    values = [
        {"x": getattr(point, key), "y": max(getattr(point, name), 0.01), "measure": label}
        for point in points
        for label, name, *_ in _MEASURES
    ]
    lowest, highest = min(value["y"] for value in values), max(value["y"] for value in values)
    first = max([tick for tick in _ROUND if tick <= lowest], default=lowest)
    last = min([tick for tick in _ROUND if tick >= highest], default=highest)
    labels = [label for label, *_ in _MEASURES]

    def by_measure(place: int) -> dict[str, Any]:
        scale = {"domain": labels, "range": [measure[place] for measure in _MEASURES]}
        return {"field": "measure", "type": "nominal", "scale": scale}

    x_axis = {"title": key, "values": counts, "format": ",d", "grid": False}
    y_axis = {"title": "seconds", "values": [tick for tick in _ROUND if first <= tick <= last], "format": ",~g"}
    return {
        "title": title,
        "width": 300,
        "height": 220,
        "data": {"values": values},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "scale": {"type": "log", "nice": False}, "axis": x_axis},
            "y": {
                "field": "y",
                "type": "quantitative",
                "scale": {"type": "log", "domain": [first, last]},
                "axis": y_axis,
            },
            "color": by_measure(2),
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"strokeDash": by_measure(4)}},
            {"mark": {"type": "point", "size": 70, "filled": True, "opacity": 1}, "encoding": {"shape": by_measure(3)}},
        ],
    }


def _numbers(text: str) -> list[int]:
    found = [int(number) for number in text.split(",")]
    if min(found) < 1:
        raise argparse.ArgumentTypeError("numbers from 1 on, separated by commas")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cells", type=_numbers, default=[10, 100, 1000], help="numbers of cells; default: 10,100,1000"
    )
    parser.add_argument("--rows", type=_numbers, default=[4, 8, 16], help="numbers of rows; default: 4,8,16")
    parser.add_argument("--at", type=int, help="cells with every number of rows; default: the middle one of --cells")
    parser.add_argument("--work", type=Path, help="working folder; default: a temporary one, removed afterwards")
    parser.add_argument("--out", type=Path, help="also write the figures to this file as JSON")
    parser.add_argument("--picture", type=Path, help="also draw them, as an SVG file")
    parser.add_argument("--draw", type=Path, metavar="FILE.json", help="take the figures from this file")
    options = parser.parse_args()
    if options.draw:
        points = [Point(**point) for point in json.loads(options.draw.read_text())["points"]]
    else:
        cells, rows = sorted(options.cells), sorted(options.rows)
        at = options.at or cells[len(cells) // 2]
        if min(cells) < rows[0] or at < rows[-1]:
            parser.error("every row needs a cell: ask for more cells, or for fewer rows")
        with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as scratch:
            points = list(measure((options.work or Path(scratch)).absolute(), cells, rows, at))
    print(as_markdown(points))
    if options.out:
        figures = {"cores": len(os.sched_getaffinity(0)), "points": [asdict(point) for point in points]}
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    if options.picture:
        options.picture.write_text(picture(points))


if __name__ == "__main__":
    main()
