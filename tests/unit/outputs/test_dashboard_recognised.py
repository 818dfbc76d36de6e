"""Patterns of signatures as error texts that a search finds."""

from __future__ import annotations

import pytest

from matrix.judging import known_failures as recognise
from matrix.outputs.dashboard.recognised import recognised


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (r"[Nn]o space left on device|os error 28\b", ["No space left on device"]),
        (r"Detected (?:in|mis)matched Protobuf", ["Detected inmatched Protobuf", "Detected mismatched Protobuf"]),
        (r"requested version, v?([\w.+-]{1,40}), was published", ["requested version, …, was published"]),
        (r"cannot import name '?mapping", ["cannot import name mapping"]),
        (r"ir_version.{0,20}? is higher than the checker's\.", ["ir_version… is higher than the checker's."]),
        (r"\d{1,3}: \w{2,9}", []),
    ],
)  # fmt: skip
def test_as_a_person_reads_it(pattern: str, texts: list[str]) -> None:
    assert recognised(pattern) == texts


def test_nearly_every_signature_says_something() -> None:
    mute = [signature.id for signature in recognise.load() if not recognised(signature.regex.pattern)]
    assert len(mute) * 20 < len(recognise.load()), mute
