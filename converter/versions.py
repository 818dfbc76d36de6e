"""List the installed packages and their size, from the metadata folders on the import path. importlib.metadata needs
Python 3.8 and pkg_resources is not always installed, but both only read these folders."""

import os
import re
import sys

_METADATA = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(-.*)?\.(dist-info|egg-info)$")


def installed():
    """Return {distribution: version} with normalised names (PEP 503); the first on the path wins, as for imports."""
    found: dict = {}
    for entry in sys.path:
        if os.path.isdir(entry):
            for name in sorted(os.listdir(entry)):
                match = _METADATA.match(name)
                if match:
                    found.setdefault(re.sub(r"[-_.]+", "-", match.group("name")).lower(), match.group("version"))
    return found


def disk_mb():
    """Return the size of all installed files in MiB, by their RECORD files (PEP 376: the size is the last column;
    earlier ones may contain commas and quotes). Bytecode is not listed there, and may be present or not."""
    total = 0
    for entry in sys.path:
        if os.path.isdir(entry):
            for name in os.listdir(entry):
                record = os.path.join(entry, name, "RECORD")
                if name.endswith(".dist-info") and os.path.isfile(record):
                    with open(record, "rb") as file:
                        sizes = (line.rstrip().rpartition(b",")[2] for line in file)
                        total += sum(int(size) for size in sizes if size.isdigit())
    return round(total / 2.0**20, 1)
