"""Write layers and images reproducibly: equal content gives equal bytes, and so the same image id everywhere.

An image is an archive as `docker save` writes it (Docker image specification 1.2): unlike the results of a builder or
`docker commit`, it does not depend on the time or the machine it was made on.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# 1980-01-01, the earliest date in a zip archive, and so in a wheel built in an image.
EPOCH = 315532800
_CREATED = "1980-01-01T00:00:00Z"


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar file; `digest` is its diff id in the image format."""

    path: Path
    digest: str


def layer(path: Path) -> Layer:
    """Return a tar file as a layer. Raises OSError."""
    with path.open("rb") as stream:
        return Layer(path, f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}")


class TarWriter:
    """Writes a tar whose bytes depend only on names, content, permissions and the order of calls."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 closed in __exit__
        self._folders: set[str] = set()

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def file(self, name: str, data: bytes, executable: bool = False) -> None:
        member = self._member(name, tarfile.REGTYPE, 0o755 if executable else 0o644)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))

    def link(self, name: str, target: str) -> None:
        member = self._member(name, tarfile.SYMTYPE, 0o777)
        member.linkname = target
        self._tar.addfile(member)

    def _member(self, name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        for folder in reversed(Path(name).parents[:-1]):
            if str(folder) not in self._folders:
                self._folders.add(str(folder))
                self._tar.addfile(_info(str(folder), tarfile.DIRTYPE, 0o755))
        return _info(name, kind, mode)


def copy_sorted(source: Path, target: TarWriter, name_of: Callable[[str], str | None]) -> None:
    """Write files and links of another tar, sorted, under the names that `name_of` returns; None skips one."""
    with tarfile.open(source) as tar:
        for name, member in sorted((name, m) for m in tar if (name := name_of(m.name)) is not None):
            if member.issym():
                target.link(name, member.linkname)
            elif stream := tar.extractfile(member):
                target.file(name, stream.read(), bool(member.mode & 0o111))


@dataclass(frozen=True)
class Description:
    """The metadata of an image; `made_by` describes the origin of each layer, lowest first."""

    name: str
    variables: Mapping[str, str]
    command: str
    labels: Mapping[str, str]
    made_by: tuple[str, ...]


def write_image(path: Path, image: Description, layers: list[Layer], architecture: str) -> None:
    """Write an archive that an engine loads as `image.name`."""
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": _CREATED,
            "config": {
                "Env": [f"{name}={value}" for name, value in image.variables.items()],
                "Cmd": [image.command],
                "Labels": dict(image.labels),
            },
            "rootfs": {"type": "layers", "diff_ids": [one.digest for one in layers]},
            "history": [{"created": _CREATED, "created_by": text} for text in image.made_by],
        }
    )
    # The hash of this JSON is the image's id.
    inner = f"{hashlib.sha256(config).hexdigest()}.json"
    places = [f"{one.digest.removeprefix('sha256:')}/layer.tar" for one in layers]
    manifest = _json([{"Config": inner, "RepoTags": [image.name], "Layers": places}])
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ((inner, config), ("manifest.json", manifest)):
            member = _info(name, tarfile.REGTYPE, 0o644)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for place, one in zip(places, layers, strict=True):
            tar.add(one.path, place, filter=_plain)


def extract_layers(stream: Iterator[bytes], scratch: Path) -> list[Layer]:
    """Extract the layers of an image, lowest first, from the stream of the engine's `save`.

    Raises ValueError, KeyError or TarError for an unexpected archive.
    """
    archive = scratch / "saved.tar"
    with archive.open("wb") as out:
        out.writelines(stream)
    layers = []
    with tarfile.open(archive) as tar:
        (image,) = json.load(_open(tar, "manifest.json"))
        digests = json.load(_open(tar, image["Config"]))["rootfs"]["diff_ids"]
        for number, (inner, digest) in enumerate(zip(image["Layers"], digests, strict=True)):
            path = scratch / f"layer-{number}.tar"
            source = _open(tar, inner)
            with path.open("wb") as out:
                while block := source.read(2**20):
                    out.write(block)
            layers.append(Layer(path, digest))
    archive.unlink()
    return layers


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is not a file in the engine's archive")
    return stream


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, EPOCH
    return member


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    plain = _info(member.name, member.type, 0o644)
    plain.size = member.size
    return plain


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
