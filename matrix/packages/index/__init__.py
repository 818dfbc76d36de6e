"""The package index: which one the user configured, and the releases on it (PEP 691, PEP 700)."""

from matrix.packages.index.package import Package, ReleasedFile, usable
from matrix.packages.index.releases import DatesUnknown, PackageUnknown, PageUnreadable, Releases, UploadDates
from matrix.packages.index.settings import DEFAULT_INDEX, IndexSettings, local_folder

__all__ = [
    "DEFAULT_INDEX",
    "DatesUnknown",
    "IndexSettings",
    "Package",
    "PackageUnknown",
    "PageUnreadable",
    "ReleasedFile",
    "Releases",
    "UploadDates",
    "local_folder",
    "usable",
]
