"""Which packages of an environment go into a layer that other environments share. Pure.

A layer is shared only where every layer below it is the same, so order decides about disk and time: Python, then the
framework with all that its rows have in common, then what is a row's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from matrix.families.registry import heavy_packages
from matrix.packages.lock import Lock

# Beside those of the families the packages that dwarf all others of an environment: 150 to 900 MB installed, the rest 5
# to 80.
_GENERAL = frozenset({"torch", "onnxruntime"})


def shared_part(lock: Lock, rows: Sequence[Lock]) -> str:
    """The requirements file of the shared layer: '' where there is no framework to share.

    `rows` are the committed locks. Those with the same Python and the same framework are the lock's family; what all
    of them pin alike is shared. A lock that breaks ranks, such as one of a variant, and a family of one share the
    framework alone.
    """
    heavy = _GENERAL | heavy_packages().keys()
    framework = {name: text for name, text in lock.requirements.items() if name in heavy}
    if not framework:
        return ""
    family = [row for row in rows if row.python == lock.python and framework.items() <= row.requirements.items()]
    common = dict(framework)
    if len(family) > 1:
        common = dict(set.intersection(*(set(row.requirements.items()) for row in family)))
    if not common.items() <= lock.requirements.items():
        common = framework
    # One date for the family: it is part of the layer's content.
    as_of = min((row.as_of for row in family), default=lock.as_of)
    return f"#: as_of: '{as_of.isoformat()}'\n" + "".join(common[name] for name in sorted(common))
