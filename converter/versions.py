"""What is installed, as the environment's own import path says it. importlib.metadata begins with Python 3.8 and
pkg_resources is not in every environment, but both only read these folder names."""
import os
import re
import sys

_METADATA = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(-.*)?\.(dist-info|egg-info)$")


def installed():
    """{distribution: version} with normalised names (PEP 503); the first entry on the path wins, as in an import."""
    found = {}
    for entry in sys.path:
        if os.path.isdir(entry):
            for name in sorted(os.listdir(entry)):
                match = _METADATA.match(name)
                if match:
                    found.setdefault(re.sub(r"[-_.]+", "-", match.group("name")).lower(), match.group("version"))
    return found
