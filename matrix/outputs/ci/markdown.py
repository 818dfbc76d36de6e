"""Foreign text made harmless in GitHub's Markdown: no mention of people, and no way out of its place.

GitHub's additions to CommonMark (mentions, references to issues, addresses as links, formulas) are described in
https://docs.github.com/en/get-started/writing-on-github.
"""

from __future__ import annotations

import re
import unicodedata

# Invisible; separates two characters that mean something together.
_NOTHING = "&#8203;"

# At the beginning of a line, which is always our own text, more of them would mean something.
_SPECIAL = re.compile(r"[\\`*_{}\[\]#|~$<>&@]|(?<=:)//|(?<=\bGH)-|(?<=\bwww)\.", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# Characters of these categories are invisible and control a reader or a terminal.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

_LONGEST = 300


def line(text: str, longest: int = _LONGEST) -> str:
    """Return one line of plain text, without invisible characters."""
    seen = "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_seen(char))
    seen = " ".join(seen.split())
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"


def prose(text: str, longest: int = _LONGEST) -> str:
    """Return foreign text as part of a sentence of ours."""
    return _SPECIAL.sub(_escaped, line(text, longest))


def code(text: str, longest: int = _LONGEST) -> str:
    """Return a name or a line of a log as code, where no character has a meaning."""
    shown = line(text, longest)
    if not shown:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{space}{shown}{space}{fence}"


def title(text: str, longest: int = 120) -> str:
    """Return the title of an issue, whose only Markdown is code in backquotes, without mentions."""
    return re.sub(r"[@#]", lambda found: f"{found[0]}\u200b", line(text, longest)).replace("`", "'")


def _escaped(found: re.Match[str]) -> str:
    match found[0]:
        case "&" | "<" | ">" as char:
            return _ENTITIES[char]
        case "@":
            return f"@{_NOTHING}"
        case "#":
            return f"\\#{_NOTHING}"
        case "//" | "-" | "." as piece:
            return f"{_NOTHING}{piece}"
        case char:
            return f"\\{char}"


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN
