"""Write the folder. All content is made first, so that an error leaves no incomplete folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from matrix.core.errors import UsageError
from matrix.environments import worker_client
from matrix.outputs.package.folder import installing
from matrix.outputs.package.folder.choice import ROLES, Choice
from matrix.outputs.package.folder.conversion import make_conversion
from matrix.outputs.package.folder.evidence import evidence

_INSIDE = Path(__file__).with_name("inside")

# A folder with this file was written here.
_MARK = "EVIDENCE.md"

# Files that an earlier folder in the same place may have and the new one may not.
_OF_A_PART = ("requirements.txt", ".python-version", "environment.yml")


def files(choice: Choice) -> dict[str, bytes]:
    """Return {place in the folder: content}; the same choice gives the same bytes."""
    conversion = make_conversion(choice)
    made: dict[str, bytes] = {f"toolkit/{place}": content for place, content in conversion.code().items()}
    made["toolkit/compare_numbers.py"] = (_INSIDE / "compare_numbers.py").read_bytes()
    made["toolkit/worker_client.py"] = Path(worker_client.__file__).read_bytes()
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
    """Write the folder and return the paths written. An earlier folder is replaced, but environments made in it stay.

    Raises UsageError if it holds anything else, and OSError.
    """
    content = files(choice)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).is_file())):
        raise UsageError(f"{folder} holds other files; choose a new folder")
    if folder.exists():
        shutil.rmtree(folder / "toolkit", ignore_errors=True)
        for part in (folder, *(folder / role for role in ROLES)):
            for name in _OF_A_PART:
                (part / name).unlink(missing_ok=True)
    written = []
    # The mark comes last: it shows that the folder is complete.
    for place, data in sorted(content.items(), key=lambda item: (item[0] == _MARK, item[0])):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(path)
    (folder / "convert.py").chmod(0o755)
    return written
