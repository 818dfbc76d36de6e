"""matrix.yml, strictly read: the only place versions come from."""

from matrix.config.load import load_config
from matrix.config.model import (
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
    Tier,
    Tolerance,
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
    "Tier",
    "Tolerance",
    "TorchRelease",
    "load_config",
]
