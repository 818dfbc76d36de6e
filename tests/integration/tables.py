"""Tables for tests, made from the real matrix.yml, the only place for versions."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "tests" / "zoo"

_TEXT = (ROOT / "matrix.yml").read_text(encoding="utf-8")
_SMOKE = yaml.load(_TEXT, Loader=yaml.BaseLoader)["tiers"]["smoke"]["cells"][0]

# The rows of the smoke tier: one exporter at one opset, a TensorFlow 1 and a TensorFlow 2 converter.
EXPORTER: str = _SMOKE["exporter"]
OPSET = int(_SMOKE["opset"])
TF1, TF2 = _SMOKE["converter"]

# The exporter of the newest torch.
NEWEST: str = max(
    yaml.safe_load(_TEXT)["exporters"], key=lambda row: [int(part) for part in str(row["pins"]["torch"]).split(".")]
)["id"]

# Where a combination that is not a row is looked for.
FULL = {"about": "everything", "rule": "full"}


def small_model(name: str, factory: str = "good", seed: int = 0) -> dict[str, Any]:
    """A model of the test zoo, small enough for a conversion to take a second."""
    return {
        "id": name,
        "factory": f"{ZOO / 'models.py'}:{factory}",
        "seed": seed,
        "inputs": [{"name": "image", "shape": [1, 3, 16, 16], "range": [-2, 2]}],
        "outputs": ["features"],
    }


def write_table(
    folder: Path,
    models: list[dict[str, Any]],
    converters: tuple[str, ...] = (TF1,),
    expect: tuple[dict[str, Any], ...] = (),
    rows: tuple[dict[str, Any], ...] = (),
) -> Path:
    """The real table with other models and the tier `test`: those models through EXPORTER and `converters`.

    `rows` are further converter rows. The committed locks are copied beside it. Returns the table's path.
    """
    cells = {"exporter": EXPORTER, "opset": OPSET, "converter": list(converters)}
    parts = _sections(_TEXT)
    parts["models"] = _section("models", models)
    parts["default_tier"] = _section("default_tier", "test")
    parts["tiers"] = _section("tiers", {"test": {"about": "cells of a test", "cells": [cells]}, "full": FULL})
    parts["expect"] = _section("expect", list(expect))
    parts["converters"] += "".join(f"  - {yaml.safe_dump(row, default_flow_style=True, width=1000)}" for row in rows)
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "matrix.yml"
    table.write_text("".join(parts.values()), encoding="utf-8")
    shutil.copytree(ROOT / "envs", folder / "envs", dirs_exist_ok=True)
    return table


def add_model(table: Path, model: dict[str, Any]) -> None:
    """Add a model to a table of `write_table`."""
    parts = _sections(table.read_text(encoding="utf-8"))
    parts["models"] = _section("models", [*yaml.safe_load(parts["models"])["models"], model])
    table.write_text("".join(parts.values()), encoding="utf-8")


def edit_row(table: Path, row: str, old: str, new: str) -> None:
    """Replace text in the line of one row."""
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    (at,) = (i for i, line in enumerate(lines) if line.startswith(f"  - {{id: {row},"))
    assert old in lines[at], f"{old!r} is not in the row {row}: {lines[at]}"
    lines[at] = lines[at].replace(old, new)
    table.write_text("".join(lines), encoding="utf-8")


def copy_of_the_product(folder: Path) -> None:
    """matrix/, converter/ and docker/, for a test that edits them: `python -m matrix` run there uses the copy."""
    for part in ("matrix", "converter", "docker"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


def need_cpu_torch() -> None:
    """Skip if the current torch would include CUDA (gigabytes): its CPU wheel must be configured. Also under CI,
    because this is not a tool that a machine could have."""
    if not (os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")):
        pytest.skip(
            "the current torch would be downloaded with CUDA, 2.8 GB; UV_FIND_LINKS says where its CPU build is"
        )


def _sections(text: str) -> dict[str, str]:
    """The top-level keys with their text, in order; text before the first is under ''."""
    parts = re.split(r"^(?=[a-z_]+:)", text, flags=re.MULTILINE)
    return {part.split(":", 1)[0] if i else "": part for i, part in enumerate(parts)}


def _section(name: str, value: Any) -> str:
    return yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True) + "\n"
