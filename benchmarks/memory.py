"""Measure the driver's resident memory: planning, judging a stored history, and during a run.

    python benchmarks/memory.py [--plan CELLS] [--observations N,N] [--cells N,N] [--out FILE.json]

plan    `python -m matrix plan --tier full` on matrix.yml itself, and on the table of plan_100k.py.
status  `python -m matrix status --run 1 --format json` on a synthetic store of so many observations or more, which
        judges all cells (tests/synthetic_history.py). Arrays are not stored: what comparing them gave is.
run     A run of so many cells over four rows of growth.py's table on an engine without environments, whose workers
        answer at once: when it was planned, and after 25, 50, 75 and 100 % of the cells were decided.

Each is measured in a process of its own: its peak (VmHWM of /proc/self/status), and for a run its resident set at each
of these moments (VmRSS). In megabytes of 2^20 bytes. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent

ROWS = 4
# Of the cells, in per cent; 0 is when the run was planned.
MOMENTS = (0, 25, 50, 75, 100)

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=int, default=100_000, help="cells of the large table; 0: none; default: 100000")
    parser.add_argument("--observations", type=_numbers, default=[1_000, 10_000], help="default: 1000,10000")
    parser.add_argument("--cells", type=_numbers, default=[1_000, 4_000], help="of runs; default: 1000,4000")
    parser.add_argument("--out", type=Path, help="also write the figures to this file as JSON")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as folder:
        figures = measure(Path(folder), options.plan, options.observations, options.cells)
    print(as_markdown(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def measure(folder: Path, plan: int, observations: Sequence[int], cells: Sequence[int]) -> list[Figures]:
    """Return what each child measured, in order; what they read and write is below `folder`."""
    found = [_measured("plan of matrix.yml, tier full", folder, "plan", str(ROOT / "matrix.yml"))]
    if plan:
        path = folder / "matrix.yml"
        made = _measured("table", folder, "table", str(path), str(plan))
        found.append(_measured(f"plan of {made['cells']:,} cells", folder, "plan", str(path)))
    for number in observations:
        state = folder / f"history-{number}"
        made = _measured("history", folder, "history", str(state), str(number))
        stored = f"status of {made['observations']:,} observations in {made['cells']:,} cells"
        found.append(_measured(stored, folder, "status", str(state)))
    for number in cells:
        root = folder / f"run-{number}"
        root.mkdir()
        found.append(_measured(f"run of {number:,} cells", folder, "run", str(root), str(number)))
    return found


def _measured(what: str, folder: Path, *arguments: str) -> Figures:
    """Run a child and return what it wrote down: figures of its own, `peak_mb`, and its seconds."""
    report = folder / "report.json"
    command = [sys.executable, __file__, "--child", str(report), *arguments]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    seconds = round(time.monotonic() - started, 1)
    figures: Figures = json.loads(report.read_text())
    print(f"{what}: {figures['peak_mb']} MB, {seconds} s", file=sys.stderr, flush=True)
    return {"what": what, "seconds": seconds, **figures}


def as_markdown(figures: Sequence[Figures]) -> str:
    """Format the figures as two tables: peaks, and what was resident in the course of runs."""
    lines = ["| | peak |", "|---|---:|"]
    lines += [f"| {one['what']} | {one['peak_mb']:.0f} MB |" for one in figures]
    runs = [one for one in figures if "resident_mb" in one]
    if runs:
        moments = ["planned" if moment == 0 else f"{moment} %" for moment in MOMENTS]
        lines += ["", f"| resident | {' | '.join(moments)} |", f"|---|{'---:|' * len(moments)}"]
    for one in runs:
        resident = (f"{one['resident_mb'][str(moment)]:.0f} MB" for moment in MOMENTS)
        lines.append(f"| {one['what']} | {' | '.join(resident)} |")
    return "\n".join(lines)


# -- what runs in a child


def child(report: str, what: str, *arguments: str) -> None:
    """Do one thing and write down what it took. Its modules are imported only here, so that it holds no others."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "unit" / "support")]
    doing: Mapping[str, Callable[..., Figures]] = {
        "table": make_table,
        "history": make_history,
        "plan": plan,
        "status": status,
        "run": run,
    }
    figures = doing[what](*arguments)
    Path(report).write_text(json.dumps({**figures, "peak_mb": _megabytes("VmHWM")}))


def _megabytes(name: str) -> float:
    """Return a field of /proc/self/status in megabytes: VmHWM is the peak, VmRSS what is resident now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return round(int(kilobytes) / 1024, 1)


def _command(*arguments: str) -> None:
    """Run `python -m matrix` in this process."""
    from matrix.cli import main

    sys.argv = ["matrix", *arguments]
    code = main()
    if code:
        raise SystemExit(f"matrix {' '.join(arguments)}: exit code {code}")


def make_table(path: str, cells: str) -> Figures:
    """Write the table of plan_100k.py for at least so many cells; return how many there are."""
    import plan_100k

    from matrix.planning import Selection, make_plan
    from matrix.table import load_config

    plan_100k.CELLS = int(cells)
    Path(path).write_text(yaml.safe_dump(plan_100k.big_table(), sort_keys=False))
    return {"cells": len(make_plan(load_config(Path(path)), {}, Selection("full"), None).cells)}


def plan(table: str) -> Figures:
    """Plan tier `full` of a table."""
    _command("plan", "--table", table, "--tier", "full")
    return {}


def make_history(state: str, observations: str) -> Figures:
    """Write the history of one night with at least so many observations; return how many there are."""
    from sqlalchemy import create_engine, text
    from synthetic_history import write_history

    # One for nearly every cell, and the exports and references that several cells share.
    write_history(Path(state), max(100, int(observations)), 1)
    with create_engine(f"sqlite:///{state}/matrix.db").connect() as connection:
        return {
            f"{table}s": connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("observation", "cell")
        }


def status(state: str) -> Figures:
    """Judge all cells of the first run of a state folder."""
    _command("status", "--state", state, "--run", "1", "--format", "json")
    return {}


def run(root: str, cells: str) -> Figures:
    """Run a table of so many cells without environments; return the resident megabytes at each of the moments."""
    import growth
    import small
    from fakes import Deed, FakeEngine, good

    from matrix.core.converter_code import ConverterCode
    from matrix.core.paths import CONVERTER
    from matrix.execution.graph import Graphs
    from matrix.execution.job_identity import JobMaker
    from matrix.execution.run import Run
    from matrix.judging.cells import Judge
    from matrix.planning import Selection, make_plan
    from matrix.store import Store
    from matrix.table import load_config

    folder = Path(root)
    config = load_config(growth.write_table(folder / "table", growth.table_of(int(cells), ROWS)))
    locks = small.locks(config)

    def answer(work: str, spec: Mapping[str, Any]) -> Deed:
        # What the engine keeps for tests would be counted.
        engine.seen.clear()
        return good(work, spec)

    engine = FakeEngine(folder, answer)
    planned = make_plan(config, locks, Selection("growth"), None)
    events = _Sampled(len(planned.cells))
    with closing(Store(f"sqlite:///{folder / 'matrix.db'}", folder / "blobs")) as store:
        number = store.begin_run(planned.tier, engine.name, "run", len(planned.cells), {})
        graphs = Graphs(config, planned)
        whole = Run(
            id=number,
            config=config,
            graphs=[graphs.of(cell) for cell in planned.cells],
            locks=locks,
            table=folder / "table" / "matrix.yml",
            engine=engine,
            store=store,
            jobs=JobMaker(ConverterCode(CONVERTER)),
            limits=config.limits,
            parallel=2,
            work=folder / "work",
            events=events,
            speak=Judge(config, store).speak,
        )
        asyncio.run(whole.execute())
        decided = len(store.cells(number))
    assert decided == int(cells), f"{decided} cells were decided, not {cells}"
    return {"cells": decided, "resident_mb": events.resident}


class _Sampled:
    """Events of a run of which nothing is kept but the resident megabytes at each of the moments."""

    def __init__(self, cells: int) -> None:
        self._moments = {cells * moment // 100: str(moment) for moment in MOMENTS}
        self._decided = 0
        self.resident: dict[str, float] = {}

    def planned(self, cells: int) -> None:
        self.resident["0"] = _megabytes("VmRSS")

    def cell_decided(self, cell: object) -> None:
        self._decided += 1
        if self._decided in self._moments:
            self.resident[self._moments[self._decided]] = _megabytes("VmRSS")

    def building(self, environment: str) -> None:
        pass

    def built(self, environment: str, seconds: float, problem: str | None) -> None:
        pass

    def job_started(self, kind: str, environment: str) -> None:
        pass

    def job_ended(self, observation: object, cached: bool) -> None:
        pass


if __name__ == "__main__":
    main()
