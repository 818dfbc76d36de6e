"""What a page of the index says of a package: files, tags, Pythons, upload times, yanks. And pages that say nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from packaging.version import Version

from matrix.core.errors import Indeterminate
from matrix.environments.locks.resolve import PLATFORM
from matrix.packages.index import (
    DatesUnknown,
    IndexSettings,
    Package,
    PackageUnknown,
    PageUnreadable,
    ReleasedFile,
    Releases,
    UploadDates,
    usable,
)
from matrix.packages.index.package import parse_page, wheel_tags

SETTINGS = IndexSettings("https://anna:s3cret@host/simple/")
V = Version


def item(filename: str, **more: Any) -> dict[str, Any]:
    return {
        "filename": filename,
        "hashes": {"sha256": filename},
        "url": "…",
        **{k.replace("_", "-"): more[k] for k in more},
    }


def page(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"meta": {"api-version": "1.1"}, "files": list(items)}


def parsed(*items: Mapping[str, Any]) -> Package:
    return parse_page("Lib.A", page(*items))


def wheel(tags: str, **more: Any) -> ReleasedFile:
    return parsed(item(f"lib_a-1.0-{tags}.whl", **more)).files[0]


def test_all_attributes_of_every_file() -> None:
    found = parsed(
        item(
            "lib_a-1.0-cp39-cp39-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            requires_python=">=3.8",
            upload_time="2022-02-01T23:30:00.5-02:00",
            yanked="does not import",
            size=7,
        ),
        item("lib-a-1.0.tar.gz", upload_time="2022-02-01T10:00:00Z", requires_python=None, yanked=False),
    )
    assert found.name == "lib-a"
    binary, source = found.files
    assert (binary.kind, source.kind) == ("wheel", "sdist")
    assert binary.version == source.version == V("1.0")
    assert {tag.platform for tag in binary.tags} == {"manylinux2014_x86_64", "manylinux_2_17_x86_64"}
    assert source.tags == frozenset()
    assert (binary.url, binary.size, source.size) == ("…", 7, 0)
    assert (binary.requires_python, source.requires_python) == (">=3.8", None)
    assert binary.uploaded == dt.datetime(2022, 2, 2, 1, 30, 0, 500000, dt.UTC)
    assert (binary.yanked, binary.yanked_reason) == (True, "does not import")
    assert (source.yanked, source.yanked_reason) == (False, "")
    assert source.sha256 == "lib-a-1.0.tar.gz"
    assert found.first_uploads == {V("1.0"): dt.date(2022, 2, 1)}
    assert not found.yanked(V("1.0")), "one file of it is left"


def test_what_is_neither_wheel_nor_source_is_no_file_but_its_hash_is_on_the_index() -> None:
    found = parsed(item("lib_a-1.0-py3.6.egg"), item("lib_a-1.0.win32.exe"), item("nonsense.whl"), {"filename": "x"})
    assert found.files == ()
    assert found.hashes == {"lib_a-1.0-py3.6.egg", "lib_a-1.0.win32.exe", "nonsense.whl"}


@pytest.mark.parametrize(
    ("said", "yanked", "reason"),
    [(False, False, ""), (None, False, ""), (True, True, ""), ("", True, ""), ("broken", True, "broken")],
)
def test_yanked_with_or_without_a_reason(said: object, yanked: bool, reason: str) -> None:
    found = parsed(item("lib-a-2.0.tar.gz", yanked=said))
    assert (found.yanked(V("2.0")), found.yanked_reason(V("2.0"))) == (yanked, reason)
    assert not found.yanked(V("3.0")), "it does not exist"


def test_versions_are_in_their_order_with_all_their_files() -> None:
    found = parsed(
        *(item(f"lib-a-{version}.tar.gz") for version in ("1.10", "1.9", "2.0rc1")), item("lib_a-1.9-py3-none-any.whl")
    )
    assert [str(version) for version in found.versions] == ["1.9", "1.10", "2.0rc1"]
    assert [file.kind for file in found.versions[V("1.9")]] == ["sdist", "wheel"]


@pytest.mark.parametrize("time", [{}, {"upload_time": None}, {"upload_time": ""}, {"upload_time": "yesterday"}])
def test_an_index_without_times_is_seen(time: dict[str, Any]) -> None:
    found = parsed(item("lib-a-1.0.tar.gz", **time), item("lib-a-2.0.tar.gz", **time))
    assert not found.dated
    assert found.first_uploads == {}


def test_times_for_some_files_are_times_and_nothing_uploaded_is_no_lack_of_them() -> None:
    assert parsed(item("lib-a-1.0.tar.gz"), item("lib-a-2.0.tar.gz", upload_time="2022-02-01T10:00:00Z")).dated
    assert parsed().dated


@pytest.mark.parametrize(
    ("requires", "python", "allowed"),
    [
        (None, "3.6", True),
        (">=3.7", "3.6", False),
        (">=3.7.1", "3.7", True),  # of 3.7.0 not, but of those after
        ("<3.12", "3.12", False),
        ("<=3.11", "3.11", True),  # as 3.11.0
        (">=2.7, !=3.0.*, !=3.1.*", "3.1", False),
        (">=3.6.*", "3.6", True),  # against PEP 440, and all over the index
        (">=3.6.*", "3.5", False),
        ("whatever", "3.9", True),
    ],
)
def test_requires_python(requires: str | None, python: str, allowed: bool) -> None:
    assert wheel("py3-none-any", requires_python=requires).allows(python) is allowed


@pytest.mark.parametrize(
    ("tags", "pythons"),
    [
        ("py3-none-any", "3.6 3.9 3.12"),
        ("py2.py3-none-any", "3.6 3.9 3.12"),
        ("py2-none-any", ""),
        ("cp39-cp39-manylinux_2_17_x86_64", "3.9"),
        ("cp36-cp36m-manylinux1_x86_64", "3.6"),
        ("cp36-cp36-manylinux1_x86_64", ""),
        ("cp39-cp39-manylinux2010_x86_64", "3.9"),
        ("cp38-abi3-manylinux2014_x86_64", "3.9 3.12"),
        ("cp312-abi3-manylinux_2_28_x86_64", "3.12"),
        ("cp312-cp312-manylinux_2_34_x86_64", ""),  # a newer glibc than the images have
        ("py3-none-manylinux_2_5_x86_64", "3.6 3.9 3.12"),
        ("cp39-none-manylinux_2_28_x86_64", "3.9"),
        ("cp39-cp39-linux_x86_64", ""),
        ("cp39-cp39-manylinux_2_17_aarch64", ""),
        ("cp39-cp39-musllinux_1_1_x86_64", ""),
        ("cp39-cp39-macosx_11_0_arm64", ""),
        ("pp39-pypy39_pp73-manylinux_2_17_x86_64", ""),
        ("cp313-cp313t-manylinux_2_28_x86_64", ""),
        ("cp27-cp27mu-manylinux1_x86_64", ""),
    ],
)
def test_which_wheels_linux_takes(tags: str, pythons: str) -> None:
    found = wheel(tags)
    assert [python for python in ("3.6", "3.9", "3.12") if usable(found, python)] == pythons.split()


def test_a_wheel_that_refuses_the_python_and_a_source_are_not_usable_wheels() -> None:
    assert not usable(wheel("py3-none-any", requires_python=">=3.10"), "3.9")
    assert not usable(parsed(item("lib-a-1.0.tar.gz")).files[0], "3.9")


def test_wheels_are_for_the_platform_that_uv_resolves_for() -> None:
    arch, libc = PLATFORM.split("-")
    assert f"{libc}_{arch}" in {tag.platform for tag in wheel_tags("3.9")}
    newer = libc.replace("28", "29")
    assert f"{newer}_{arch}" not in {tag.platform for tag in wheel_tags("3.9")}


class Index:
    """In the place of the network."""

    def __init__(self, pages: Mapping[str, object], kind: str = "application/vnd.pypi.simple.v1+json") -> None:
        self.pages = pages
        self.kind = kind
        self.asked: list[str] = []

    def get(self, url: str, headers: Mapping[str, str], timeout: float, verify: object) -> requests.Response:
        assert headers["Accept"] == "application/vnd.pypi.simple.v1+json"
        name = url.removeprefix("https://anna:s3cret@host/simple/").removesuffix("/")
        self.asked.append(name)
        answer = requests.Response()
        answer.url = url
        answer.headers["Content-Type"] = self.kind
        found = self.pages.get(name, 404)
        answer.status_code = found if isinstance(found, int) else 200
        if isinstance(found, bytes):
            answer._content = found
        elif not isinstance(found, int):
            answer._content = json.dumps(found).encode()
        return answer


def served(monkeypatch: pytest.MonkeyPatch, pages: Mapping[str, object], kind: str = "application/json") -> Index:
    index = Index(pages, kind)
    monkeypatch.setattr(requests.Session, "get", lambda session, url, **how: index.get(url, **how))
    return index


DATED = page(item("lib-a-1.0.tar.gz", upload_time="2022-02-01T10:00:00Z"))
UNDATED = page(item("lib-a-1.0.tar.gz"))


def test_a_package_is_asked_for_once_whatever_its_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    index = served(monkeypatch, {"lib-a": DATED})
    releases = Releases(SETTINGS)
    assert releases.of("lib-a") is releases.of("Lib_A")
    dates = UploadDates(SETTINGS, releases)
    assert dates.of("lib-a") == {V("1.0"): dt.date(2022, 2, 1)}
    assert index.asked == ["lib-a"]


def test_an_index_without_dates_gives_none_and_raises_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, {"lib-a": UNDATED, "lib-b": DATED})
    dates, releases = UploadDates(SETTINGS), Releases(SETTINGS)
    assert dates.of("lib-a") == {}
    for needing in (dates.needed, releases.dated):
        with pytest.raises(DatesUnknown, match=r"no upload times for lib-a \(PEP 700\)") as error:
            needing("lib-a")
        assert "https://***@host/simple" in str(error.value) and "s3cret" not in str(error.value)
    assert dates.needed("lib-b") == dates.of("lib-b") == releases.dated("lib-b").first_uploads


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"<!DOCTYPE html><a href='x.whl'>x.whl</a>", "text/html; charset=utf-8", "text/html"),
        (406, "text/html", "text/html"),
        ({"message": "hello"}, "application/json", "application/json"),
        ([1], "application/json", "application/json"),
        ({"files": None}, "application/json", "application/json"),
        (b"", "", "an unknown type"),
    ],
)
def test_a_page_that_is_no_json_of_pep_691(
    monkeypatch: pytest.MonkeyPatch, answer: object, kind: str, said: str
) -> None:
    served(monkeypatch, {"lib-a": answer}, kind)
    with pytest.raises(PageUnreadable, match=f"answers about lib-a with {said} instead of JSON") as error:
        UploadDates(SETTINGS).of("lib-a")
    assert "s3cret" not in str(error.value) and "--index-url" in str(error.value)


def test_no_answer_and_no_such_package_are_two_things(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, {"lib-a": 503})
    with pytest.raises(Indeterminate, match="did not answer about lib-a") as error:
        Releases(SETTINGS).of("lib-a")
    assert type(error.value) is Indeterminate
    with pytest.raises(PackageUnknown, match="has no package lib-b"):
        Releases(SETTINGS).of("lib-b")


def test_several_at_once_and_those_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    index = served(monkeypatch, {"lib-a": DATED, "lib-c": UNDATED})
    found = Releases(SETTINGS).of_all(["lib-a", "Lib_A", "lib-b", "lib-c"])
    assert {name: len(package.files) for name, package in found.items()} == {"lib-a": 1, "lib-b": 0, "lib-c": 1}
    assert sorted(index.asked) == ["lib-a", "lib-b", "lib-c"]
    assert Releases(SETTINGS).of_all([]) == {}


def test_an_index_that_has_nothing_at_all_is_another_index(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, {})
    with pytest.raises(PackageUnknown):
        Releases(SETTINGS).of_all(["lib-a", "lib-b"])


def test_where_files_may_come_from_elsewhere() -> None:
    assert not IndexSettings().elsewhere("torch", "1.0")
    assert IndexSettings(extra=("https://more",)).elsewhere("torch", "1.0")
    assert IndexSettings(find_links=("https://page",)).elsewhere("torch", "1.0")
    assert not IndexSettings(find_links=("/nowhere",)).elsewhere("torch", "1.0")
