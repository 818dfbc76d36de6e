"""What our base images are called and labelled: names of our own, never an official tag."""

from __future__ import annotations

# Value of the one label everything of ours carries (see environments/docker/names.py).
BASE = "base"
# The same for the container in which one is made. (A container has its image's labels: one that a user starts from a
# base is not ours to remove.)
MAKER = "attempt"
# The full version of the Python in a base, such as 3.9.18.
PYTHON = "torch-tf-matrix.python"
# What a base was made from, as a hash: equal means that making it again would give the same.
RECIPE = "torch-tf-matrix.recipe"
# The Debian packages a root was asked to have beyond the essential ones.
PACKAGES = "torch-tf-matrix.packages"

# What the official images are called, at mirrors too: the default of --base.
OFFICIAL = "python:{python}-slim"
LOCAL = "torch-tf-matrix/python:{python}"

# The Pythons that the rows of a table may ask for.
SUPPORTED = tuple(f"3.{minor}" for minor in range(6, 14))


def local(python: str) -> str:
    """The name of the base made on this machine for Python `X.Y`."""
    return LOCAL.format(python=python)


def debian(codename: str) -> str:
    """The name of the Debian root below all of them."""
    return f"torch-tf-matrix/debian:{codename}"


def order(python: str) -> tuple[int, ...]:
    """Sorts 3.9 before 3.10."""
    return tuple(map(int, python.split(".")))
