"""What is installed and how much room it takes, as the environment's own import path says it. importlib.metadata begins with Python 3.8 and
pkg_resources is not in every environment, but both only read these folder names."""

import os
import re
import sys

_METADATA = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(-.*)?\.(dist-info|egg-info)$")


def installed():
    """{distribution: version} with normalised names (PEP 503); the first entry on the path wins, as in an import."""
    found: dict = {}
    for entry in sys.path:
        if os.path.isdir(entry):
            for name in sorted(os.listdir(entry)):
                match = _METADATA.match(name)
                if match:
                    found.setdefault(re.sub(r"[-_.]+", "-", match.group("name")).lower(), match.group("version"))
    return found


def disk_mb():
    """Megabytes of all installed files, by the records that installers leave (the RECORD file of PEP 376 has a size in
    the last column; there may be commas and quotes before it). Bytecode, which comes and goes, is not in them."""
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
