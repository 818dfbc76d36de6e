"""The folder that pick hands over: a proven toolchain as files that a user can install, and the conversion itself."""

from matrix.handover.choice import Choice
from matrix.handover.write import write

__all__ = ["Choice", "write"]
