"""The table for a README, an issue or a CI summary."""

from __future__ import annotations

from matrix.views import words
from matrix.views.document import Report

_COLUMNS = (
    "model",
    "exporter",
    "opset",
    "Python",
    "onnx-tf",
    "onnx",
    "TensorFlow",
    "verdict",
    "where",
    "reason",
    "max abs",
)


def markdown(report: Report) -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for result in report.results:
        verdict = words.verdict(result)
        fields = (
            result.record.model,
            result.record.exporter,
            words.opset(result),
            result.python,
            *(result.versions[package] or "" for package in ("onnx-tf", "onnx", "tensorflow")),
            f"**{verdict}**" if verdict == "match" else verdict,
            words.where(result),
            words.because(result),
            words.max_abs(result),
        )
        lines.append("| " + " | ".join(_escaped(field) for field in fields) + " |")
    lines += ["", f"{words.summary(list(report.results))} of {report.planned} cells."]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
