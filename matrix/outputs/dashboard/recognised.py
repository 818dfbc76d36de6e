"""Show a signature's pattern as a person reads it: the words of an error message, `…` where anything may stand.

Reads the pattern's text, since Python has no public parser of its own patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product

_MOST, _ALTERNATIVES, _LETTERS = 8, 12, 8

_TOKEN = re.compile(
    r"""(?P<look>\(\?<?[=!]) | (?P<open>\((?:\?:|\?P<\w+>)?) | (?P<close>\)) | (?P<branch>\|)
    | (?P<set>\[\^?\]?(?:\\.|[^]\\])*\]) | (?P<optional>\?|\{0,1\}) | (?P<repeat>(?:[*+]|\{\d+(?:,\d*)?\})\??)
    | (?P<position>\\[AZbB]|[$^]) | (?P<any>\\[dDsSwW]|\.) | \\?(?P<letter>.)""",
    re.VERBOSE | re.DOTALL,
)
_ONE_OF = re.compile(r"\[(?!\^)([^]\\])(?!-.)[^]\\-]*-?\]")


def recognised(pattern: str) -> list[str]:
    """Return the texts that a pattern matches, without those that have too few letters to be of use."""
    texts = (re.sub("…+", "…", text).strip(" …") for text in _texts(_TOKEN.finditer(pattern)))
    return [text for text in dict.fromkeys(texts) if sum(map(str.isalpha, text)) >= _LETTERS][:_MOST]


def _texts(tokens: Iterator[re.Match[str]]) -> list[str]:
    """Read up to the end of a group; `parts` holds the texts that each part of a branch may be."""
    branches: list[list[list[str]]] = [[]]
    for token in tokens:
        parts = branches[-1]
        match token.lastgroup:
            case "close":
                break
            case "branch":
                branches.append([])
            case "open":
                parts.append(_texts(tokens))
            case "look":
                _texts(tokens)
            case "set":
                one = _ONE_OF.fullmatch(token[0])
                parts.append([one[1] if one else "…"])
            case "optional":
                parts[-1] = [""]
            case "repeat":
                parts[-1] = ["…"]
            case "any":
                parts.append(["…"])
            case "letter":
                parts.append([token["letter"]])
    return ["".join(text) for parts in branches for text in islice(product(*parts), _ALTERNATIVES)]
