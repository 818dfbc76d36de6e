"""The files of this project that go into a take-away image: the program, the judging modules, and converter/."""

from __future__ import annotations

import shutil
from pathlib import Path

from matrix.core.paths import CONVERTER
from matrix.judging import known_failures as recognise

_PACKAGE = Path(__file__).resolve().parents[3]

# Without the __init__.py of their packages: most of those import what the image does not have.
_MODULES = (
    "core/errors.py",
    "core/text.py",
    "core/files.py",
    "environments/worker_client.py",
    "execution/drawn_inputs.py",
    "families/scheme.py",
    "store/records.py",
    "table/ids.py",
    *(f"judging/{name}.py" for name in (
        "arrays", "compare", "dynamic_range", "finding", "hints", "judge", "known_failures", "matching", "metrics",
        "outcome", "remedy_changes", "tensors", "tolerance",
    )),
)  # fmt: skip

_START = '''\
"""Started by the image's entrypoint."""

import sys
from pathlib import Path

from matrix.outputs.package.image.inside.program import main

sys.exit(main(Path(__file__).parent))
'''


def write_program(folder: Path) -> None:
    """Write everything but the toolchain's facts below `folder`; `folder/convert.py` starts the program."""
    for name in _MODULES:
        _copy(_PACKAGE / name, folder / "matrix" / name)
    inside = Path(__file__).with_name("inside")
    for path in sorted(inside.glob("*.py")):
        _copy(path, folder / path.relative_to(_PACKAGE.parent))
    modules = [*(folder / "matrix").rglob("*.py")]
    for package in {parent for path in modules for parent in path.parents if parent.is_relative_to(folder / "matrix")}:
        (package / "__init__.py").touch()
    carried = folder / "matrix" / "judging" / recognise.CARRIED.name
    carried.write_text(recognise.carried(), encoding="utf-8")
    for path in sorted(CONVERTER.rglob("*.py")):
        # The zoo is for the exporter's side.
        if "zoo" not in path.parts:
            _copy(path, folder / "converter" / path.relative_to(CONVERTER))
    (folder / "convert.py").write_text(_START, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
