"""Text that others wrote, made harmless in Markdown as GitHub reads it: nobody is mentioned, nothing breaks out.

What GitHub makes of a text beyond CommonMark (mentions, references to issues, addresses as links, formulas) is in
https://docs.github.com/en/get-started/writing-on-github.
"""

from __future__ import annotations

import re
import unicodedata

# Invisible; between two characters it keeps them from meaning something together.
_NOTHING = "&#8203;"

# Where a line begins more of them mean something; there it is always our own text.
_SPECIAL = re.compile(r"[\\`*_{}\[\]#|~$<>&@]|(?<=:)//|(?<=\bGH)-|(?<=\bwww)\.", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# Characters of these categories steer a reader or a terminal, and are seen by nobody.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

_LONGEST = 300


def line(text: str, longest: int = _LONGEST) -> str:
    """One line of plain text, without characters that nobody sees."""
    seen = "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_seen(char))
    seen = " ".join(seen.split())
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"


def prose(text: str, longest: int = _LONGEST) -> str:
    """What others wrote as a part of a sentence of ours."""
    return _SPECIAL.sub(_escaped, line(text, longest))


def code(text: str, longest: int = _LONGEST) -> str:
    """A name or a line of a log in the typeface of code, where nothing in it means anything."""
    shown = line(text, longest)
    if not shown:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{space}{shown}{space}{fence}"


def title(text: str, longest: int = 120) -> str:
    """The title of an issue, which is no Markdown but for code in backquotes; nobody is mentioned in it."""
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
