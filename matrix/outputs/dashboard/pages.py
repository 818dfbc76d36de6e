"""Write pages from templates, and copy the assets."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
TEMPLATES, ASSETS = _HERE / "templates", _HERE / "assets"

# The template, and the page's id in the navigation.
SINGLE = (
    ("index.html", "matrix"),
    ("cell.html", "cell"),
    ("changes.html", "changes"),
    ("trends.html", "trends"),
    ("pick.html", "pick"),
    ("operators.html", "operators"),
)


class Pages:
    """Writes pages below a folder; `site` is the context that all pages share."""

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
        """Write a page; `place` is its path below the site's folder."""
        root = "../" * place.count("/")
        text = self._environment.get_template(template).render(root=root, page=page, site=self._site, **context)
        path = self._folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write_each(self, template: str, page: str, name: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Write a page for every (place, item); the template sees the item as `name`."""
        for place, item in items:
            self.write(place, template, page, **{name: item})


def copy_assets(folder: Path) -> None:
    """Copy our scripts and styles, and the chart library from its Python package."""
    import vl_convert

    # Its stub lacks the default, which publishes the libraries to other scripts. The function keeps its two thousand
    # other names out of theirs.
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    shutil.copytree(ASSETS, folder, ignore=shutil.ignore_patterns(".*", "*~"))
    (folder / "vega.js").write_text(f"(() => {{\n{bundle}\n}})();\n", encoding="utf-8")
