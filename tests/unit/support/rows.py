"""Checks of data files row by row, in one test: every row is checked, and all that fail are reported together."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import pytest

Row = TypeVar("Row")


def every(
    rows: Collection[Row], name: Callable[[Row], str] = str
) -> Callable[[Callable[[Row], None]], Callable[[], None]]:
    """Make one test of a check that takes a row.

    Args:
        rows: What is checked; none at all is a failure.
        name: What a row is called in the report.
    """

    def decorate(check: Callable[[Row], None]) -> Callable[[], None]:
        def test() -> None:
            __tracebackhide__ = True
            misses = []
            for row in rows:
                try:
                    check(row)
                except (Exception, pytest.fail.Exception) as error:
                    misses.append(f"{name(row)}: {_described(error)}")
            if misses or not rows:
                pytest.fail("\n".join([f"{len(misses)} of {len(rows)} rows fail", *misses]), pytrace=False)

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        return test

    return decorate


def _described(error: BaseException) -> str:
    """The exception, and the line of the check that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[1]
    return f"{Path(frame.filename).name}:{frame.lineno}: {type(error).__name__}: {error}"
