"""Where packages come from, and what of it must not be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.core.text import redact
from matrix.packages.index import DEFAULT_INDEX, IndexSettings

EVERYTHING = {
    "UV_DEFAULT_INDEX": "https://uv/simple",
    "UV_INDEX_URL": "https://uv-old/simple",
    "PIP_INDEX_URL": "https://pip/simple",
    "UV_EXTRA_INDEX_URL": "https://uv-extra https://uv-more",
    "PIP_EXTRA_INDEX_URL": "https://pip-extra",
    "UV_FIND_LINKS": "/uv/wheels,https://uv/page",
    "PIP_FIND_LINKS": "/pip/wheels /pip/more",
    "SSL_CERT_FILE": "/ca.pem",
    "PIP_CERT": "/pip.pem",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in EVERYTHING.items() if name not in names}


def test_options_go_first() -> None:
    found = IndexSettings.resolve(EVERYTHING, index="https://option", find_links=("/option",))
    assert (found.index, found.find_links) == ("https://option", ("/option",))


def test_then_uv_then_pip_then_the_default() -> None:
    found = IndexSettings.resolve(EVERYTHING)
    assert found == IndexSettings(
        "https://uv/simple", ("https://uv-extra", "https://uv-more"), ("/uv/wheels", "https://uv/page"), "/ca.pem"
    )
    assert IndexSettings.resolve(without("UV_DEFAULT_INDEX")).index == "https://uv-old/simple"
    assert IndexSettings.resolve({n: v for n, v in EVERYTHING.items() if n.startswith("PIP_")}) == IndexSettings(
        "https://pip/simple", ("https://pip-extra",), ("/pip/wheels", "/pip/more"), "/pip.pem"
    )
    assert IndexSettings.resolve({}) == IndexSettings(DEFAULT_INDEX)
    assert IndexSettings.resolve({"UV_DEFAULT_INDEX": ""}).index == DEFAULT_INDEX


def test_settings_reach_uv_and_come_back_the_same() -> None:
    settings = IndexSettings.resolve(EVERYTHING)
    assert IndexSettings.resolve(settings.variables()) == settings
    assert "UV_FIND_LINKS" not in settings.without_find_links().variables()


@pytest.mark.parametrize(
    ("version", "offered"), [("2.13.0+cpu", True), ("2.13.0", False), ("2.1", False), ("2.13.0+cpu.1", False)]
)
def test_offers_exactly_that_version(tmp_path: Path, version: str, offered: bool) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    for place in (str(tmp_path), tmp_path.as_uri()):
        assert IndexSettings(find_links=(place,)).offers("torch", version) is offered


def test_offers_under_the_name_wheels_have(tmp_path: Path) -> None:
    (tmp_path / "onnx_tf-1.0-py3-none-any.whl").touch()
    assert IndexSettings(find_links=("/nowhere", str(tmp_path))).offers("onnx-tf", "1.0")


def test_a_page_is_taken_on_trust_and_nothing_offers_nothing() -> None:
    assert IndexSettings(find_links=("https://host/page",)).offers("torch", "1")
    assert not IndexSettings().offers("torch", "1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://anna:s3cret@host/simple now", "at https://***@host/simple now"),
        ("https://token@host/x", "https://***@host/x"),
        ("git+ssh://git:pw@host/x", "git+ssh://***@host/x"),
        ("https://host/x?token=abc&y=1", "https://host/x?token=***&y=1"),
        ("https://host/x?y=1&SIGNATURE=abc", "https://host/x?y=1&SIGNATURE=***"),
        ("https://host/simple/torch@latest", "https://host/simple/torch@latest"),
        ("mail me@host", "mail me@host"),
        ("File '/home/anna/x/y.py'", "File '~/x/y.py'"),
    ],
)
def test_redact(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert redact(text) == shown


def test_a_home_that_is_the_root_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert redact("/usr/lib") == "/usr/lib"
