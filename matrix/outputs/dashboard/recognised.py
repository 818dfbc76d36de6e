"""A signature's pattern as a person would read it: the words of an error message, `…` where anything may stand."""

from __future__ import annotations

import re

# Python has no public reader of its own patterns.
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_MOST, _ALTERNATIVES, _LETTERS = 8, 12, 8


def recognised(pattern: str) -> list[str]:
    """The texts that a pattern is about, those with too few letters to tell anything left out."""
    texts = (re.sub("…+", "…", text).strip(" …") for text in _texts(_parser.parse(pattern)))
    return [text for text in dict.fromkeys(texts) if sum(map(str.isalpha, text)) >= _LETTERS][:_MOST]


def _texts(tokens: Any) -> list[str]:
    found = [""]
    for operator, argument in tokens:
        further = _alternatives(str(operator), argument)
        found = [before + after for before in found for after in further][:_ALTERNATIVES]
    return found


def _alternatives(operator: str, argument: Any) -> list[str]:
    match operator:
        case "LITERAL":
            return [chr(argument)]
        case "SUBPATTERN":
            return _texts(argument[3])
        case "BRANCH":
            return [text for branch in argument[1] for text in _texts(branch)]
        case "MAX_REPEAT" | "MIN_REPEAT":
            return [""] if argument[:2] == (0, 1) else ["…"]
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return [""]
        case "IN" if all(str(kind) == "LITERAL" for kind, _ in argument):
            return [chr(argument[0][1])]
        case _:
            return ["…"]
