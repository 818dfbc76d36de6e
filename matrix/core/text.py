"""What must not be stored or shown: credentials, the user's home folder, and codes that would steer a terminal."""

from __future__ import annotations

import re
from pathlib import Path

_CREDENTIALS = re.compile(r"(?<!\w)(\w+://)[^/@\s'\"]+@")
_SECRET_QUERY = re.compile(r"([?&](?:token|key|password|secret|sig|signature)=)[^&\s'\"]+", re.IGNORECASE)

# Colours and cursor movements as a whole, then whatever else is neither text nor the end of a line.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def redact(text: str) -> str:
    """`text` without credentials; the home folder becomes `~`."""
    text = _CREDENTIALS.sub(r"\1***@", text)
    text = _SECRET_QUERY.sub(r"\1***", text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def plain(text: str) -> str:
    """`text` from a program that is not trusted, without control characters but tab and line feed."""
    return _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
