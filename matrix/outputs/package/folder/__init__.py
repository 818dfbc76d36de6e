"""The folder that `pick` writes: a proven toolchain as files to install, and the conversion itself."""

from matrix.outputs.package.folder.choice import Choice
from matrix.outputs.package.folder.write import write

__all__ = ["Choice", "write"]
