"""matrix.yml, strictly read: the only place that states versions.

Names imported from here are loaded on first use, because ids are needed without a table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matrix.table.load import load_config
    from matrix.table.model import (
        Companion,
        Config,
        ConverterRow,
        Expectation,
        ExporterRow,
        Limits,
        ModelInput,
        ModelSpec,
        ReferenceRow,
        Row,
        StatedTolerance,
        Tier,
        TorchRelease,
    )

__all__ = [
    "Companion",
    "Config",
    "ConverterRow",
    "Expectation",
    "ExporterRow",
    "Limits",
    "ModelInput",
    "ModelSpec",
    "ReferenceRow",
    "Row",
    "StatedTolerance",
    "Tier",
    "TorchRelease",
    "load_config",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{'load' if name == 'load_config' else 'model'}"), name)
