"""The folder that pick hands over: a proven toolchain as files that a user can install, and the conversion itself."""

from matrix.outputs.package.folder.choice import Choice
from matrix.outputs.package.folder.write import write

__all__ = ["Choice", "write"]
