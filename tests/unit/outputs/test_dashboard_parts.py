"""Pieces of the dashboard: texts fit to be shown, the folder that is replaced, logs, badges, pictures, addresses."""

from __future__ import annotations

import json
import shlex
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench import Bench, Cell

from matrix.core.errors import UsageError
from matrix.history import History, read_history
from matrix.judging.cells import Judge
from matrix.judging.reasons import known_reasons
from matrix.outputs.dashboard import logs, rows
from matrix.outputs.dashboard.badges import Badge
from matrix.outputs.dashboard.blames import harmless
from matrix.outputs.dashboard.changes import Changes, regressions
from matrix.outputs.dashboard.counting import RowTally, VerdictCounts
from matrix.outputs.dashboard.folder import replaced
from matrix.outputs.dashboard.observed import shortened
from matrix.outputs.dashboard.pages import Pages
from matrix.outputs.dashboard.serve import open_server
from matrix.outputs.dashboard.shards import encode, fnv1a, slug
from matrix.outputs.privacy import Public, SiteCleaner
from matrix.table import load_config

ENVIRONMENT = "0123456789abcdef0123"


@pytest.fixture
def cleaner() -> SiteCleaner:
    return SiteCleaner(Path("/srv/night/.matrix"), Path("/srv/night/checkout"), encode)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("/srv/night/.matrix/work/1/x", ".matrix/work/1/x"),
        ('File "/srv/night/checkout/matrix.yml"', 'File "./matrix.yml"'),
        # Of a history that came from other machines nobody knows the folders.
        (f'File "/data/ci/.matrix/envs/{ENVIRONMENT}/lib/a.py"', f'File ".matrix/envs/{ENVIRONMENT}/lib/a.py"'),
        (f"at\n/opt/state/envs/{ENVIRONMENT}/lib/a.py", f"at\n.matrix/envs/{ENVIRONMENT}/lib/a.py"),
        ("File /builds/us/converter/results.py", "File converter/results.py"),
        ("/home/jane/models/x.py and /Users/joe/y", "~/models/x.py and ~/y"),
        ("https://example.org/home/jane/converter/worker.py", "https://example.org/home/jane/converter/worker.py"),
        ("https://me:secret@example.org/simple", "https://***@example.org/simple"),
        ("\x1b[31mred\x1b[0m\a", "red"),
        ("a\u202eb\u2066c\u200f", "a\\u202eb\\u2066c\\u200f"),
        ("half\ud800 \uffff", "half\ufffd \ufffd"),
        ("tab\tline\nend", "tab\tline\nend"),
    ],
)
def test_texts_are_made_fit_to_be_shown(cleaner: SiteCleaner, text: str, shown: str) -> None:
    assert cleaner.text(text) == shown
    assert cleaner.data({"a": [text], text: None}) == {"a": [shown], shown: None}
    assert json.loads(cleaner.encoded({"a": [text], text: None})) == {"a": [shown], shown: None}


def test_numbers_that_json_has_no_words_for_become_texts(cleaner: SiteCleaner) -> None:
    assert json.loads(cleaner.encoded([float("inf"), 1.5])) == ["inf", 1.5]
    assert cleaner.data({"a": float("inf"), "b": float("nan"), "c": 1.5}) == {"a": "inf", "b": "nan", "c": 1.5}


def test_one_endless_line_takes_no_endless_time(cleaner: SiteCleaner) -> None:
    begun = time.monotonic()
    for line in ("/a" * 60_000, "/" * 120_000, "x" * 120_000 + "/envs/", "/home/" * 20_000):
        cleaner.text(line)
    assert time.monotonic() - begun < 5


def test_models_of_the_table_and_named_ones_are_public() -> None:
    public = Public(["net"], ["mine"])
    assert [public.cell(f"{model}/e@9/row") for model in ("net", "mine", "other", "network")] == [
        True,
        True,
        False,
        False,
    ]
    assert public.left_out == {"other/e@9/row", "network/e@9/row"}
    assert public.unknown(["mine", "absent"]) == ["absent"]


# -- shards


def test_what_is_encoded_is_harmless_in_a_script_and_still_the_same() -> None:
    value = {"b": "</script>\u2028\u2029", "a": "<!--é"}
    text = encode(value)
    assert "</" not in text and "\u2028" not in text and json.loads(text) == value
    assert text.startswith('{"a"')


@pytest.mark.parametrize(("text", "number"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_cells_are_found_by_fnv1a(text: str, number: int) -> None:
    assert fnv1a(text) == number


def test_only_what_can_be_a_file_keeps_its_name() -> None:
    assert slug("onnxtf1.10.0-onnx1.10.2-tf2.8.0+cpu") == "onnxtf1.10.0-onnx1.10.2-tf2.8.0+cpu"
    names = ["..", "../x", "a/b", "index", ".hidden", "", "é", "x" * 300]
    assert len({slug(name) for name in names}) == len(names)
    assert all("/" not in slug(name) and not slug(name).startswith(".") and slug(name) != "index" for name in names)


# -- the folder


def site(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "site.js").write_text('matrixShard("site",{});')


def test_a_site_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    for word in ("one", "two"):
        with replaced(out) as folder:
            site(folder)
            (folder / word).touch()
    assert sorted(path.name for path in out.iterdir()) == ["data", "two"]
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_a_build_that_fails_leaves_the_old_site(tmp_path: Path) -> None:
    out = tmp_path / "site"
    with replaced(out) as folder:
        site(folder)
    with pytest.raises(RuntimeError), replaced(out) as folder:
        raise RuntimeError("in between")
    assert (out / "data" / "site.js").exists() and [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_is_no_site_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not a site of this program"), replaced(tmp_path):
        pass
    assert (tmp_path / "thesis.tex").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a plain folder"), replaced(tmp_path / "file"):
        pass
    (tmp_path / "empty").mkdir()
    with replaced(tmp_path / "empty") as folder:
        site(folder)
    assert (tmp_path / "empty" / "data").exists()


def test_what_a_killed_build_left_is_tidied_up(tmp_path: Path) -> None:
    nobody = 2**22 + 1  # above the highest pid that Linux gives
    (tmp_path / f".site.building-{nobody}").mkdir()
    moved = tmp_path / f".site.old-{nobody}"
    moved.mkdir()
    site(moved)
    (moved / "mine").touch()
    with pytest.raises(RuntimeError), replaced(tmp_path / "site"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["site"] and (tmp_path / "site" / "mine").exists()


# -- logs


def test_of_a_log_only_what_is_shown_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 400_000 + b"\xe2\x82" + b"\nlast")
    text, size, left_out = logs.read(path)
    assert size == path.stat().st_size and left_out == size - logs.HEAD - logs.TAIL
    assert text.startswith("first\nx") and text.endswith("\nlast")
    path.write_bytes(b"x" * (logs.HEAD + logs.TAIL))
    assert logs.read(path)[2] == 0


def test_long_texts_are_cut_in_the_middle() -> None:
    assert shortened("abc", 3) == "abc"
    text = shortened("a" * 500 + "b" * 500, 100)
    assert text.startswith("a" * 25 + "\n… 900 characters") and text.endswith("b" * 75)


# -- badges and pictures


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 has it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("match", "findings", "message"),
    [(3, 3, "3/3 match"), (1, 3, "1/3 match"), (0, 3, "0/3 match"), (0, 0, "not measured")],
)
def test_badges_can_be_read(match: int, findings: int, message: str) -> None:
    badge = Badge('row<&"', match, findings)
    tree = ElementTree.fromstring(badge.svg())
    assert tree[0].text == f'row<&": {message}' == tree.get("aria-label")
    for element in tree.iter("{http://www.w3.org/2000/svg}rect"):
        assert 1.05 / (luminance(element.get("fill") or "") + 0.05) >= 4.5
    told = json.loads(badge.endpoint())
    assert (told["schemaVersion"], told["label"], told["message"]) == (1, 'row<&"', message)


SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>x</title>{}</svg>'


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<path onload="alert(1)"/>',
        '<a href="https://example.org"><text>x</text></a>',
        '<image href="x.png"/>',
        "<foreignObject/>",
        "<style>@import 'https://example.org/x.css';</style>",
        '<rect fill="url(https://example.org)"/>',
        r'<rect style="fill:u\72l(\2f\2f example.org)"/>',
        "<rect style=\"mask-image:image-set('x.png')\"/>",
        r"<style>@\69mport 'x.css';</style>",
        "<rect",
    ],
)
def test_a_picture_that_is_more_than_drawing_is_left_out(inside: str) -> None:
    assert not harmless(SVG.format(inside))
    assert harmless(SVG.format('<style>.a{fill:#fff}</style><g class="a"><path d="M0 0"/></g>'))
    assert not harmless("") and not harmless(f'<!DOCTYPE svg [<!ENTITY a "b">]>{SVG.format("")}')


def test_our_own_timelines_are_harmless() -> None:
    picture = Path(__file__).resolve().parents[3] / "docs" / "blame.svg"
    assert harmless(picture.read_text(encoding="utf-8"))


# -- regressions


def test_what_no_later_run_decided_is_not_new_for_ever(bench: Bench) -> None:
    bench.run(Cell("old"), Cell("new"))
    bench.run(Cell("old", failed="no"), Cell("new"))
    assert [item["new"] for item in told(bench)] == [True]
    bench.run(Cell("new"))
    assert [item["new"] for item in told(bench)] == [False]


def told(bench: Bench) -> list[dict[str, Any]]:
    config = load_config(bench.root / "matrix.yml", known_reasons())
    history = read_history(bench.store, Judge(config, bench.store), {})
    return regressions(history, Changes(bench.store, history, {}))


# -- what is copied into a shell


def row_document(row: str, onnx_tf: str) -> dict[str, Any]:
    facts = rows.RowFacts(row, {"onnx-tf": onnx_tf, "tensorflow": "2.15.0", "onnx": ""}, "3.9", "", False, None)
    return rows.document(facts, RowTally(), VerdictCounts([], {}, ([], [])), History((), (), {}), {}, None, None, "")


def test_what_a_row_of_another_machine_says_is_one_word_in_a_shell() -> None:
    found = row_document("row; touch x", "1.0'; touch x; '")
    assert shlex.split(found["image"])[4:] == ["row; touch x"]
    *_, shell, command, script = shlex.split(found["docker_run"])
    assert (shell, command) == ("sh", "-c")
    pins = ["onnx-tf==1.0'; touch x; '", "tensorflow==2.15.0"]
    assert shlex.split(script)[2:] == shlex.split(found["install"])[3:] == pins


def test_what_is_plain_is_quoted_by_nobody() -> None:
    found = row_document("row-1.0", "1.10.0")
    assert found["install"] == "uv pip install onnx-tf==1.10.0 tensorflow==2.15.0"
    assert found["docker_run"].endswith("python:3.9-slim sh -c 'pip install onnx-tf==1.10.0 tensorflow==2.15.0'\n")
    assert found["image"] == "python -m matrix image row-1.0"


# -- pages and server


def test_pages_escape_and_miss_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "page.html").write_text("{{ root }}|{{ site.title }}|{{ item }}")
    (templates / "wrong.html").write_text("{{ nothing }}")
    monkeypatch.setattr("matrix.outputs.dashboard.pages.TEMPLATES", templates)
    pages = Pages(tmp_path, {"title": "<b>"})
    pages.write_each("page.html", "rows", "item", [("rows/a.html", {"x": "</p>"})])
    assert (tmp_path / "rows" / "a.html").read_text() == "../|&lt;b&gt;|{&#39;x&#39;: &#39;&lt;/p&gt;&#39;}"
    with pytest.raises(Exception, match="nothing"):
        pages.write("w.html", "wrong.html", "rows")


def test_it_is_served_to_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    with open_server(tmp_path, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            host, port = server.server_address[:2]
            assert host == "127.0.0.1"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/a.js") as answer:
                assert answer.headers["Content-Type"] == "text/javascript" and answer.read() == b"1"
            with pytest.raises(UsageError, match="--port"):
                open_server(tmp_path, int(port))
        finally:
            server.shutdown()
            thread.join()
