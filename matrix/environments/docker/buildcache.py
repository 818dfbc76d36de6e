"""BuildKit's cache of layers: an image that is removed gives no disk back while a build could still use its layers."""

from __future__ import annotations

import threading
from typing import Any

import docker

# Only our Dockerfiles call their scripts from here; the cache is shared with everybody else who builds on this engine.
_OURS = "/tmp/torch-tf-matrix/"


# An engine answers one question about its disk at a time and refuses a second.
_ONE_AT_A_TIME = threading.Lock()


def drop_unused(client: docker.DockerClient) -> None:
    """Forget our layers that belong to no image any more. The package cache stays. Raises what docker-py raises."""
    with _ONE_AT_A_TIME:
        tried: set[str] = set()
        # A layer goes only after those built on it, which makes it unused in its turn.
        while unused := [name for name in _unused(client) if name not in tried]:
            for name in unused:
                tried.add(name)
                # The stubs know fewer filters than the engine does.
                by_id: Any = {"id": name}
                client.api.prune_builds(filters=by_id, all=True)


def _unused(client: docker.DockerClient) -> list[str]:
    records: list[dict[str, Any]] = client.df().get("BuildCache") or []
    parents = {str(record.get("Parent")) for record in records}
    return [
        str(record["ID"])
        for record in records
        if record.get("Type") == "regular"
        and _OURS in str(record.get("Description"))
        and not record.get("InUse")
        and not record.get("Shared")
        and record["ID"] not in parents
    ]
