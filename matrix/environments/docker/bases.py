"""Choose the base image of an environment's image: the meaning of --base for a Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException

from matrix.environments.docker import base_pins as pins
from matrix.environments.docker import names
from matrix.environments.docker.base_pins import BasePins
from matrix.environments.docker.client import explanation

Origin = Literal["local", "registry"]


@dataclass(frozen=True)
class BaseImage:
    """`reference` is the argument of FROM, `id` the image it refers to in this engine, `python` the full version, such
    as 3.9.18, `size` in bytes."""

    reference: str
    id: str
    python: str
    origin: Origin
    size: int


class BaseMissing(Exception):
    """There is no base image for a Python; the message says what to do."""


def check_option(option: str) -> str | None:
    """Return what is wrong with a value of --base, or None."""
    if option in ("auto", "local", "registry"):
        return None
    try:
        one, other = (option.format(python=python) for python in ("3.6", "3.13"))
    except (KeyError, IndexError, ValueError):
        one = other = ""
    if one == other:
        return "choose auto, local, registry, or a name with {python} in it, such as my-mirror/python:{python}-slim"
    return None


def candidates(python: str, option: str, pinned: BasePins) -> list[str]:
    """Return the references that `option` permits for Python `X.Y`, best first."""
    if option == "local":
        return [names.local_base(python)]
    if option not in ("auto", "registry"):
        return [option.format(python=python)]
    registry = _pinned(python, pinned)
    return [registry, names.local_base(python)] if option == "auto" else [registry]


def find(client: docker.DockerClient, python: str, option: str, pinned: BasePins | None = None) -> list[BaseImage]:
    """Return the bases for Python `X.Y` that the engine has, best first.

    Raises BaseMissing where one holds another Python, and docker-py's errors.
    """
    there = [_present(client, name) for name in candidates(python, option, pins.read() if pinned is None else pinned)]
    return [_base(client, *image, python) for image in there if image]


def choose(
    client: docker.DockerClient, python: str, option: str, pinned: BasePins | None = None, download: bool = True
) -> BaseImage:
    """Return the base for Python `X.Y`. `option` is `auto`, `local`, `registry` or a name with {python} in it.

    `auto` prefers what the engine has: a registry's image, else one made here; only where there is neither does it
    download, unless `download` is False. With `auto` and `registry` the digests of `pinned` apply, by default those of
    docker/bases.yml; a name that the user gave is taken unchanged. Raises BaseMissing, and docker-py's errors.
    """
    pinned = pins.read() if pinned is None else pinned
    if there := find(client, python, option, pinned):
        return there[0]
    wanted = candidates(python, option, pinned)[0]
    if option == "local" or not download:
        raise BaseMissing(f"no base image for Python {python}: {wanted} does not exist; {_how_to_make(python)}")
    return _base(client, wanted, pull(client, wanted, python), python)


def pull(client: docker.DockerClient, reference: str, python: str) -> Image:
    """Download an image. Raises BaseMissing where no registry has it or answers, docker-py's errors where the engine
    does not answer."""
    repository, tag = parse_repository_tag(reference)
    try:
        # Errors after the first byte are part of the response.
        for event in client.api.pull(repository, tag or "latest", stream=True, decode=True):
            if "error" in event:
                raise DockerException(event["error"])
        return client.images.get(reference)
    except (DockerException, RequestException) as error:
        client.ping()
        raise BaseMissing(
            f"no base image for Python {python}: {reference} could not be downloaded ({explanation(error)}); "
            f"{_how_to_make(python)}"
        ) from error


def _pinned(python: str, pins: BasePins) -> str:
    """Return the registry's image, by digest where one is pinned: a tag may be moved."""
    name = pins.template.format(python=python)
    digest = pins.digests.get(python)
    return f"{parse_repository_tag(name)[0]}@{digest}" if digest else name


def _present(client: docker.DockerClient, reference: str) -> tuple[str, Image] | None:
    try:
        return reference, client.images.get(reference)
    except ImageNotFound:
        return None


def _base(client: docker.DockerClient, reference: str, image: Image, python: str) -> BaseImage:
    version = _version(client, image)
    if not version.startswith(f"{python}."):
        found = f"Python {version}" if version else "no Python"
        raise BaseMissing(f"{reference} holds {found} where {python} is needed; choose another with --base")
    origin: Origin = "local" if image.labels.get(names.LABEL) == names.BASE else "registry"
    return BaseImage(reference, str(image.id), version, origin, int(image.attrs["Size"]))


def _version(client: docker.DockerClient, image: Image) -> str:
    """Return the full version of the Python in an image, '' where it has none."""
    variables = dict(entry.split("=", 1) for entry in image.attrs["Config"].get("Env") or [] if "=" in entry)
    said = variables.get("PYTHON_VERSION") or image.labels.get(names.PYTHON)
    if not said:
        try:
            out = client.containers.run(
                str(image.id),
                ["-V"],
                entrypoint="python3",
                remove=True,
                network_disabled=True,
                read_only=True,
                labels={names.LABEL: names.MAKER},
            )
        except DockerException:
            return ""
        said = out.decode(errors="replace")
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found.group() if found else ""


def _how_to_make(python: str) -> str:
    return f"make one on this machine: python -m matrix bases {python}; or choose one you have with --base"
