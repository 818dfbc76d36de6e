"""The build context of an image: the recipe in docker/, a lock, uv, and the settings that reach the index."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrix.core.files import link_or_copy
from matrix.families.registry import heavy_packages
from matrix.packages import uv
from matrix.packages.index import IndexSettings, local_folder
from matrix.packages.lock import Lock

CERTIFICATES = "certificates.pem"
INDEX = "index.env"

# How a build reaches the index; none of these changes what is installed.
_PASSED_ON = (
    *("UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


# The packages, beside those of the families, that dwarf all others of an environment: 150 to 900 MB installed, the rest
# 5 to 80.
_GENERAL = frozenset({"torch", "onnxruntime"})


def fill(folder: Path, recipe: Path, lock: Lock, rows: Sequence[Lock], settings: IndexSettings) -> None:
    """Make `folder` a build context for `lock`. Raises OSError.

    `recipe` is docker/, `rows` are the locks that it may share layers with.
    """
    for name in ("Dockerfile", "Dockerfile.classic", "install.sh", "compile.py"):
        shutil.copyfile(recipe / name, folder / name)
    link_or_copy(Path(uv.binary()), folder / "uv")
    (folder / "packages.txt").write_text(lock.text(), encoding="utf-8")
    (folder / "shared.txt").write_text(shared_part(lock, rows), encoding="utf-8")
    wheels = folder / "wheels"
    wheels.mkdir()
    # Not every builder copies an empty folder.
    (wheels / "README").write_text("wheels that the index does not have\n", encoding="utf-8")
    pages = []
    for place in settings.find_links if lock.find_links else ():
        if (local := local_folder(place)) is None:
            pages.append(place)
            continue
        for wheel in local.glob("*.whl"):
            if _wanted(wheel.name, lock):
                link_or_copy(wheel, wheels / wheel.name)
    variables = {**settings.without_find_links().variables(), **_present(_PASSED_ON)}
    variables.pop("SSL_CERT_FILE", None)  # a path of this machine; the file itself is copied
    if pages:
        variables["UV_FIND_LINKS"] = ",".join(pages)
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    (folder / INDEX).write_text(text, encoding="utf-8")
    certificates = Path(settings.certificates) if settings.certificates else None
    content = certificates.read_bytes() if certificates and certificates.is_file() else b""
    (folder / CERTIFICATES).write_bytes(content)


def shared_part(lock: Lock, rows: Sequence[Lock]) -> str:
    """Return the requirements file of the layer shared with other environments, '' where no framework is in it.

    Layers are shared only where all layers below are equal, so their order is: Python, the framework with everything
    that its rows have in common, then the rest of a row.

    `rows` are the committed locks. Those with the same Python and framework form a family, and what all of them pin
    alike is shared. A family of one, and a lock that pins something of it differently, such as a variant's, share the
    framework alone.
    """
    heavy = _GENERAL | heavy_packages().keys()
    framework = {name: text for name, text in lock.requirements.items() if name in heavy}
    if not framework:
        return ""
    family = [row for row in rows if row.python == lock.python and framework.items() <= row.requirements.items()]
    common = dict(framework)
    if len(family) > 1:
        common = dict(set.intersection(*(set(row.requirements.items()) for row in family)))
    if not common.items() <= lock.requirements.items():
        common = framework
    # One date for the family: it is part of the layer's content.
    as_of = min((row.as_of for row in family), default=lock.as_of)
    return f"#: as_of: '{as_of.isoformat()}'\n" + "".join(common[name] for name in sorted(common))


def _wanted(filename: str, lock: Lock) -> bool:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return lock.packages.get(canonicalize_name(name)) == str(version)


def _present(names: Sequence[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}
