"""Facts beside a verdict, in words; hints of a mismatch are remarks too."""

from __future__ import annotations

REMARKS = {
    "opset-not-as-asked": "the exporter (role exporter, stage export) wrote another opset than asked for, silently",
    "onnxruntime-leg-absent": "ONNX Runtime cannot run this file: TensorFlow is held against the source's own numbers",
    "torch-leg-absent": "the exporter row's torch cannot run the model: the numbers of the converter's own torch count",
    "tensorflow-itself-matches": "without TensorFlow Lite (--tflite) it is a match",
    "outputs-nearly-constant": "the outputs hardly vary, so that a wrong conversion could pass; give it other inputs",
    "layout-swapped": "the numbers agree after swapping axes: channels first and channels last are mixed up",
    "constant-shift": "all elements differ by the same amount",
    "constant-scale": "all elements differ by the same factor",
}
