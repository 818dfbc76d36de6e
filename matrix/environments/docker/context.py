"""The build context of an image: the recipe in docker/, a lock, uv, and the settings that reach the index."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrix.core.files import link_or_copy
from matrix.environments.docker.layers import shared_part
from matrix.packages import uv
from matrix.packages.index import IndexSettings, local_folder
from matrix.packages.lock import Lock

CERTIFICATES = "certificates.pem"
INDEX = "index.env"

# How a build reaches the index; none of these changes what is installed.
_INDEX_VARIABLES = (
    *("UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


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
    variables = {**settings.without_find_links().variables(), **_present(_INDEX_VARIABLES)}
    variables.pop("SSL_CERT_FILE", None)  # a path of this machine; the file itself is copied
    if pages:
        variables["UV_FIND_LINKS"] = ",".join(pages)
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    (folder / INDEX).write_text(text, encoding="utf-8")
    certificates = Path(settings.certificates) if settings.certificates else None
    content = certificates.read_bytes() if certificates and certificates.is_file() else b""
    (folder / CERTIFICATES).write_bytes(content)


def _wanted(filename: str, lock: Lock) -> bool:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return lock.packages.get(canonicalize_name(name)) == str(version)


def _present(names: Sequence[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}
