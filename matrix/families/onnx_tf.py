"""onnx-tf: converts .onnx files to frozen graphs (TensorFlow 1) or SavedModels, and on request to TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from packaging.specifiers import SpecifierSet

from matrix.families.family import Capability, Family, Limit
from matrix.store.records import Pass

_SAVED = ("frozen-graph", "saved-model")

RELOAD = Pass(
    "converter.families.onnx_tf.reload",
    leaves=("reloaded.npz",),
    loads=_SAVED,
    numbers="reloaded.npz",
    against="memory.npz",
    leg="memory-reloaded",
    words="the saved artifact does not compute what the converted model did in memory",
)
TFLITE = Pass(
    "converter.stages.tflite",
    leaves=("tflite.npz",),
    loads=_SAVED,
    makes="tflite",
    numbers="tflite.npz",
    against="reloaded.npz",
    leg="reloaded-tflite",
    words="TensorFlow Lite does not compute what the saved artifact does",
)


# Source: the exceptions that the handlers of each release raise (gru.py, resize.py, batch_normalization.py and
# pool_mixin.py of onnx_tf/handlers/backend/). Only limits on one attribute are here; coverage measures the rest.
LIMITS = (
    Limit("GRU", "linear_before_reset", 1, ">=1.2"),
    Limit("Resize", "coordinate_transformation_mode", "pytorch_half_pixel", ">=1.6"),
    Limit("BatchNormalization", "training_mode", 1, ">=1.9"),
    Limit("MaxPool", "storage_order", 1, ">=1.6"),
)


class OnnxTf(Family):
    """The onnx-tf family."""

    name = "onnx-tf"
    title = "onnx-tf"
    source = "onnx"
    packages = ("onnx-tf", "onnx", "tensorflow")
    runtime = "tensorflow"
    code = "onnx_tf"
    loads = (RELOAD, TFLITE)
    titles: Mapping[str, str] = {"tensorflow": "TensorFlow"}
    artifacts = (*_SAVED, "tflite")
    in_memory = True
    capabilities: frozenset[Capability] = frozenset(("coverage", "claims", "trace", "tflite"))
    optional = ("onnx",)
    newest = ("tensorflow", "onnx-tf", "onnx")
    replaces: Mapping[str, tuple[str, ...]] = {"tensorflow": ("tensorflow-cpu",)}
    watched = ("onnx-tf", "tensorflow")
    heavy: Mapping[str, tuple[tuple[str, int], ...]] = {
        "tensorflow": (("<2", 1000), ("", 3000)),
        "tensorflow-cpu": (("<2", 1000), ("", 1700)),
    }
    related = ("tensorflow-addons", "tensorflow-probability")
    modules = ("onnx_tf", "tensorflow")

    def row_id(self, pins: Mapping[str, str]) -> str:
        return f"onnxtf{pins['onnx-tf']}-onnx{pins['onnx']}-tf{pins['tensorflow']}"

    def facts(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Return `tensorflow_minor` and the matching `tensorflow_probability_minor`, which is eight ahead up to
        TensorFlow 2.16 and seven after, as it skipped 2.17. Source: ``required_tensorflow_version`` in the releases
        0.9.0 to 0.25.0 of tensorflow-probability."""
        if (tensorflow := pins.get("tensorflow")) is None:
            return {}
        major, minor = (int(part) for part in tensorflow.split(".")[:2])
        known = {"tensorflow_minor": f"{major}.{minor}"}
        if major == 2:
            known["tensorflow_probability_minor"] = f"0.{min(minor + (8 if minor < 17 else 7), 25)}"
        return known

    def limits(self, pins: Mapping[str, str]) -> tuple[Limit, ...]:
        return _limits(pins["onnx-tf"])


@cache
def _limits(release: str) -> tuple[Limit, ...]:
    return tuple(limit for limit in LIMITS if SpecifierSet(limit.releases).contains(release))
