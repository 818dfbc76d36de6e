"""New releases as rows: which are news, what they say of themselves, what is proposed, and the table with it."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import small
from packaging.version import Version

from matrix.answers.releases import report
from matrix.answers.releases.additions import Additions, additions, changed_table, noted
from matrix.answers.releases.facts import onnx_release, torch_opsets
from matrix.answers.releases.releases import news
from matrix.answers.releases.survey import TRIES, Survey, gist, survey
from matrix.answers.releases.wheels import Wheels
from matrix.core.errors import ConfigError, Indeterminate
from matrix.environments.locks.request import Request
from matrix.packages.index import IndexSettings, Package, PackageUnknown
from matrix.packages.index.package import parse_page
from matrix.packages.lock import Lock
from matrix.table import Config
from matrix.table.editing import difference
from matrix.table.model import ConverterRow, OnnxRelease, TorchRelease
from matrix.table.source import parse_source, read_source

TODAY = dt.date(2026, 11, 26)
EARLY = "2026-06-01"
WHEEL = "cp39-cp39-manylinux2014_x86_64"


def listed(name: str, *releases: tuple[str, ...] | str, day: str = EARLY) -> Package:
    """A package with a wheel for each version; `(version, tag, day, yanked)` says more of one."""
    files = []
    for release in releases:
        version, tag, uploaded, yanked = (*((release,) if isinstance(release, str) else release), "", "", "")[:4]
        stem = f"{name.replace('-', '_')}-{version}"
        files.append(
            {
                "filename": f"{stem}.tar.gz" if tag == "source" else f"{stem}-{tag or WHEEL}.whl",
                "upload-time": f"{uploaded or day}T12:00:00Z",
                "yanked": yanked or False,
            }
        )
    return parse_page(name, {"files": files})


def found(package: Package, known: str = "2.8.0", **more: Any) -> tuple[list[str], dict[str, str]]:
    new, left = news([Version("1.15.0"), Version(known)], more.pop("noted", ()), package, ("3.9", "3.8"), TODAY, **more)
    return [str(release.version) for release in new], {str(item.version): item.why for item in left}


# --- which releases are news ------------------------------------------------------------------------------------------


def test_the_newest_of_every_minor_after_the_tables_newest() -> None:
    package = listed("tensorflow", "2.7.4", "2.8.0", "2.9.0", "2.9.3", "2.9.1", "2.10.1", "2.10.0", "1.15.5")
    assert found(package) == (["2.9.3", "2.10.1"], {})


def test_a_newer_patch_of_the_newest_minor_is_news() -> None:
    assert found(listed("tensorflow", "2.8.0", "2.8.1", "2.8.2", "2.8.3rc0")) == (["2.8.2"], {})


def test_nothing_is_newer() -> None:
    assert found(listed("tensorflow", "2.8.0", "2.7.9", "2.8.1rc1")) == ([], {})


def test_what_is_left_out_says_why_and_the_one_before_it_is_taken() -> None:
    package = listed(
        "tensorflow",
        "2.9.0",
        ("2.9.1", WHEEL, EARLY, "wrong\n build"),
        ("2.9.2", "cp314-cp314-manylinux2014_x86_64"),
        ("2.9.3", "source"),
        ("2.9.4", "cp39-cp39-win_amd64"),
        ("2.9.5", WHEEL, TODAY.isoformat()),
        "2.9.6rc1",
        "2.10.0rc1",
        "2.10.0rc2",
    )
    assert found(package) == (
        ["2.9.0"],
        {
            "2.9.1": "yanked: wrong build",
            "2.9.2": "no wheel for Linux x86-64 and a Python of the table (wheels for cp314)",
            "2.9.3": "no wheel for Linux x86-64 and a Python of the table (no wheels at all)",
            "2.9.4": "no wheel for Linux x86-64 and a Python of the table (wheels for cp39)",
            "2.9.5": "uploaded today; it can be locked from tomorrow on",
            "2.10.0rc2": "a pre-release",
        },
    )


def test_a_wheel_of_what_is_installed_in_its_place_counts() -> None:
    package = listed("tensorflow", ("2.9.0", "cp314-cp314-win_amd64"))
    assert found(package)[0] == []
    assert found(package, substitute=listed("tensorflow-cpu", "2.9.0"))[0] == ["2.9.0"]
    assert found(package, substitute=listed("tensorflow-cpu", "2.9.1"))[0] == []


def test_what_was_looked_at_in_vain_is_no_news_nor_is_an_older_patch() -> None:
    package = listed("tensorflow", "2.9.0", "2.9.1", "2.10.0")
    assert found(package, noted=[Version("2.9.1")]) == (["2.10.0"], {})
    # A patch release after that is.
    assert found(listed("tensorflow", "2.9.1", "2.9.2"), noted=[Version("2.9.1")]) == (["2.9.2"], {})


# --- what a release says of itself ------------------------------------------------------------------------------------

HELPER = """
import os
os.abort()
VERSION_TABLE: list[tuple] = [
    ("1.0", 3, 1, 1),
    ("1.22.0", 13, 27, 5, 1),
    ("1.23.0", 14, 28, 5, 1),
]
"""
PROTO = "enum Version {\n  IR_VERSION_2025_11_06 = 0x000000000000000D;\n  IR_VERSION = 0x000000000000000E;\n}"
SCHEMA_H = """
      map_[ONNX_DOMAIN] = std::make_pair(1, 29);
      map_[AI_ONNX_ML_DOMAIN] = std::make_pair(1, 6);
      last_release_version_map_[ONNX_DOMAIN] = 28;
      last_release_version_map_[AI_ONNX_ML_DOMAIN] = 5;
"""
ONNX = {"onnx/helper.py": HELPER, "onnx/onnx.proto": PROTO, "onnx/defs/schema.h": SCHEMA_H}


@pytest.mark.parametrize(
    ("version", "facts"),
    [
        ("1.23.0", (14, 28, 5)),
        ("1.23.2", (14, 28, 5)),
        ("1.22.9", (13, 27, 5)),
        # Not published in its own table yet, as 1.22.0 was not: what it defines.
        ("1.24.0", (14, 29, 6)),
    ],
)
def test_onnx_says_its_numbers_without_being_run(version: str, facts: tuple[int, int, int]) -> None:
    release = onnx_release(Version(version), ONNX)
    assert (release.version, release.ir, release.opset, release.ml_opset) == (version, *facts)


@pytest.mark.parametrize("missing", ["onnx/onnx.proto", "onnx/defs/schema.h"])
def test_an_onnx_that_does_not_say_it(missing: str) -> None:
    with pytest.raises(ValueError, match="does not state its"):
        onnx_release(Version("1.24.0"), {**ONNX, missing: ""})
    with pytest.raises(ValueError, match="cannot be read"):
        onnx_release(Version("1.24.0"), {**ONNX, "onnx/helper.py": "def ("})


CONSTANTS = "ONNX_MIN_OPSET = 7\nONNX_MAX_OPSET = 24\nONNX_TORCHSCRIPT_EXPORTER_MAX_OPSET = 20\nX = open('/x')\n"
TORCH = {
    "torch/onnx/_constants.py": CONSTANTS,
    "torch/onnx/_internal/exporter/_constants.py": "TORCHLIB_OPSET = 18\nTORCHLIB_DOMAIN = 'x'\n",
}


def test_torch_says_its_opsets() -> None:
    assert torch_opsets(TORCH) == ((7, 20), (18, 24))
    one_name = {"torch/onnx/_constants.py": "ONNX_MIN_OPSET = 7\nONNX_MAX_OPSET = 17\n"}
    assert torch_opsets(one_name) == ((7, 17), None)
    with pytest.raises(ValueError, match="does not state its opsets"):
        torch_opsets({"torch/onnx/_constants.py": "ONNX_MIN_OPSET = least()"})


# --- files out of a wheel ---------------------------------------------------------------------------------------------

PAGE = {
    "files": [
        {"filename": "big.whl", "size": 2, "url": "https://files/big.whl"},
        {"filename": "small.whl", "size": 1, "url": "../../small.whl"},
        {"filename": "other.whl", "size": 0, "url": "../../other.whl"},
    ]
}


class Server:
    """In the place of requests: the page of a package and one wheel, in parts or whole."""

    def __init__(self, wheel: bytes, parts: bool) -> None:
        self.wheel = wheel
        self.parts = parts
        self.addresses: list[str] = []
        self.sent = 0

    def get(self, session: Any, url: str, headers: Mapping[str, str], **_: Any) -> requests.Response:
        self.addresses.append(url)
        answer = requests.Response()
        answer.status_code = 200
        body = json.dumps(PAGE).encode() if url.endswith("/onnx/") else self.wheel
        if self.parts and "Range" in headers:
            numbers = re.fullmatch(r"bytes=(\d+)-(\d+)", headers["Range"])
            assert numbers is not None
            answer.status_code = 206
            answer.headers["Content-Range"] = f"bytes {numbers[1]}-{numbers[2]}/{len(body)}"
            body = body[int(numbers[1]) : int(numbers[2]) + 1]
        answer.raw = io.BytesIO(body)
        self.sent += len(body)
        return answer


@contextlib.contextmanager
def served(monkeypatch: pytest.MonkeyPatch, wheel: bytes, parts: bool) -> Iterator[Server]:
    server = Server(wheel, parts)
    monkeypatch.setattr(requests.Session, "get", lambda session, url, **more: server.get(session, url, **more))
    yield server


def zipped(**more: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("onnx/helper.py", "é = 1\n")
        for name, content in more.items():
            archive.writestr(name, content)
    return stream.getvalue()


READ = ("onnx/helper.py", "onnx/absent.py")


@pytest.mark.parametrize("parts", [True, False])
def test_members_of_the_smallest_wheel(monkeypatch: pytest.MonkeyPatch, parts: bool) -> None:
    wheel = zipped(library=bytes(8 << 20), zlast=bytes(1 << 20))
    with served(monkeypatch, wheel, parts) as server:
        settings = IndexSettings("https://anna:secret@host/simple")
        assert Wheels(settings).read("onnx", {"big.whl", "small.whl"}, READ) == {"onnx/helper.py": "é = 1\n"}
    assert set(server.addresses) == {"https://anna:secret@host/simple/onnx/", "https://anna:secret@host/small.whl"}
    # In parts, little of the wheel is fetched.
    assert (server.sent < len(wheel) / 4) is parts


def test_credentials_of_the_index_go_to_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, zipped(), parts=True) as server:
        Wheels(IndexSettings("https://anna:secret@host/simple")).read("onnx", {"big.whl"}, READ)
    assert server.addresses[1] == "https://files/big.whl"


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("wheel", [b"", b"no wheel at all", zipped()[:-30]])
def test_what_is_no_wheel(monkeypatch: pytest.MonkeyPatch, wheel: bytes, parts: bool) -> None:
    with served(monkeypatch, wheel, parts), pytest.raises(Indeterminate, match=r"small\.whl"):
        Wheels(IndexSettings("https://host/simple")).read("onnx", {"small.whl"}, READ)


def test_a_member_too_large_for_a_source_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, zipped(huge=bytes(5 << 20)), parts=True):
        assert Wheels(IndexSettings("https://host/simple")).read("onnx", {"small.whl"}, ("huge",)) == {}


def test_a_page_that_does_not_list_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, zipped(), parts=True), pytest.raises(Indeterminate, match="onnx: the index did not"):
        Wheels(IndexSettings("https://host/simple")).read("onnx", {"gone.whl"}, READ)


# --- a refusal in one line --------------------------------------------------------------------------------------------

EXPLAINED = """\
Python 3.13:
error: No solution found when resolving dependencies
  cause: Because tensorflow-addons==0.23.0 has no wheels with a matching Python ABI tag (e.g., `cp313`) and you require
  tensorflow-addons==0.23.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.13

Python 3.11, 3.10:
  × No solution found when resolving dependencies:
  ╰─▶ Because tensorflow==2.17.1 depends on one of:
             protobuf>=3.20.3,<4.21.0
             protobuf>4.21.0,<4.21.1
             protobuf>4.21.5,<5.0.0.dev0
         and onnx>=1.23.2 depends on protobuf>=6.31.1, we can conclude that onnx>=1.23.2 and tensorflow==2.17.1
         are incompatible.
"""


def test_the_refusal_that_is_about_the_row() -> None:
    assert gist(EXPLAINED) == (
        "Python 3.11, 3.10: tensorflow==2.17.1 depends on one of protobuf>=3.20.3,<4.21.0 … "
        "protobuf>4.21.5,<5.0.0.dev0 and onnx>=1.23.2 depends on protobuf>=6.31.1"
    )


def test_the_first_refusal_where_all_are_about_wheels_and_any_text_at_all() -> None:
    only_wheels = EXPLAINED.partition("\nPython 3.11")[0]
    assert gist(only_wheels).startswith("Python 3.13: tensorflow-addons==0.23.0 has no wheels with a matching Python")
    assert gist("something\n  else") == "something else"
    assert len(gist("x" * 999)) == 240 and "\n" not in gist("Python 3.9:\n" + "a\n" * 400)


# --- what is proposed -------------------------------------------------------------------------------------------------


@dataclass
class Fake:
    """An index with these packages; `refuses` says why a request has no solution, or raises."""

    packages: dict[str, Package]
    refuses: Callable[[Request], str] = lambda request: ""
    files: Mapping[str, str] = field(default_factory=lambda: {**ONNX, **TORCH})
    as_of: dt.date = dt.date(2026, 6, 15)
    asked: list[str] = field(default_factory=list)

    def package(self, name: str) -> Package:
        if name not in self.packages:
            raise PackageUnknown(f"no package {name}")
        return self.packages[name]

    def read(self, name: str, version: Version, members: tuple[str, ...]) -> dict[str, str]:
        return {member: self.files[member] for member in members if member in self.files}

    def lock(self, request: Request) -> Lock:
        self.asked.append(request.name)
        why = self.refuses(request)
        body = "" if why else "".join(f"{name}=={version} \\\n    {small.HASH}\n" for name, version in request.pinned)
        return small.lock(
            request.name,
            request.role,
            request.pythons[0],
            self.as_of.isoformat(),
            body,
            newest_pin=dt.date.fromisoformat(EARLY),
            explanation=why,
        )


KNOWN = {
    "torch": ("2.13.0",),
    "onnx": ("1.5.0", "1.10.0"),
    "onnx-tf": ("1.10.0",),
    "tensorflow": ("2.8.0",),
}


def index(refuses: Callable[[Request], str] = lambda request: "", **new: tuple[str, ...]) -> Fake:
    """What the small table knows, and `new` releases by package."""
    versions = {name: (*known, *new.get(name.replace("-", "_"), ())) for name, known in KNOWN.items()}
    return Fake({name: listed(name, *listing) for name, listing in versions.items()}, refuses)


def look(folder: Path, offered: Fake, text: str = small.SMALL) -> Survey:
    return survey(small.config(folder, text), noted(text), offered, TODAY)


def outcomes(survey: Survey) -> list[tuple[str, str, str]]:
    return [
        (f"{item.package} {item.version}", item.standing, item.row.id if item.row else "") for item in survey.proposals
    ]


def needing(package: str, version: str) -> Callable[[Request], str]:
    """A resolver that has no solution but with this very version."""
    return lambda request: "" if (package, version) in request.pinned else f"wants {package} {version}"


def test_nothing_new(tmp_path: Path) -> None:
    offered = index()
    nothing = look(tmp_path, offered)
    assert (nothing.proposals, nothing.left_out, nothing.unlisted, offered.asked) == ((), (), (), [])
    assert report.text(nothing) == "nothing new as of 2026-11-26"


def test_a_new_tensorflow_takes_the_newest_onnx_that_goes_with_it(tmp_path: Path) -> None:
    offered = index(needing("onnx", "1.5.0"), tensorflow=("2.9.0", "2.9.1"))
    proposals = look(tmp_path, offered)
    assert outcomes(proposals) == [("tensorflow 2.9.1", "lockable", "onnxtf1.10.0-onnx1.5.0-tf2.9.1")]
    assert offered.asked == ["onnxtf1.10.0-onnx1.10-tf2.9.1", "onnxtf1.10.0-onnx1.5.0-tf2.9.1"]
    (proposal,) = proposals.proposals
    assert [(refusal.row.id, refusal.why) for refusal in proposal.refused] == [
        ("onnxtf1.10.0-onnx1.10-tf2.9.1", "wants onnx 1.5.0")
    ]
    assert proposal.row is not None and proposal.row.as_of is None
    assert report.text(proposals).splitlines() == [
        "tensorflow 2.9.1: onnxtf1.10.0-onnx1.5.0-tf2.9.1, lockable: Python 3.9, 4 packages",
        "    not onnxtf1.10.0-onnx1.10-tf2.9.1: wants onnx 1.5.0",
    ]


def test_onnx_is_tried_one_release_a_minor_and_not_for_ever(tmp_path: Path) -> None:
    more = "".join(
        f"  - {{version: {version}, ir: 8, opset: 15, ml_opset: 2}}\n"
        for version in ("1.11.0", "1.11.1", "1.12.0", "1.13.0", "1.14.0", "1.15.0", "1.16.0")
    )
    text = small.changed("torch:\n  -", f"{more}torch:\n  -", small.SMALL)
    offered = index(lambda request: "no", tensorflow=("2.9.0",))
    offered.packages["onnx"] = listed("onnx", "1.16.0")
    assert [item.standing for item in look(tmp_path, offered, text).proposals] == ["unsatisfiable"]
    tried = [re.sub(r".*onnx(1[\d.]*)-tf.*", r"\1", name) for name in offered.asked]
    assert tried == ["1.16.0", "1.15.0", "1.14.0", "1.13.0", "1.12.0", "1.11.1"] and len(tried) == TRIES


def test_a_new_onnx_gets_its_entry_and_a_row_beside_the_newest_tensorflow(tmp_path: Path) -> None:
    proposals = look(tmp_path, index(onnx=("1.24.0",)))
    assert outcomes(proposals) == [("onnx 1.24.0", "lockable", "onnxtf1.10.0-onnx1.24.0-tf2.8.0")]
    assert proposals.proposals[0].facts == OnnxRelease(version="1.24.0", ir=14, opset=29, ml_opset=6)


def test_news_of_several_packages_build_on_each_other(tmp_path: Path) -> None:
    offered = index(onnx=("1.24.0",), tensorflow=("2.9.0", "2.10.0"), onnx_tf=("1.11.0",))
    proposals = look(tmp_path, offered)
    newest = "onnxtf1.11.0-onnx1.24.0-tf2.10.0"
    assert outcomes(proposals) == [
        ("onnx-tf 1.11.0", "lockable", "onnxtf1.11.0-onnx1.24.0-tf2.8.0"),
        ("tensorflow 2.9.0", "lockable", "onnxtf1.11.0-onnx1.24.0-tf2.9.0"),
        ("tensorflow 2.10.0", "lockable", newest),
        ("onnx 1.24.0", "lockable", newest),
    ]
    assert offered.asked.count(newest) == 1
    assert [row.id for row in additions(proposals).rows].count(newest) == 1


def test_what_cannot_be_locked_is_not_built_upon(tmp_path: Path) -> None:
    refuses = lambda request: "no" if ("onnx-tf", "1.11.0") in request.pinned else ""  # noqa: E731
    proposals = look(tmp_path, index(refuses, onnx_tf=("1.11.0",), tensorflow=("2.9.0",)))
    assert outcomes(proposals) == [
        ("onnx-tf 1.11.0", "unsatisfiable", ""),
        ("tensorflow 2.9.0", "lockable", "onnxtf1.10.0-onnx1.10-tf2.9.0"),
    ]


def test_a_new_torch_gets_its_entry_and_an_exporter(tmp_path: Path) -> None:
    (proposal,) = look(tmp_path, index(torch=("2.14.0", "2.14.1"))).proposals
    assert proposal.facts == TorchRelease(
        version="2.14.1", released=dt.date.fromisoformat(EARLY), opsets=(7, 20), dynamo=(18, 24)
    )
    assert proposal.row is not None
    assert proposal.row.model_dump(exclude_unset=True) == {
        "id": "torch-2.14.1",
        "pins": {"torch": "2.14.1"},
        "via": ("torchscript", "dynamo"),
    }


def test_a_companion_rule_that_contradicts_a_pin_is_a_refusal(tmp_path: Path) -> None:
    text = small.changed(
        "onnx:\n",
        '  - when: {tensorflow: ">=2.8"}\n    add: {onnx: ">=1.10"}\n    why: needs it\nonnx:\n',
    )
    offered = index(lambda request: "no", tensorflow=("2.9.0",))
    (proposal,) = look(tmp_path, offered, text).proposals
    assert [refusal.why for refusal in proposal.refused] == [
        "no",
        "onnxtf1.10.0-onnx1.5.0-tf2.9.0: impossible pin: onnx==1.5.0, a companion rule asks for >=1.10",
    ]
    assert len(offered.asked) == 1


def test_what_cannot_be_judged_is_neither_news_nor_written(tmp_path: Path) -> None:
    def silent(request: Request) -> str:
        raise Indeterminate("the index did not answer")

    proposals = look(tmp_path, index(silent, onnx=("1.24.0",), torch=("2.14.0",)))
    assert [(item.standing, item.undecided) for item in proposals.proposals] == [
        ("undecided", "the index did not answer")
    ] * 2
    assert additions(proposals) == Additions((), (), ())
    assert "onnx 1.24.0: undecided, the index did not answer" in report.text(proposals)


def test_a_release_that_does_not_say_its_opsets_is_not_used(tmp_path: Path) -> None:
    offered = index(onnx=("1.24.0",), torch=("2.14.0",), tensorflow=("2.9.0",))
    offered.files = {}
    proposals = look(tmp_path, offered)
    assert outcomes(proposals) == [
        ("torch 2.14.0", "undecided", ""),
        ("tensorflow 2.9.0", "lockable", "onnxtf1.10.0-onnx1.10-tf2.9.0"),
        ("onnx 1.24.0", "undecided", ""),
    ]


def test_a_package_that_is_not_there_or_has_no_dates_is_said(tmp_path: Path) -> None:
    offered = index(tensorflow=("2.9.0",))
    del offered.packages["onnx-tf"]
    proposals = look(tmp_path, offered)
    assert proposals.unlisted == (("onnx-tf", "no package onnx-tf"),)
    assert [item.package for item in proposals.proposals] == ["tensorflow"]


def test_a_row_whose_own_date_is_to_come_states_the_days(tmp_path: Path) -> None:
    offered = index(tensorflow=("2.9.0",))
    offered.as_of = dt.date(2026, 6, 14)
    (proposal,) = look(tmp_path, offered).proposals
    assert proposal.row is not None and proposal.row.as_of == offered.as_of


# --- into the table ---------------------------------------------------------------------------------------------------


def edited(folder: Path, offered: Fake, text: str = small.SMALL) -> str:
    config = small.config(folder, text)
    added = additions(survey(config, noted(text), offered, TODAY))
    return changed_table(read_source(folder / "matrix.yml"), added)


def new_lines(before: str, after: str) -> list[str]:
    """The lines that came; nothing may have gone."""
    changes = [line for line in difference(before, after, "t").splitlines()[2:] if line[0] in "+-"]
    assert not [line for line in changes if line[0] == "-"]
    return [line[1:] for line in changes]


EVERYTHING = {"onnx": ("1.24.0",), "torch": ("2.14.0",), "tensorflow": ("2.9.0",)}
ROWS = [
    "  - {version: 1.24.0, ir: 14, opset: 29, ml_opset: 6}",
    f"  - {{version: 2.14.0, released: {EARLY}, opsets: [7, 20], dynamo: [18, 24]}}",
    "  - {id: torch-2.14.0, pins: {torch: 2.14.0}, via: [torchscript, dynamo]}",
    "  - {id: onnxtf1.10.0-onnx1.24.0-tf2.9.0, pins: {onnx-tf: 1.10.0, onnx: 1.24.0, tensorflow: 2.9.0}}",
]


def test_rows_come_after_the_last_of_their_section(tmp_path: Path) -> None:
    after = edited(tmp_path, index(**EVERYTHING))
    assert new_lines(small.SMALL, after) == ROWS
    for row, following in zip(ROWS, ["torch:", "exporters:", "reference:", "models:"], strict=True):
        assert f"{row}\n{following}" in after
    assert look(tmp_path, index(**EVERYTHING), after).proposals == ()


def test_comments_between_sections_stay_with_what_they_speak_of(tmp_path: Path) -> None:
    text = small.changed("torch:\n  -", "\n# About torch.\n\n# More.\ntorch:\n  # The old one.\n  -")
    text = small.changed("models:\n  - id: net", "  # To come.\n\nmodels: # mine\n  - id: net", text)
    after = edited(tmp_path, index(**EVERYTHING), text)
    assert new_lines(text, after) == ROWS
    assert f"{ROWS[0]}\n\n# About torch.\n\n# More.\ntorch:" in after
    assert f"{ROWS[3]}\n  # To come.\n\nmodels: # mine" in after


def test_rows_without_companions_stay_last(tmp_path: Path) -> None:
    bare = (
        "\n  # Bare.\n  - {id: bare, pins: {onnx-tf: 1.10.0, tensorflow: 2.11.0}, companions: false}\n"
        "  - {id: barer, pins: {onnx-tf: 1.10.0, tensorflow: 2.8.0}, companions: false}\nmodels:\n  - id: net"
    )
    text = small.changed("models:\n  - id: net", bare)
    after = edited(tmp_path, index(tensorflow=("2.9.0",)), text)
    (row,) = new_lines(text, after)
    assert row.startswith("  - {id: onnxtf1.10.0-onnx1.10-tf2.9.0,") and f"{row}\n\n  # Bare.\n" in after


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_every_other_byte_stays(tmp_path: Path, ending: str) -> None:
    text = small.changed("why: onnx-tf imports it", "why: 'imports   it'   # \u2003 ü\t").replace("\n", ending)
    text = text.removesuffix(ending)
    path = tmp_path / "matrix.yml"
    path.write_bytes(text.encode())
    config = small.load_config(path)
    after = changed_table(read_source(path), additions(survey(config, (), index(**EVERYTHING), TODAY)))
    for row in ROWS:
        assert after.count(f"{row}{ending}") == 1
        after = after.replace(f"{row}{ending}", "")
    assert after == text


def test_the_last_section_of_a_file_without_a_final_newline(tmp_path: Path) -> None:
    head, converters = small.SMALL.split("converters:\n")
    converters, rest = converters.split("models:\n")
    text = f"{head}models:\n{rest}converters:\n{converters}".rstrip("\n")
    after = edited(tmp_path, index(**EVERYTHING), text)
    assert after.endswith(f"\n{ROWS[3]}\n")
    assert after.removesuffix(f"\n{ROWS[3]}\n").endswith(text[-40:])


def test_a_list_in_another_form_is_refused_with_its_place(tmp_path: Path) -> None:
    text = re.sub(r"onnx:\n(  - .*\n  - .*\n)", "onnx: [{version: 1.5.0, ir: 5, opset: 10, ml_opset: 1},\n"
                  "       {version: 1.10, ir: 8, opset: 15, ml_opset: 2}]\n", small.SMALL)  # fmt: skip
    with pytest.raises(ConfigError, match=r"matrix\.yml:12:8: cannot add to `onnx` in this form"):
        edited(tmp_path, index(onnx=("1.24.0",)), text)
    # Nothing to add, nothing to complain of.
    assert edited(tmp_path, index(), text) == text


def test_a_result_that_is_no_valid_table_is_refused_with_its_place(tmp_path: Path) -> None:
    source = parse_source(small.SMALL, tmp_path / "matrix.yml")

    def refused(*rows: ConverterRow) -> str:
        with pytest.raises(ConfigError) as caught:
            changed_table(source, Additions((), rows, ()))
        return str(caught.value)

    pins = {"onnx-tf": "1.10.0", "onnx": "1.99.0", "tensorflow": "2.9.0"}
    assert re.search(r"matrix\.yml:\d+:\d+: impossible pin: onnx 1\.99\.0", refused(ConverterRow(id="x", pins=pins)))
    fine = {**pins, "onnx": "1.10"}
    assert re.search(r"matrix\.yml:\d+:\d+: the id 'new' is taken", refused(ConverterRow(id="new", pins=fine)))
    # A text that YAML would take for something else is quoted.
    after = changed_table(source, Additions((), (ConverterRow(id="x", pins=fine, note="a # b"),), ()))
    assert ', note: "a # b"}\n' in after


def test_a_release_without_a_lock_becomes_a_note_and_is_not_tried_again(tmp_path: Path) -> None:
    offered = index(lambda request: "no\n way", tensorflow=("2.9.0",), onnx=("1.24.0",))
    after = edited(tmp_path, offered)
    assert new_lines(small.SMALL, after) == [
        ROWS[0],
        "  # No lock for tensorflow 2.9.0 with onnx 1.24.0, 1.10, 1.5.0: no way",
        "  # No lock for onnx 1.24.0: no way",
    ]
    assert noted(after) == {("tensorflow", Version("2.9.0")), ("onnx", Version("1.24.0"))}
    again = index(lambda request: "no", tensorflow=("2.9.0",), onnx=("1.24.0",))
    assert look(tmp_path, again, after).proposals == () and again.asked == []


def test_a_refusal_that_may_pass_is_not_noted(tmp_path: Path) -> None:
    offered = index(lambda request: "no", tensorflow=("2.9.0",))
    offered.as_of = dt.date(2026, 6, 14)
    refused = look(tmp_path, offered)
    assert additions(refused) == Additions((), (), ())
    assert report.text(refused).startswith(
        "tensorflow 2.9.0: onnxtf1.10.0-onnx1.5.0-tf2.9.0, unsatisfiable (may change until 2026-06-15): no"
    )


def test_a_note_that_is_none() -> None:
    assert noted("  # No lock for tensorflow soon\n# No lock for x 1.0: y\nwhy: '# No lock for z 1: y'\n") == {
        ("x", Version("1.0"))
    }


def test_the_document_says_all_of_it(tmp_path: Path) -> None:
    text = small.SMALL
    offered = index(needing("onnx", "1.5.0"), tensorflow=("2.9.0", "2.10.0rc1"))
    proposals = look(tmp_path, offered)
    added = additions(proposals)
    diff = difference(text, edited(tmp_path, offered), "matrix.yml")
    found = json.loads(json.dumps(report.document(proposals, added, diff, written=False)))
    (proposal,) = found["proposals"]
    assert (proposal["outcome"], proposal["section"], proposal["python"]) == ("lockable", "converters", "3.9")
    assert proposal["row"]["pins"] == {"onnx-tf": "1.10.0", "onnx": "1.5.0", "tensorflow": "2.9.0"}
    assert proposal["packages"]["tensorflow"] == "2.9.0" and len(proposal["refused"]) == 1
    assert found["left_out"] == [{"package": "tensorflow", "version": "2.10.0rc1", "why": "a pre-release"}]
    assert found["diff"].startswith("--- a/matrix.yml\n+++ b/matrix.yml\n@@") and found["written"] is False
    assert found["rows"] == ["onnxtf1.10.0-onnx1.5.0-tf2.9.0"]


def test_the_real_table_takes_rows_in_every_section(tmp_path: Path) -> None:
    """With comments, notes and rows of every style in it; nothing else of it changes."""
    text = small.TABLE.read_text(encoding="utf-8")
    config: Config = small.load_config(small.TABLE)
    newest = {
        "onnx": config.onnx[-1].version,
        "torch": config.torch[-1].version,
        **{name: max((row.pins[name] for row in config.converters), key=Version) for name in ("onnx-tf", "tensorflow")},
    }
    later = {name: f"{Version(version).major + 1}.0.0" for name, version in newest.items()}
    offered = Fake({name: listed(name, version, later[name]) for name, version in newest.items()})
    proposals = survey(config, noted(text), offered, TODAY)
    assert sorted(outcomes(proposals)) == sorted(
        (f"{name} {version}", "lockable", row)
        for name, version, row in [
            ("torch", later["torch"], f"torch-{later['torch']}"),
            ("onnx-tf", later["onnx-tf"], _row_of(later, tensorflow=newest["tensorflow"])),
            ("tensorflow", later["tensorflow"], _row_of(later)),
            ("onnx", later["onnx"], _row_of(later)),
        ]
    )
    lines = new_lines(text, changed_table(read_source(small.TABLE), additions(proposals)))
    # Two entries for facts, three rows: that of the new onnx is that of the new TensorFlow.
    assert len(lines) == 5 and all(line.startswith("  - {") for line in lines)


def _row_of(versions: Mapping[str, str], **other: str) -> str:
    pins = {**versions, **other}
    return f"onnxtf{pins['onnx-tf']}-onnx{pins['onnx']}-tf{pins['tensorflow']}"
