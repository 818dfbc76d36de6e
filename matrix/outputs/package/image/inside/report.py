"""The outcome of a conversion as a report file, as text, and as an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matrix.core.text import plain
from matrix.judging.judge import REMARKS, Judgement
from matrix.outputs.package.image.inside.judging import NO_REFERENCE, Reference
from matrix.outputs.package.image.inside.model import Model
from matrix.outputs.package.image.inside.result_folder import LOG, MAKER
from matrix.outputs.package.image.inside.toolchain import Toolchain

EXIT_CODES = {
    0: "match; or converted, if there is no reference to compare with",
    1: "a fault of this program",
    2: "wrong usage: a file, an option or a folder has to be corrected first",
    3: "mismatch: converted, but the numbers differ",
    4: "not converted: unsupported, error, crash or oom",
    5: "converted, but the reference cannot run this file, or its numbers change from run to run",
    7: "a disk or memory fault of this machine, which says nothing about the model",
    130: "interrupted",
}

_CODES = {"match": 0, "mismatch": 3, "unsupported": 4, "error": 4, "crash": 4, "oom": 4, "unavailable": 5, "infra": 7}

# The driver's words for a remedy name its own options.
_REMEDIES = {"raise-memory-limit": "Give the container more memory: docker run --memory 4g, for example."}


@dataclass(frozen=True)
class ConversionReport:
    """The result of one conversion. `result` is the folder as the user names it, `kind` the kind of artifact in it,
    None without one."""

    toolchain: Toolchain
    model: Model
    sha256: str
    inputs: str
    reference: Reference
    judgement: Judgement
    result: str
    kind: str | None
    seconds: float

    @property
    def exit_code(self) -> int:
        return 0 if self._not_compared else _CODES[self.judgement.finding.verdict]

    @property
    def _not_compared(self) -> bool:
        return self.judgement.finding.reason == NO_REFERENCE

    @property
    def headline(self) -> str:
        """The verdict, or that nothing was compared."""
        return "converted, not compared" if self._not_compared else self.judgement.finding.verdict

    def document(self, files: list[str]) -> dict[str, Any]:
        """Return the content of report.json."""
        judgement, finding = self.judgement, self.judgement.finding
        return {
            "schema": 1,
            "made_by": MAKER,
            **{key: getattr(self.toolchain, key) for key in ("row", "environment", "lock", "versions")},
            "model": {
                "file": str(self.model.path),
                "sha256": self.sha256,
                "opset": self.model.opset,
                "ir_version": self.model.ir_version,
            },
            "inputs": self.inputs,
            "reference": {"kind": self.reference.kind, "words": self.reference.words},
            "headline": self.headline,
            **{key: getattr(finding, key) for key in ("verdict", "role", "stage", "reason", "title")},
            "cause": judgement.cause,
            "remedies": [{"id": r.id, "text": _REMEDIES.get(r.id, r.text)} for r in judgement.remedies],
            **{key: getattr(judgement, key) for key in ("leg", "legs", "metrics")},
            "remarks": list(judgement.remarks),
            "artifact": self.kind,
            "files": files,
            "seconds": self.seconds,
            "exit_code": self.exit_code,
        }

    def text(self) -> str:
        """Return the report as lines without control characters, although names come from the model."""
        return plain("\n".join([f"{self.model.path}: {self.headline}", *self._lines()]))

    def _lines(self) -> Iterator[str]:
        judgement, finding, versions = self.judgement, self.judgement.finding, self.toolchain.versions
        yield _line("row", self.toolchain.row)
        shown = {name: versions[name] for name in (*self.toolchain.packages, "torch") if name in versions}
        yield _line("versions", ", ".join([f"Python {versions['python']}", *(f"{k} {v}" for k, v in shown.items())]))
        yield _line("model", f"opset {self.model.opset or 'unknown'}, IR version {self.model.ir_version}")
        yield _line("inputs", self.inputs)
        yield _line("reference", self.reference.words)
        if finding.verdict != "match" and not self._not_compared:
            yield _line("where", finding.where)
            yield _line("reason", f"{finding.reason}: {finding.title}")
            for remedy in judgement.remedies:
                yield _line("", f"→ {_REMEDIES.get(remedy.id, remedy.text)}")
        if (largest := judgement.metrics.get("max_abs")) is not None:
            yield _line("max abs", f"{largest:.1e}" if isinstance(largest, float) else str(largest))
        for remark in judgement.remarks:
            yield _line("note", REMARKS.get(remark, remark))
        if self.kind == "saved-model":
            yield _line("result", f"{self.result}/model (SavedModel)")
        elif self.kind == "frozen-graph":
            yield _line("result", f"{self.result}/graph.pb (frozen graph; tensor names in names.json)")
        yield _line("report", f"{self.result}/report.json, log {self.result}/{LOG}")


def _line(key: str, words: str) -> str:
    return f"  {key:<10} {words}"
