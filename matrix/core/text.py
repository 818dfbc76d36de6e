"""Remove what must not be stored or shown: credentials, the user's home folder, terminal control codes."""

from __future__ import annotations

import re
from pathlib import Path

_CREDENTIALS = re.compile(r"(?<!\w)(\w+://)[^/@\s'\"]+@")
_SECRET_QUERY = re.compile(r"([?&](?:token|key|password|secret|sig|signature)=)[^&\s'\"]+", re.IGNORECASE)

# Colours and cursor movements as a whole, then all other control characters but tab and line ends.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


# What XML 1.0 cannot hold.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def redact(text: str) -> str:
    """Return `text` without credentials, and with `~` for the home folder."""
    text = _CREDENTIALS.sub(r"\1***@", text)
    text = _SECRET_QUERY.sub(r"\1***", text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def for_xml(text: str) -> str:
    """Return `text` without the characters that XML cannot hold, not even escaped."""
    return _NOT_XML.sub("", text)


def plain(text: str) -> str:
    """Return the text of an untrusted program without control characters, except tab and line feed."""
    return _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
