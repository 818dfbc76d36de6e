"""The helper that loops over rows in other tests: it reports every failing row and fails without rows."""

from __future__ import annotations

import pytest
from rows import every


def test_every_row_that_fails_is_named_with_its_line_and_the_others_are_checked() -> None:
    seen = []

    @every([1, 2, 3, 4], lambda row: f"row {row}")
    def check(row: int) -> None:
        seen.append(row)
        assert row != 2, "two"
        if row == 4:
            raise KeyError(row)

    with pytest.raises(pytest.fail.Exception) as caught:
        check()
    assert seen == [1, 2, 3, 4]
    first, *misses = str(caught.value).splitlines()
    assert first == "2 of 4 rows fail"
    assert [miss.split(": ")[0] for miss in misses if miss.startswith("row ")] == ["row 2", "row 4"]
    assert "test_rows.py:" in misses[0] and "AssertionError: two" in misses[0]
    assert misses[-1].endswith("KeyError: 4")


def test_a_check_that_expects_an_exception_in_vain_fails() -> None:
    @every([1])
    def check(row: int) -> None:
        with pytest.raises(ValueError):
            int(row)

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check()


def test_no_rows_at_all_fail() -> None:
    @every([])
    def check(row: int) -> None:
        raise AssertionError

    with pytest.raises(pytest.fail.Exception, match="0 of 0"):
        check()


def test_rows_that_hold_pass() -> None:
    @every(range(3))
    def test_all(row: int) -> None:
        """Said of all."""
        assert row < 3

    test_all()
    assert (test_all.__name__, test_all.__doc__, test_all.__module__) == ("test_all", "Said of all.", __name__)
