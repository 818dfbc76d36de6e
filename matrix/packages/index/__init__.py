"""The package index: which one the user means, and what it says of releases (PEP 691/700)."""

from matrix.packages.index.dates import UploadDates
from matrix.packages.index.package import Package, ReleasedFile
from matrix.packages.index.releases import DatesUnknown, PackageUnknown, PageUnreadable, Releases
from matrix.packages.index.settings import DEFAULT_INDEX, IndexSettings, local_folder
from matrix.packages.index.usable import usable

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
