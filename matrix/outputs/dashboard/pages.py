"""Templates and assets made into files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
TEMPLATES, ASSETS = _HERE / "templates", _HERE / "assets"

# Template and id of the page in the navigation.
SINGLE = (
    ("index.html", "matrix"),
    ("cell.html", "cell"),
    ("changes.html", "changes"),
    ("trends.html", "trends"),
    ("pick.html", "pick"),
    ("operators.html", "operators"),
)


class Pages:
    """Writes pages below a folder; `site` is what every page knows of the site."""

    def __init__(self, folder: Path, site: Mapping[str, Any]) -> None:
        self._folder = folder
        self._site = site
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def write(self, place: str, template: str, page: str, **context: Any) -> None:
        """`place` is the file's, below the site's folder."""
        root = "../" * place.count("/")
        text = self._environment.get_template(template).render(root=root, page=page, site=self._site, **context)
        path = self._folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write_each(self, template: str, page: str, name: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """One page for every (place, item), which the template knows as `name`."""
        for place, item in items:
            self.write(place, template, page, **{name: item})


def copy_assets(folder: Path) -> None:
    """Our own scripts and styles, and the library that draws charts, out of its Python package."""
    import vl_convert

    # Its stub does not know of the default, which makes the libraries known to other scripts. Within a function its
    # two thousand other names stay its own.
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    shutil.copytree(ASSETS, folder, ignore=shutil.ignore_patterns(".*", "*~"))
    (folder / "vega.js").write_text(f"(() => {{\n{bundle}\n}})();\n", encoding="utf-8")
