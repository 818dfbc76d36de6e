"""Time `pick --offline` with 100,000 stored cells, with and without evidence that was derived before.

    python benchmarks/offline_pick.py STATE [--cells 100000] [--model unet]

STATE is a state folder whose store holds a run of tier `evidence`. Its database is copied, and that run's cells are
duplicated under new runs and models until there are --cells of them; blobs are shared. The first call derives evidence
from observations, as after a change of the judging rules; the others only read it.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIER = "evidence"
CALLS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description="Time an answer from stored evidence.")
    parser.add_argument("state", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--model", default="unet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(options.state / f"matrix.db{suffix}", state / f"matrix.db{suffix}")
        for name in ("blobs", "locks"):
            (state / name).symlink_to((options.state / name).absolute())
        cells, runs = multiply(state / "matrix.db", options.cells)
        first = seconds(state, options.model)
        others = [seconds(state, options.model) for _ in range(CALLS)]
    usual = statistics.median(others)
    print(f"{cells} cells in {runs} runs, {options.cells} requested")
    print("| | seconds | |")
    print("|---|---|---|")
    print(f"| evidence derived before (median of {CALLS}) | {usual:.2f} | {min(others):.2f} to {max(others):.2f} |")
    print(f"| everything judged again | {first:.2f} | {first / usual:.0f}x |")
    return 0


def multiply(database: Path, wanted: int) -> tuple[int, int]:
    """Add runs with renamed copies of the cells; return the resulting numbers of cells and runs."""
    with contextlib.closing(sqlite3.connect(database)) as connection:

        def number(query: str) -> int:
            return int(connection.execute(query).fetchone()[0])

        source = number(f"select max(id) from run where tier = '{TIER}' and status = 'complete'")
        run_columns = [row[1] for row in connection.execute("pragma table_info(run)")]
        cell_columns = [row[1] for row in connection.execute("pragma table_info(cell)") if row[1] != "id"]
        while (there := number("select count(*) from cell")) < wanted:
            run = number("select max(id) from run") + 1
            values = ", ".join(str(run) if name == "id" else name for name in run_columns)
            connection.execute(
                f"insert into run ({', '.join(run_columns)}) select {values} from run where id = {source}"
            )
            renamed = {"run": str(run), "cell": f"'m{run}-' || cell", "model": f"'m{run}-' || model"}
            values = ", ".join(renamed.get(name, name) for name in cell_columns)
            connection.execute(
                f"insert into cell ({', '.join(cell_columns)}) select {values} from cell "
                f"where run = {source} and base is null limit {wanted - there}"
            )
        connection.execute("delete from derived")
        connection.commit()
        return number("select count(*) from cell"), number("select count(*) from run")


def seconds(state: Path, model: str) -> float:
    command = [sys.executable, "-m", "matrix", "pick", "--offline", "--model", model, "--state", str(state)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
