"""docker/bases.yml: the digest that the tag of each base image had when a registry was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import docker
import yaml
from docker.errors import DockerException, NotFound
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from requests.exceptions import RequestException

from matrix.core.errors import ConfigError, Indeterminate, UsageError
from matrix.core.files import write_bytes
from matrix.core.paths import DOCKER
from matrix.environments.docker import names
from matrix.environments.docker.client import explanation

FILE = DOCKER / "bases.yml"
_HEAD = "# Written by `python -m matrix bases --pin` from a registry's answers; not for editing by hand.\n"

Python = Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class BasePins(BaseModel):
    """Digests of base images by Python `X.Y`; `template` is their name with {python} in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # Named as in the file.
    schema_: Literal[1] = 1
    template: str = names.OFFICIAL
    digests: Mapping[Python, Digest] = {}

    def updated(self, newer: BasePins) -> BasePins:
        """Return these pins updated with newer ones; where the template differs, only the newer ones."""
        return newer.model_copy(
            update={"digests": {**self.digests, **newer.digests}} if self.template == newer.template else {}
        )

    def text(self) -> str:
        """Return the content of the file."""
        known = {python: self.digests[python] for python in sorted(self.digests, key=names.python_order)}
        body = {"schema": self.schema_, "template": self.template, "digests": known}
        return _HEAD + yaml.safe_dump(body, sort_keys=False)


def read(path: Path = FILE) -> BasePins:
    """Read the pins; a missing file pins nothing. Raises ConfigError for a damaged file."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return BasePins(**{"schema_" if key == "schema" else key: value for key, value in found.items()})
    except FileNotFoundError:
        return BasePins()
    except (yaml.YAMLError, ValidationError, AttributeError, TypeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read; write it again: python -m matrix bases --pin") from error


def write(pins: BasePins, path: Path = FILE) -> None:
    """Replace the file atomically. Raises ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, pins.text().encode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name another file with --to") from error


def ask_registry(client: docker.DockerClient, template: str, pythons: Sequence[str]) -> BasePins:
    """Ask a registry, through the engine, for the current digest of the base of each Python `X.Y`.

    Raises UsageError where the registry has no such image, Indeterminate where no registry answers.
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
