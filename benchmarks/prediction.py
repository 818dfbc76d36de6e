"""How well cells of a model are predicted that was never converted: leave one model out, over all stored cells.

    python benchmarks/prediction.py STATE [--one EXPORTER@OPSET]

STATE is the state folder of a run of tier `evidence`; it is copied, not changed. Each model's cells are taken out of the
evidence and predicted from those of the others. What each exporter wrote of the model stays known, as reading a model
gives it; with --one only what that exporter wrote at that opset does. Cells whose export fails are predicted too.

The plain rule: a cell fails where the file's IR version is newer than the converter's onnx knows, where the environment
does not import, or where an operator of the file never got through in other cells or test cases of the row; everything
else matches. Beside it the majority class, and each kind of knowledge left out.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matrix.config.exporters import expand  # noqa: E402
from matrix.config.model import Config  # noqa: E402
from matrix.evidence import Entry, Evidence  # noqa: E402
from matrix.evidence import gathering  # noqa: E402
from matrix.index import IndexSettings  # noqa: E402
from matrix.planning.cells import Cell  # noqa: E402
from matrix.prediction import Prediction, Predictor, experience, features  # noqa: E402
from matrix.session import Session  # noqa: E402
from matrix.state import State  # noqa: E402


@dataclass(frozen=True)
class Score:
    """`accuracy` is balanced: the mean of how many matches and how many failures are told right."""

    accuracy: float
    brier: float
    cells: int

    def __str__(self) -> str:
        return f"{100 * self.accuracy:5.1f} %   {self.brier:.3f}"


Foretold = list[tuple[Entry, Prediction]]
