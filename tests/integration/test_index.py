"""A missing package index says nothing about a toolchain, and known findings need no index."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import Finished, Project
from tables import EXPORTER, TF1, TF2, small_model, write_table

NOWHERE = "http://127.0.0.1:9/simple"


class Overloaded(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def overloaded_index() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Overloaded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


def assert_all_infra(done: Finished, cells: int) -> None:
    assert [(cell["verdict"], cell["stage"]) for cell in done.cells] == [("infra", "build")] * cells, done.err
    assert all(cell["indeterminate"] for cell in done.cells)
    assert done.code == 7
    assert done.jobs == (0, 0)


@pytest.mark.parametrize("kind", ["unreachable", "overloaded"])
def test_without_an_index_every_cell_is_infra_and_none_is_remembered(
    lonely: Project, tmp_path: Path, kind: str
) -> None:
    write_table(lonely.folder, [small_model("good")], (TF1, TF2))
    empty = {"UV_CACHE_DIR": str(tmp_path / "empty"), "UV_FIND_LINKS": None, "PIP_FIND_LINKS": None}
    with contextlib.nullcontext(NOWHERE) if kind == "unreachable" else overloaded_index() as index:
        done = lonely.run("--index-url", index, env=empty)
    assert_all_infra(done, cells=2)
    assert lonely.rows("select count(*) from observation where finding") == [(0,)]
    assert not lonely.stamps()


def test_what_is_known_is_served_without_an_index(smoke: Finished, real: Project, tmp_path: Path) -> None:
    empty = {"UV_CACHE_DIR": str(tmp_path / "empty")}
    done = real.run("--tier", "smoke", "--index-url", NOWHERE, env=empty)
    assert done.jobs == (0, sum(smoke.jobs))
    assert done.code == smoke.code


def test_built_environments_work_without_an_index(smoke: Finished, project: Project, tmp_path: Path) -> None:
    write_table(project.folder, [small_model("good")], (TF1,))
    done = project.run("--index-url", NOWHERE, env={"UV_CACHE_DIR": str(tmp_path / "empty")})
    assert [cell["verdict"] for cell in done.cells] == ["match"], done.err
    assert done.code == 0
    assert done.jobs == (3, 0)


def test_half_of_a_run_without_an_index_is_finished_by_the_next(lonely: Project, tmp_path: Path) -> None:
    """The exporter's environment exists; the others cannot be built."""
    write_table(lonely.folder, [small_model("good")], (TF1,))
    built = lonely.call("build", "--only", f"exporter={EXPORTER}")
    assert built.code == 0, built.err
    for name in ("reference", TF1):
        lonely.remove_environment(name)

    done = lonely.run("--index-url", NOWHERE, env={"UV_CACHE_DIR": str(tmp_path / "empty")})
    assert [(c["verdict"], c["role"], c["stage"]) for c in done.cells] == [("infra", "converter", "build")], done.err
    assert done.code == 7
    assert done.jobs == (1, 0)

    done = lonely.run()
    assert [cell["verdict"] for cell in done.cells] == ["match"], done.err
    assert done.jobs == (2, 1)


def test_nothing_is_locked_without_an_index(project: Project, tmp_path: Path) -> None:
    table = write_table(project.folder, [small_model("good")], (TF1,))
    before = sorted(path.read_bytes() for path in (table.parent / "envs").iterdir())
    pins = ("--with", "onnx==1.4.0", "--tier", "full", "--only", f"exporter={EXPORTER}")
    done = project.run(*pins, "--index-url", NOWHERE, env={"UV_CACHE_DIR": str(tmp_path / "empty")})
    assert done.code == 7
    assert "index" in done.err
    assert done.out == ""
    assert sorted(path.read_bytes() for path in (table.parent / "envs").iterdir()) == before
