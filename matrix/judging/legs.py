"""Two files of arrays on disk, held against each other."""

from __future__ import annotations

from pathlib import Path

from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.judging.compare import NotComparable, Tolerances, align, compare, dynamic_range
from matrix.judging.judge import ARRAYS_MISSING, ARRAYS_UNREADABLE, Leg


def compare_files(one: Path, two: Path, by_position: bool, tolerances: Tolerances) -> Leg:
    """Compare two .npz files with keys `<case>/<tensor name>`; `one` is the reference. `by_position`: the names may
    differ. A file that is missing or unreadable is a reason, not an exception."""
    try:
        reference = read_arrays(one)
        actual = read_arrays(two)
        if by_position:
            actual = align(reference, actual)
        found = compare(reference, actual, tolerances)
        blind = dynamic_range(reference, tolerances).all_blind
    except (UnreadableArrays, NotComparable) as error:
        return Leg(ARRAYS_UNREADABLE, str(error), {})
    except OSError as error:
        return Leg(ARRAYS_MISSING, f"a stored file cannot be opened: {error.strerror}", {})
    return Leg(found.reason, found.detail, found.metrics.as_dict(), found.hints, blind, found.where)
