"""What must not be stored or shown: credentials in addresses and the user's home folder."""

from __future__ import annotations

import re
from pathlib import Path

_CREDENTIALS = re.compile(r"(\w+://)[^/@\s'\"]+@")
_SECRET_QUERY = re.compile(r"([?&](?:token|key|password|secret|sig|signature)=)[^&\s'\"]+", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` without credentials; the home folder becomes `~`."""
    text = _CREDENTIALS.sub(r"\1***@", text)
    text = _SECRET_QUERY.sub(r"\1***", text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
