"""The folder written: everything is made first, so that a fault leaves no half of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from matrix.core.errors import UsageError
from matrix.outputs.package.folder import installing
from matrix.outputs.package.folder.choice import ROLES, Choice
from matrix.outputs.package.folder.conversion import make_conversion
from matrix.outputs.package.folder.evidence import evidence

_INSIDE = Path(__file__).with_name("inside")

# By this file a folder is known to be ours.
_MARK = "EVIDENCE.md"

# What a folder of an earlier hand-over may have and the new one may not.
_OF_A_PART = ("requirements.txt", ".python-version", "environment.yml")


def files(choice: Choice) -> dict[str, bytes]:
    """{place in the folder: content}; the same choice gives the same bytes."""
    conversion = make_conversion(choice)
    made: dict[str, bytes] = {f"toolkit/{place}": content for place, content in conversion.code().items()}
    made["toolkit/compare_numbers.py"] = (_INSIDE / "compare_numbers.py").read_bytes()
    made["convert.py"] = (_INSIDE / "convert.py").read_bytes()
    if conversion.inputs is not None:
        made["toolkit/given/inputs.npz"] = conversion.inputs
    texts = {"toolkit/conversion.json": json.dumps(conversion.document, indent=1, sort_keys=True) + "\n"}
    for part in choice.parts:
        texts[f"{part.prefix}requirements.txt"] = installing.requirements(part)
        texts[f"{part.prefix}.python-version"] = f"{part.lock.python}\n"
        texts[f"{part.prefix}environment.yml"] = installing.conda(part)
    texts |= {
        "Dockerfile": installing.dockerfile(choice),
        ".dockerignore": "**/.venv\n**/venv\n**/env\n.tox\nconverted\nout\n",
        "extra/README": installing.EXTRA,
        "tox.ini": installing.tox(choice.parts),
        _MARK: evidence(choice, conversion.document["user"]),
    }
    return made | {place: text.encode() for place, text in texts.items()}


def write(folder: Path, choice: Choice) -> list[Path]:
    """Write the folder; the paths written. A folder of an earlier hand-over is written anew, environments made in it
    stay. Raises UsageError where it holds anything else, OSError as the disk says."""
    content = files(choice)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).is_file())):
        raise UsageError(f"{folder} holds other files; name a new folder")
    if folder.exists():
        shutil.rmtree(folder / "toolkit", ignore_errors=True)
        for part in (folder, *(folder / role for role in ROLES)):
            for name in _OF_A_PART:
                (part / name).unlink(missing_ok=True)
    written = []
    # The mark comes last: by it the folder is known to be whole.
    for place, data in sorted(content.items(), key=lambda item: (item[0] == _MARK, item[0])):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(path)
    (folder / "convert.py").chmod(0o755)
    return written
