"""The folder an image is built from: what the build needs, and no more of this machine than that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import small

from matrix.environments.docker.context import CERTIFICATES, INDEX, fill
from matrix.packages import uv
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock

RECIPE = small.ROOT / "docker"
LOCK = small.lock("row", body=f"numpy==1.22.0 \\\n    {small.HASH}\ntorch==2.13.0+cpu \\\n    {small.HASH}\n")


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uv"
    program.write_text("not really")
    monkeypatch.setattr(uv, "binary", lambda: str(program))
    for name in [name for name in os.environ if name.startswith("UV_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def filled(tmp_path: Path, settings: IndexSettings, lock: Lock = LOCK) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    fill(folder, RECIPE, lock, [lock], settings)
    return folder


def variables(folder: Path) -> dict[str, str]:
    """As the shell of a build reads them."""
    command = f'set -a; . "{folder / INDEX}"; env -0'
    out = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, check=True).stdout
    found = dict(entry.split("=", 1) for entry in out.decode().split("\0") if entry)
    return {name: value for name, value in found.items() if name not in ("PWD", "OLDPWD", "_", "SHLVL")}


def test_everything_the_dockerfiles_ask_for_is_there(tmp_path: Path) -> None:
    folder = filled(tmp_path, IndexSettings())
    assert (folder / "packages.txt").read_text() == LOCK.text()
    assert "torch==2.13.0+cpu" in (folder / "shared.txt").read_text()
    assert (folder / "uv").read_text() == "not really"
    for name in ("Dockerfile", "Dockerfile.classic", "install.sh", "compile.py"):
        assert (folder / name).read_bytes() == (RECIPE / name).read_bytes()
    # A builder refuses to copy what does not exist.
    assert (folder / CERTIFICATES).read_bytes() == b"" and any((folder / "wheels").iterdir())
    assert variables(folder) == {"UV_DEFAULT_INDEX": IndexSettings().index}


def test_an_address_arrives_as_it_is_whatever_is_in_it(tmp_path: Path) -> None:
    index = "https://me:p'w$(touch x) `y`@host/simple?a=b&c"
    folder = filled(tmp_path, IndexSettings(index=index, extra=("https://one/simple", "https://two/simple")))
    assert variables(folder) == {"UV_DEFAULT_INDEX": index, "UV_INDEX": "https://one/simple https://two/simple"}
    assert [path.name for path in folder.rglob("*") if path.is_file() and b"p'w" in path.read_bytes()] == []
    assert not list(tmp_path.rglob("x"))


def test_credentials_are_in_no_other_file(tmp_path: Path) -> None:
    folder = filled(tmp_path, IndexSettings(index="https://me:s3cret@host/simple"))
    assert [path.name for path in folder.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()] == [INDEX]


def test_certificates_go_along_as_a_file_not_as_a_path(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----")
    folder = filled(tmp_path, IndexSettings(certificates=str(bundle)))
    assert (folder / CERTIFICATES).read_text() == bundle.read_text()
    assert str(bundle) not in (folder / INDEX).read_text()


def test_certificates_that_are_not_there_are_none(tmp_path: Path) -> None:
    folder = filled(tmp_path, IndexSettings(certificates=str(tmp_path / "gone.pem")))
    assert (folder / CERTIFICATES).read_bytes() == b""


def test_what_reaches_the_index_goes_along_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "90")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("UV_CACHE_DIR", "/home/anna/cache")
    folder = filled(tmp_path, IndexSettings())
    assert variables(folder).keys() == {"UV_DEFAULT_INDEX", "UV_HTTP_TIMEOUT", "HTTPS_PROXY"}


WHEELS = (
    "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
    "numpy-1.22.0-cp38-cp38-manylinux_2_17_x86_64.whl",
    "torch-2.12.0+cpu-cp311-cp311-linux_x86_64.whl",
    "something-1.0-py3-none-any.whl",
    "no wheel.whl",
)


def test_only_the_lock_s_own_wheels_of_a_folder_go_along(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for name in WHEELS:
        (links / name).write_text(name)
    places = (f"file://{links}", "https://host/wheels/")
    folder = filled(tmp_path, IndexSettings(find_links=places))
    assert {path.name for path in (folder / "wheels").glob("*.whl")} == set(WHEELS[:2])
    assert (folder / "wheels" / WHEELS[0]).read_text() == WHEELS[0]
    assert variables(folder)["UV_FIND_LINKS"] == "https://host/wheels/", "a folder of this machine is none of a build's"


def test_a_lock_made_without_the_users_wheels_gets_none(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / WHEELS[0]).write_text("x")
    lock = small.lock("row", body=LOCK.body, find_links=False)
    folder = filled(tmp_path, IndexSettings(find_links=(str(links), "https://host/wheels/")), lock)
    assert not list((folder / "wheels").glob("*.whl"))
    assert "UV_FIND_LINKS" not in variables(folder)
