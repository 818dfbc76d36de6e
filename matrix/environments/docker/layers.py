"""Which packages of an environment go into a layer that other environments share. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from matrix.families.registry import heavy_packages
from matrix.packages.lock import Lock

# The packages, beside those of the families, that dwarf all others of an environment: 150 to 900 MB installed, the rest
# 5 to 80.
_GENERAL = frozenset({"torch", "onnxruntime"})


def shared_part(lock: Lock, rows: Sequence[Lock]) -> str:
    """Return the requirements file of the layer shared with other environments, '' where no framework is in it.

    Layers are shared only where all layers below are equal, so their order is: Python, the framework with everything
    that its rows have in common, then the rest of a row.

    `rows` are the committed locks. Those with the same Python and framework form a family, and what all of them pin
    alike is shared. A family of one, and a lock that pins something of it differently, such as a variant's, share the
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
