"""Paths of the parts of this installation."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

CONVERTER = _ROOT / "converter"

# The table of a checkout, used when the program runs in another folder.
TABLE = _ROOT / "matrix.yml"

# The recipe of images. (An installed wheel has it inside the package: a folder `docker` beside it would be the Docker
# library.)
DOCKER = next(
    (place for place in (_ROOT / "docker", _ROOT / "matrix" / "_docker") if (place / "Dockerfile").is_file()),
    _ROOT / "docker",
)
