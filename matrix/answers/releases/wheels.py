"""Read text files out of a wheel on an index without downloading the whole wheel, where the server supports it."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from matrix.core.errors import Indeterminate
from matrix.core.text import redact
from matrix.packages.index import IndexSettings, ReleasedFile

if TYPE_CHECKING:
    from requests import Session

# Bytes of one read, of a wheel downloaded whole (onnx: 18 MB, the smallest of torch: 70 MB), and of one file in it.
_PART = 1 << 18
_WHOLE = 200 << 20
_MEMBER = 4 << 20
_TIMEOUT = 60


@dataclass(frozen=True)
class Wheels:
    """The wheels of an index."""

    settings: IndexSettings

    def read(self, package: str, wheels: Collection[ReleasedFile], members: tuple[str, ...]) -> dict[str, str]:
        """Return those of `members` that the smallest of a release's `wheels` has, as text.

        All wheels of a release hold the same Python sources. Raises Indeterminate where the index does not answer, or
        sends something that is not a wheel.
        """
        import requests
        from remotezip import RemoteIOError, RemoteZipError  # type: ignore[import-untyped]

        smallest = min(wheels, key=lambda file: file.size)
        name = smallest.filename
        try:
            with requests.Session() as session:
                session.verify = self.settings.certificates or True
                with _opened(session, self._address(package, smallest)) as wheel:
                    held = {info.filename: info for info in wheel.infolist()}
                    return {
                        member: wheel.read(member).decode("utf-8", errors="replace")
                        for member in members
                        if member in held and held[member].file_size <= _MEMBER
                    }
        except (requests.RequestException, RemoteIOError) as error:
            raise Indeterminate(
                f"{name}: the index did not answer ({type(error).__name__}); try again later"
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError, RemoteZipError) as error:
            raise Indeterminate(f"{name} could not be read: {redact(str(error))}") from error

    def _address(self, package: str, file: ReleasedFile) -> str:
        """Return a file's URL; on the index's own host it gets the credentials of the index's URL."""
        page = f"{self.settings.index.rstrip('/')}/{package}/"
        there, here = urlsplit(urljoin(page, file.url)), urlsplit(page)
        if "@" in here.netloc and (there.scheme, there.netloc) == (here.scheme, here.netloc.rpartition("@")[2]):
            there = there._replace(netloc=here.netloc)
        return there.geturl()


@contextlib.contextmanager
def _opened(session: Session, url: str) -> Iterator[zipfile.ZipFile]:
    """Open a wheel: in parts as needed, or a copy of the whole where the server sends no parts of files."""
    from remotezip import RemoteZip, RemoteZipError

    with contextlib.ExitStack() as stack:
        try:
            # Compressed in transit, a part would be of other bytes.
            wheel = RemoteZip(url, session=session, headers={"Accept-Encoding": "identity"}, timeout=_TIMEOUT)
        except RemoteZipError:
            copy = stack.enter_context(tempfile.TemporaryFile())
            with session.get(url, timeout=_TIMEOUT, stream=True) as answer:
                answer.raise_for_status()
                for part in answer.iter_content(_PART):
                    if copy.tell() + len(part) > _WHOLE:
                        raise OSError("too large to download for a few files, and the server sends no parts") from None
                    copy.write(part)
            wheel = zipfile.ZipFile(copy)
        yield stack.enter_context(wheel)
