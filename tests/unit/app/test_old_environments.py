"""Choose the stored environments to remove."""

from __future__ import annotations

import datetime as dt

import pytest

from matrix.app.old_environments import Keep, size, superfluous
from matrix.core.errors import UsageError
from matrix.environments.engine import Stored

NOW = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
GIGABYTE = 2**30


def stored(name: str, days: float, whole: bool = True, **parts: int) -> Stored:
    """Made `days` ago; parts in gigabytes."""
    made = NOW - dt.timedelta(days=days)
    return Stored(name, name, f"place of {name}", {k: v * GIGABYTE for k, v in parts.items()}, made, whole)


NEW = stored("new", 1, base=1, tensorflow=2, new=1)
MIDDLE = stored("middle", 5, base=1, tensorflow=2, middle=1)
OLD = stored("old", 20, base=1, torch=3)
ALL = [MIDDLE, OLD, NEW]
CURRENT = {"new", "middle", "old"}


def gone(keep: Keep = Keep(), current: set[str] | None = None, there: list[Stored] = ALL) -> set[str]:  # noqa: B008
    return {one.id for one in superfluous(there, CURRENT if current is None else current, keep, NOW)}


def test_what_is_current_stays_and_what_no_lock_makes_goes() -> None:
    assert gone() == set()
    assert gone(current={"new"}) == {"middle", "old"}
    assert gone(current=set()) == CURRENT


def test_a_build_that_never_ended_goes_even_if_it_is_current() -> None:
    assert gone(there=[NEW, stored("old", 0, whole=False, part=1)]) == {"old"}


def test_older_than_the_age_goes() -> None:
    assert gone(Keep.parse(["14d"])) == {"old"}
    assert gone(Keep.parse(["48h"])) == {"old", "middle"}
    assert gone(Keep.parse(["20 days"])) == set(), "as old as that is not older"


def test_the_newest_that_fit_stay_and_what_they_share_counts_once() -> None:
    assert size(ALL) == 8 * GIGABYTE
    assert gone(Keep.parse(["8GB"])) == set()
    assert gone(Keep.parse(["7.9GB"])) == {"old"}
    assert gone(Keep.parse(["5gb"])) == {"old"}, "new and middle: 4 + 1, not 4 + 4"
    assert gone(Keep.parse(["4GB"])) == {"old", "middle"}
    assert gone(Keep.parse(["100MB"])) == CURRENT


def test_one_that_does_not_fit_does_not_take_the_place_of_older_ones_that_do() -> None:
    huge = stored("middle", 2, huge=100)
    assert gone(Keep.parse(["10GB"]), there=[NEW, huge, OLD]) == {"middle"}


def test_age_and_size_both_hold() -> None:
    assert gone(Keep.parse(["14d", "4GB"])) == {"old", "middle"}


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "14 weeks", "1e3GB", "GB20", "14d 2GB"])
def test_what_cannot_be_read_is_an_error_that_says_what_can(text: str) -> None:
    with pytest.raises(UsageError, match="14d or 12h, or a size such as 20GB"):
        Keep.parse([text])
