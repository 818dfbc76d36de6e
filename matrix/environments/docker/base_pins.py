"""docker/bases.yml: which bytes the tag of a base image stood for when a registry was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from matrix.core import files as durable
from matrix.core.errors import ConfigError
from matrix.core.paths import DOCKER
from matrix.environments.docker import base_names as names

FILE = DOCKER / "bases.yml"
_HEAD = "# Written by `python -m matrix bases --pin` from a registry's answers; not for editing by hand.\n"

Python = Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class BasePins(BaseModel):
    """`template` names an image with {python} in it, `digests` says for `X.Y` which one is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # Named as in the file.
    schema_: Literal[1] = 1
    template: str = names.OFFICIAL
    digests: Mapping[Python, Digest] = {}

    def updated(self, newer: BasePins) -> BasePins:
        """These pins with newer ones; of another template none is kept."""
        return newer.model_copy(
            update={"digests": {**self.digests, **newer.digests}} if self.template == newer.template else {}
        )

    def text(self) -> str:
        """The file's content."""
        known = {python: self.digests[python] for python in sorted(self.digests, key=names.order)}
        body = {"schema": self.schema_, "template": self.template, "digests": known}
        return _HEAD + yaml.safe_dump(body, sort_keys=False)


def read(path: Path = FILE) -> BasePins:
    """What was pinned; nothing where there is no file. Raises ConfigError for a file that is damaged."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return BasePins(**{"schema_" if key == "schema" else key: value for key, value in found.items()})
    except FileNotFoundError:
        return BasePins()
    except (yaml.YAMLError, ValidationError, AttributeError, TypeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read; write it anew: python -m matrix bases --pin") from error


def write(pins: BasePins, path: Path = FILE) -> None:
    """Replace the file as a whole. Raises ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(path, pins.text().encode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name another file with --to") from error
