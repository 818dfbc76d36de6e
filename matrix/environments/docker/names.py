"""Names and labels of our images and containers, which distinguish them from anyone else's."""

from __future__ import annotations

# The one label that everything of ours carries; its value says what kind of thing it is.
LABEL = "torch-tf-matrix"
JOB = "job"
ENVIRONMENT_IMAGE = "environment"
STAGE = "stage"
BASE = "base"
# The container in which a base is made. (A container inherits its image's labels: one that a user starts from a base
# must not be removed.)
MAKER = "attempt"

# Which --state a container or an unfinished image belongs to: another driver's are left alone.
STATE = "torch-tf-matrix.state"
# On environment images: digest of the lock, name of the row, identity.
LOCK = "torch-tf-matrix.lock"
ROW = "torch-tf-matrix.row"
ENVIRONMENT = "torch-tf-matrix.environment"
# On bases: the full version of the Python, such as 3.9.18; a hash over what it was made from, equal where making it
# again would give the same; the Debian packages of the root beyond the essential ones.
PYTHON = "torch-tf-matrix.python"
RECIPE = "torch-tf-matrix.recipe"
PACKAGES = "torch-tf-matrix.packages"

# Podman puts `localhost/` in front of both.
ENVIRONMENTS = "torch-tf-matrix/env"
ATTEMPTS = "torch-tf-matrix/attempt"

# Official base images, at mirrors too: the default of --base.
OFFICIAL = "python:{python}-slim"

# The Pythons that the rows of a table may ask for.
SUPPORTED = tuple(f"3.{minor}" for minor in range(6, 14))


def environment_image(environment_id: str) -> str:
    """Return the name that makes an image valid: given last, when what is installed equals the lock."""
    return f"{ENVIRONMENTS}:{environment_id[:20]}"


def attempt_image(state: str, environment_id: str) -> str:
    """Return the name of an image that the driver of a state folder is still building or checking."""
    return f"{ATTEMPTS}:{state}-{environment_id[:20]}"


def local_base(python: str) -> str:
    """Return the name of the base made on this machine for Python `X.Y`."""
    return f"torch-tf-matrix/python:{python}"


def debian_root(codename: str) -> str:
    """Return the name of the Debian root below all bases."""
    return f"torch-tf-matrix/debian:{codename}"


def python_order(python: str) -> tuple[int, ...]:
    """Return a sort key that puts 3.9 before 3.10."""
    return tuple(map(int, python.split(".")))
