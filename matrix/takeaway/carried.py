"""What of this project goes into a take-away image: the program, the judging modules, and converter/."""

from __future__ import annotations

import shutil
from pathlib import Path

from matrix.paths import CONVERTER
from matrix.verdicts import matching

_PACKAGE = Path(__file__).resolve().parent.parent

# Their packages' own __init__.py stay behind: most of them import what the image does not have.
_MODULES = (
    "arrays.py",
    "config/ids.py",
    "errors.py",
    "execution/inputs.py",
    "legs.py",
    "redact.py",
    "store/records.py",
    "surroundings.py",
    "untrusted.py",
    *(f"verdicts/{name}.py" for name in (
        "blind", "changes", "compare", "finding", "hints", "judge", "matching", "metrics", "outcome", "remarks",
        "scheme", "tensors", "tolerance",
    )),
)  # fmt: skip

_START = '''\
"""Started by the image's entrypoint."""

import sys
from pathlib import Path

from matrix.takeaway.inside.program import main

sys.exit(main(Path(__file__).parent))
'''


def write_program(folder: Path) -> None:
    """Write everything but the toolchain's facts below `folder`; `folder/convert.py` starts it."""
    for name in _MODULES:
        _copy(_PACKAGE / name, folder / "matrix" / name)
    inside = _PACKAGE / "takeaway" / "inside"
    for path in sorted(inside.glob("*.py")):
        _copy(path, folder / "matrix" / "takeaway" / "inside" / path.name)
    packages = {path.parent for path in (folder / "matrix").rglob("*.py")}
    for package in (folder / "matrix", folder / "matrix" / "takeaway", *packages):
        if not (package / "__init__.py").exists():
            (package / "__init__.py").touch()
    carried = folder / "matrix" / "verdicts" / matching.CARRIED.name
    carried.write_text(matching.carried(), encoding="utf-8")
    for path in sorted(CONVERTER.rglob("*.py")):
        # The zoo is for the exporter's side.
        if "zoo" not in path.parts:
            _copy(path, folder / "converter" / path.relative_to(CONVERTER))
    (folder / "convert.py").write_text(_START, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
