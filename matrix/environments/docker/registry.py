"""Ask a registry, through the engine, which bytes the tags of base images stand for now."""

from __future__ import annotations

from collections.abc import Sequence

import docker
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException

from matrix.core.errors import Indeterminate, UsageError
from matrix.environments.docker.base_pins import BasePins
from matrix.environments.docker.client import explanation


def ask(client: docker.DockerClient, template: str, pythons: Sequence[str]) -> BasePins:
    """The digest of every base for `pythons` (`X.Y`).

    Raises UsageError where the registry says that it has no such image, Indeterminate where none answers.
    """
    digests = {}
    for python in pythons:
        name = template.format(python=python)
        try:
            digests[python] = str(client.images.get_registry_data(name).id)
        except NotFound as error:
            raise UsageError(f"the registry has no {name}; nothing was pinned, choose another --base") from error
        except (DockerException, RequestException) as error:
            raise Indeterminate(
                f"no registry answers for {name}, so nothing was pinned ({explanation(error)}); try again, name one "
                "that can be reached with --base, or make bases on this machine: python -m matrix bases"
            ) from error
    return BasePins(template=template, digests=digests)
