"""Time `python -m matrix plan --tier full` on a generated table of 100,000 cells, relative to `--help`.

    python benchmarks/plan_100k.py

The table is matrix.yml with its converters multiplied; nothing is locked or run. The ratio to `--help` with the same
interpreter shows the cost of planning beyond starting Python.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CELLS = 100_000


def big_table() -> dict[str, object]:
    """Return the content of matrix.yml with enough converters for CELLS cells in tier full."""
    sys.path.insert(0, str(ROOT))
    from matrix.planning import Selection, make_plan
    from matrix.table import load_config

    config = load_config(ROOT / "matrix.yml")
    cells = len(make_plan(config, {}, Selection("full"), None).cells)
    table: dict[str, object] = yaml.load((ROOT / "matrix.yml").read_text(), Loader=yaml.BaseLoader)
    rows = table["converters"]
    assert isinstance(rows, list)
    times = -(-CELLS // cells)
    table["converters"] = rows + [
        {**row, "id": f"{row['id']}-copy{number}"} for number in range(1, times) for row in rows
    ]
    return table


def seconds(*arguments: str) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "matrix", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return time.monotonic() - started, done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.yml"
        path.write_text(yaml.safe_dump(big_table(), sort_keys=False))
        plan, text = min(seconds("plan", "--table", str(path), "--tier", "full") for _ in range(3))
        _, again = seconds("plan", "--table", str(path), "--tier", "full")
    start, _ = min(seconds("--help") for _ in range(3))
    assert text == again, "plan is not deterministic: its output differs for the same inputs"
    print(text.splitlines()[0])
    print(f"plan {plan:.2f} s, --help {start:.2f} s: {plan / start:.0f} times as long")


if __name__ == "__main__":
    main()
