"""An image sent to a registry, with the credentials of the user's Docker configuration."""

from __future__ import annotations

import docker
from docker.errors import APIError
from docker.utils import parse_repository_tag

from matrix.environments.docker.client import UNREACHABLE
from matrix.errors import Indeterminate
from matrix.redact import redact


def remote_name(tag: str, registry: str) -> str:
    """What `tag` is called in a registry, such as `registry.example` or `registry.example/me`."""
    registry = registry.rstrip("/")
    return tag if tag.startswith(f"{registry}/") else f"{registry}/{tag}"


def push(client: docker.DockerClient, tag: str, registry: str) -> str:
    """Push and return `<name>@<digest>`. Raises Indeterminate with what the registry answered."""
    name = remote_name(tag, registry)
    repository, version = parse_repository_tag(name)
    digest = ""
    try:
        client.api.tag(tag, name)
        # An error of the registry is no error of the call: it stands in the stream.
        for event in client.api.push(repository, version or "latest", stream=True, decode=True):
            if "error" in event:
                raise Indeterminate(f"{name} could not be pushed: {redact(str(event['error'])).strip()}")
            digest = (event.get("aux") or {}).get("Digest", digest)
    except (APIError, *UNREACHABLE) as error:
        raise Indeterminate(f"{name} could not be pushed: {redact(str(error))}") from error
    if not digest:
        raise Indeterminate(f"{name} was pushed, but the registry did not say under which digest; push it again")
    return f"{repository}@{digest}"
