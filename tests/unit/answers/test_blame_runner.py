"""Failures that no signature knows are told apart by their words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from blame_world import GOOD, Driver, World

from matrix.answers.blame.runner import _constant
from matrix.answers.blame.types import Changed, Measured
from matrix.judging.finding import Finding


def test_a_mixture_that_fails_in_its_own_way_accuses_nobody() -> None:
    """a 2 needs b 2, and it is b 2 that broke the cell."""
    world = World()
    for name in ("a", "b"):
        world.release(name, "1")
        world.release(name, "2", 5)

    def oracle(packages: Mapping[str, str]) -> Measured:
        said = "real" if packages["b"] == "2" else "a 2 without b 2" if packages["a"] == "2" else ""
        return Measured(Finding("error", "converter", "import", "unrecognised"), words=said) if said else GOOD

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 9)
    assert blame.transitions[0].culprits == (Changed("b", "1", "2"),)
    # Without b 2, a 2 fails.
    assert blame.cure is not None and blame.cure.ranges == (("a", "<2"), ("b", "<2"))


@pytest.mark.parametrize(
    "one, other",
    [
        ("cannot import name 'x' from 'y' (/e/1/y.py)", "cannot import name 'x' from 'y' (/e/2/y.py)"),
        ("<object at 0x7fa0> is no tensor", "<object at 0x81b0> is no tensor"),
        ("needs 1.20.3, found 1.26", "needs 1.20.3, found 2.0.1"),
    ],
)  # fmt: skip
def test_places_and_numbers_are_no_difference(one: str, other: str) -> None:
    assert _constant(one) == _constant(other)
    assert _constant("No module named 'a'") != _constant("No module named 'b'")
