"""Releases and incidents from the pages of the real package index, and locks resolved by uv."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from packaging.version import Version

from matrix.answers.drift.incidents import Incident, incidents
from matrix.environments.locks.request import Request
from matrix.environments.locks.resolve import resolve
from matrix.packages.index import IndexSettings, PackageUnknown, Releases, UploadDates, usable
from matrix.packages.lock import Lock

SETTINGS = IndexSettings.resolve().without_find_links()
DAY = dt.date(2025, 6, 1)

ANY_ONNX_TF = Request(
    name="any-onnx-tf",
    role="converter",
    pinned=(),
    requirements=("onnx-tf",),
    python="3.12",
    as_of=DAY,
    pythons=("3.12",),
    margin_days=14,
    replace=(),
    wheels_only=(),
    find_links=False,
)


@pytest.fixture(scope="module")
def releases() -> Releases:
    return Releases(SETTINGS)


def found_in(request: Request, releases: Releases, previous: Lock | None = None) -> tuple[Lock, tuple[Incident, ...]]:
    lock = resolve(request, SETTINGS, UploadDates(SETTINGS, releases))
    assert lock.outcome == "resolved", lock.explanation
    return lock, incidents(lock, request, releases.of_all(lock.packages), previous, SETTINGS.elsewhere)


def test_dates_of_the_releases_that_broke_most(releases: Releases) -> None:
    dates = UploadDates(SETTINGS, releases)
    assert dates.of("protobuf")[Version("4.21.0")] == dt.date(2022, 5, 26)
    assert dates.of("numpy")[Version("2.0.0")] == dt.date(2024, 6, 16)
    assert releases.dated("numpy").dated
    with pytest.raises(PackageUnknown):
        dates.of("no-such-package-of-torch-tf-matrix")


def test_files_have_their_tags_pythons_and_hashes(releases: Releases) -> None:
    files = releases.of("numpy").versions[Version("2.0.0")]
    assert [file.kind for file in files].count("sdist") == 1
    assert all(file.sha256 and len(file.sha256) == 64 and file.requires_python == ">=3.9" for file in files)
    pythons = [python for python in ("3.8", "3.9", "3.12", "3.13") if any(usable(file, python) for file in files)]
    assert pythons == ["3.9", "3.12"]


def test_a_release_that_was_yanked(releases: Releases) -> None:
    package = releases.of("tensorflow-probability")
    assert package.yanked(Version("0.20.0")) and not package.yanked(Version("0.20.1"))
    assert "3.8+" in package.yanked_reason(Version("0.20.0"))


def test_asked_for_any_onnx_tf_on_python_3_12_got_1_6_0(releases: Releases) -> None:
    lock, found = found_in(ANY_ONNX_TF, releases)
    assert lock.packages["onnx-tf"] == "1.6.0"
    (passed_over,) = (incident for incident in found if incident.package == "onnx-tf")
    assert passed_over == Incident(
        "downgrade",
        "onnx-tf",
        "1.6.0",
        "asked for any onnx-tf, got 1.6.0; 1.10.0 exists: it has a wheel for Python 3.12, so its dependencies "
        "conflict with the rest of the row",
        dt.date(2022, 3, 17),
    )


def test_a_lock_that_pins_a_yanked_release_and_went_down_for_it(releases: Releases) -> None:
    pin = (("tensorflow-probability", "0.20.0"),)
    asked = replace(
        ANY_ONNX_TF, pinned=pin, requirements=("tensorflow-probability==0.20.0",), python="3.9", pythons=("3.9",)
    )
    yanked, found = found_in(asked, releases)
    assert [(incident.kind, incident.package) for incident in found if incident.kind == "yanked"] == [
        ("yanked", "tensorflow-probability")
    ]
    assert "TFP 0.20 should require Python 3.8+" in found[0].text and "the row pins it" in found[0].text

    older = replace(asked, pinned=(), requirements=("tensorflow-probability<0.20.1",))
    lock, found = found_in(older, releases, previous=yanked)
    assert lock.packages["tensorflow-probability"] == "0.19.0"
    (lowered,) = (i for i in found if i.kind == "downgrade" and i.package == "tensorflow-probability")
    assert lowered.text.startswith(
        "tensorflow-probability was downgraded from 0.20.0 to 0.19.0: 0.20.0 was yanked (TFP 0.20"
    )


def test_no_file_of_a_fresh_lock_is_gone(releases: Releases) -> None:
    asked = replace(ANY_ONNX_TF, requirements=("numpy>=1.26", "protobuf<4"), python="3.9", pythons=("3.9",))
    lock, found = found_in(asked, releases)
    assert [(incident.kind, incident.text) for incident in found] == [
        ("downgrade", "asked for numpy>=1.26, got 2.0.2; 2.2.6 exists: it needs Python >=3.10, the row has 3.9")
    ]
    page = releases.of("numpy")
    deleted = page.versions[Version(lock.packages["numpy"])][0]
    less = replace(
        page,
        files=tuple(file for file in page.files if file != deleted),
        hashes=page.hashes - {deleted.sha256 or ""},
    )
    without = releases.of_all(lock.packages) | {"numpy": less}
    assert "file-gone" in [incident.kind for incident in incidents(lock, asked, without)]
