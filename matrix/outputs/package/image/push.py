"""An image sent to a registry, with the credentials of the user's Docker configuration."""

from __future__ import annotations

import contextlib

import docker
from docker.utils import parse_repository_tag

from matrix.core.errors import Indeterminate
from matrix.core.text import redact
from matrix.environments.docker.client import UNREACHABLE


def remote_name(tag: str, registry: str) -> str:
    """What `tag` is called in a registry, such as `registry.example` or `registry.example/me`."""
    registry = registry.rstrip("/")
    return tag if tag.startswith(f"{registry}/") else f"{registry}/{tag}"


def push(client: docker.DockerClient, tag: str, registry: str) -> str:
    """Push and return `<name>@<digest>`. Raises Indeterminate with what the registry answered."""
    name = remote_name(tag, registry)
    repository, version = parse_repository_tag(name)
    try:
        client.api.tag(tag, repository, version or "latest")
        digest = _send(client, repository, version or "latest")
    except (PushFailed, *UNREACHABLE) as error:
        if name != tag:
            # The name would claim what no registry has.
            with contextlib.suppress(*UNREACHABLE):
                client.images.remove(name)
        raise Indeterminate(f"{name} could not be pushed: {redact(str(error)).strip()}") from error
    return f"{repository}@{digest}"


class PushFailed(Exception):
    """What the registry answered."""


def _send(client: docker.DockerClient, repository: str, version: str) -> str:
    """The digest under which the registry keeps it."""
    digest = ""
    # An error of the registry is no error of the call: it stands in the stream.
    for event in client.api.push(repository, version, stream=True, decode=True):
        if "error" in event:
            raise PushFailed(str(event["error"]))
        digest = (event.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise PushFailed("the registry did not say under which digest it keeps it")
    return digest
