"""The console that views print to, and its tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rich.console import Console
from rich.table import Table


def open_console(width: int = 160, console: Console | None = None) -> Console:
    """Return a console on standard output; if that is not a terminal, `width` columns wide and without colour."""
    console = console or Console(highlight=False)
    return console if console.is_terminal else Console(width=width, no_color=True, highlight=False)


def grid(columns: Iterable[str], wrapping: Collection[str] | None = None, numbers: Collection[str] = ()) -> Table:
    """Return an empty table; only the columns in `wrapping` wrap, all if it is None. `numbers` are aligned right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        wraps = wrapping is None or name in wrapping
        table.add_column(
            name,
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
            justify="right" if name in numbers else "left",
        )
    return table
