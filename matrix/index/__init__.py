"""The package index: which one the user means, and what it says of releases (PEP 691/700)."""

from matrix.index.dates import UploadDates
from matrix.index.package import Package, ReleasedFile
from matrix.index.releases import DatesUnknown, PackageUnknown, PageUnreadable, Releases
from matrix.index.settings import DEFAULT_INDEX, IndexSettings, local_folder
from matrix.index.usable import usable

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
