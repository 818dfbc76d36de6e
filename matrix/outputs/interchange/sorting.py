"""More lines than memory should hold, sorted."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby

_BYTES = 64 * 2**20


def sorted_lines(lines: Iterable[bytes], budget: int = _BYTES) -> Iterator[bytes]:
    """Each distinct line once, by its bytes; lines are without their ends."""
    with ExitStack() as stack:
        spilled = []
        held: list[bytes] = []
        size = 0
        for line in lines:
            held.append(line)
            size += len(line)
            if size > budget:
                file = stack.enter_context(tempfile.TemporaryFile())
                file.writelines(one + b"\n" for one in sorted(held))
                file.seek(0)
                spilled.append(file)
                held, size = [], 0
        streams: list[Iterable[bytes]] = [(one.rstrip(b"\n") for one in file) for file in spilled]
        yield from (line for line, _ in groupby(heapq.merge(*streams, sorted(held))))
