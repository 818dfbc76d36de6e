"""Text files out of a wheel on an index, without downloading the rest of it where the server gives parts of files."""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from matrix.core.errors import Indeterminate
from matrix.packages.index import IndexSettings

if TYPE_CHECKING:
    from requests import Session

# Bytes. The table of contents at a wheel's end is up to 1 MB, the files that are read from it are small.
_PART = 1 << 18
# A wheel that can only be had as a whole: onnx is 18 MB, the smallest of torch 70.
_WHOLE = 200 << 20
_MEMBER = 4 << 20
_TIMEOUT = 60
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Wheels:
    """The wheels of an index."""

    settings: IndexSettings

    def read(self, package: str, among: Collection[str], members: tuple[str, ...]) -> dict[str, str]:
        """The files `members` of a package's smallest wheel among those named, as far as it has them, as text:
        sources in Python are the same in all wheels of a release.

        Raises Indeterminate where the index does not answer, or gives what is no wheel.
        """
        import requests

        name = package
        try:
            with requests.Session() as session:
                session.verify = self.settings.certificates or True
                url = self._smallest(session, package, among)
                name = urlsplit(url).path.rpartition("/")[2]
                with _opened(session, url) as stream, zipfile.ZipFile(stream) as wheel:
                    held = {info.filename: info for info in wheel.infolist()}
                    return {
                        member: wheel.read(member).decode("utf-8", errors="replace")
                        for member in members
                        if member in held and held[member].file_size <= _MEMBER
                    }
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise Indeterminate(
                f"{name}: the index did not answer ({type(error).__name__}); try again later"
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise Indeterminate(f"{name} could not be read: {error}") from error

    def _smallest(self, session: Session, package: str, among: Collection[str]) -> str:
        page = f"{self.settings.index.rstrip('/')}/{package}/"
        answer = session.get(page, headers={"Accept": _JSON}, timeout=_TIMEOUT)
        answer.raise_for_status()
        files = [file for file in answer.json()["files"] if file["filename"] in among]
        return _address(page, min(files, key=lambda file: file.get("size") or 0)["url"])


def _address(page: str, url: str) -> str:
    """A file's address; on the index's own host it takes along the credentials that the index's address holds."""
    there, here = urlsplit(urljoin(page, url)), urlsplit(page)
    if "@" in here.netloc and (there.scheme, there.netloc) == (here.scheme, here.netloc.rpartition("@")[2]):
        there = there._replace(netloc=here.netloc)
    return there.geturl()


@contextlib.contextmanager
def _opened(session: Session, url: str) -> Iterator[IO[bytes]]:
    """The wheel as a file: read in parts as needed, or a copy of the whole."""
    first = session.get(
        url, headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"}, timeout=_TIMEOUT, stream=True
    )
    with first:
        first.raise_for_status()
        size = first.headers.get("Content-Range", "").rpartition("/")[2]
        if first.status_code != 206 or not size.isdecimal():
            with tempfile.TemporaryFile() as copy:
                for part in first.iter_content(_PART):
                    if copy.tell() + len(part) > _WHOLE:
                        raise OSError("too large to be downloaded for two files, and the server gives no parts of it")
                    copy.write(part)
                yield copy
            return
    yield io.BufferedReader(_Parts(session, url, int(size)), _PART)


class _Parts(io.RawIOBase):
    """A file on a server that answers requests for ranges of bytes."""

    def __init__(self, session: Session, url: str, size: int) -> None:
        self._session = session
        self._url = url
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning of the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        answer = self._session.get(
            self._url,
            headers={"Range": f"bytes={self._at}-{self._at + wanted - 1}", "Accept-Encoding": "identity"},
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        if answer.status_code != 206 or len(answer.content) != wanted:
            raise OSError("the server gave another part than was asked for")
        buffer[:wanted] = answer.content
        self._at += wanted
        return wanted
