"""A job can do nothing in its container but its work: checked from outside by the engine's settings, and from inside by
models that try to escape (tests/zoo/escapes.py)."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from engine import containers, environment_image, mark, running
from product import Finished, Project, wait_for
from tables import EXPORTER, ROOT, ZOO, small_model, write_table

MEMORY_MB = 2048
MATCH = {"verdict": "match", "role": None, "stage": None, "reason": None}


class Outside:
    """Things outside a job: a host folder with a secret, and a port that records callers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        # World-writable: the container must keep the job out, not the folder's permissions.
        self.folder.chmod(0o777)
        self.secret = "a secret of the host"
        for name in ("secret", "export.json", "export.log", "torch.npz", "model.onnx"):
            (self.folder / name).write_text(self.secret)
            (self.folder / name).chmod(0o666)
        self.calls = 0
        self._server = socket.create_server(("0.0.0.0", 0))
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.close()
            self.calls += 1

    def close(self) -> None:
        self._server.close()

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def assert_untouched(self) -> None:
        assert self.names() == {"secret", "export.json", "export.log", "torch.npz", "model.onnx"}
        assert {path.read_text() for path in self.folder.iterdir()} == {self.secret}
        assert self.calls == 0

    def factory_file(self, folder: Path) -> Path:
        """Copy the zoo's file, with these places filled in."""
        addresses = [address.address for links in psutil.net_if_addrs().values() for address in links
                     if address.family == socket.AF_INET]  # fmt: skip
        text = (ZOO / "escapes.py").read_text(encoding="utf-8")
        for name, value in (
            ("OUTSIDE", str(self.folder)),
            ("PORT", self._server.getsockname()[1]),
            ("ADDRESSES", addresses),
        ):
            text, found = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", text, flags=re.MULTILINE)
            assert found == 1
        path = folder / "escapes.py"
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    outside = Outside(tmp_path / "outside")
    yield outside
    outside.close()


def model(name: str, seed: int = 0) -> dict[str, Any]:
    return {**small_model(name, seed=seed), "factory": f"escapes.py:{name}"}


def tried(project: Project, outside: Outside, *names: str) -> Finished:
    """Run models of escapes.py, and a good one beside them."""
    write_table(project.folder, [*(model(name) for name in names), model("good", seed=1)])
    outside.factory_file(project.folder)
    return project.run("--memory", str(MEMORY_MB))


def findings(done: Finished) -> dict[str, dict[str, Any]]:
    return {cell["model"]: {key: cell[key] for key in MATCH} for cell in done.cells}


def messages(project: Project) -> str:
    """Return the error messages of the exporters' jobs."""
    return "\n".join(
        str(one["result"] and one["result"]["error"] and one["result"]["error"]["message"])
        for payload in project.payloads("export")
        for one in payload["passes"]
    )


def test_the_engine_shows_every_restriction_of_a_running_job(caged: Project, engine: docker.DockerClient) -> None:
    write_table(caged.folder, [small_model("hang", "hang")])
    with caged.started("run", "--memory", str(MEMORY_MB)) as driver:
        wait_for(lambda: bool(running(engine, caged)) or driver.poll() is not None, "the job's container")
        (container,) = running(engine, caged)
        seen = engine.api.inspect_container(container.id)
    host, config = seen["HostConfig"], seen["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert list(host["Tmpfs"]) == ["/tmp"]
    assert {"noexec", "nosuid", "nodev", "size=1g"} <= set(host["Tmpfs"]["/tmp"].split(","))
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["Privileged"] is False
    assert [option.split(":")[0].split("=")[0] for option in host["SecurityOpt"]] == ["no-new-privileges"]
    assert host["Init"] is True
    assert (host["Memory"], host["MemorySwap"]) == (MEMORY_MB * 2**20,) * 2
    assert host["OomKillDisable"] is not True
    assert 0 < host["PidsLimit"] <= max(512, 256 * (psutil.cpu_count() or 1))
    assert 0 < host["NanoCpus"] <= (psutil.cpu_count() or 1) * 10**9
    limits = {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}
    assert (limits["core"], limits["fsize"]) == (0, 8 * 2**30)
    assert not any(
        host[name] for name in ("PidMode", "UTSMode", "UsernsMode", "Devices", "PortBindings", "VolumesFrom")
    )
    assert host["IpcMode"] == "private"
    assert host["LogConfig"]["Config"]["max-size"] == "1m"
    assert config["User"] not in ("", "0", "root") and not config["User"].startswith("0:")
    assert {(mount["Type"], mount["Destination"], mount["RW"]) for mount in seen["Mounts"]} == {
        ("bind", "/matrix/inbox", False),
        ("bind", "/matrix/outbox", True),
        ("bind", "/matrix/converter", False),
        ("bind", "/matrix/job.sh", False),
    }
    assert config["Labels"]["torch-tf-matrix"] == "job"
    assert config["Labels"]["torch-tf-matrix.state"] == mark(caged)
    assert config["Labels"]["torch-tf-matrix.row"] == EXPORTER


def test_every_door_is_shut(caged: Project, engine: docker.DockerClient, outside: Outside, tmp_path: Path) -> None:
    code = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (ROOT / "converter").rglob("*.py")}

    done = tried(caged, outside, "try_every_door", "checkpoint_against_everything")

    assert findings(done) == dict.fromkeys(("try_every_door", "checkpoint_against_everything", "good"), MATCH), (
        f"{messages(caged)}\n{done.err}"
    )
    outside.assert_untouched()
    assert code == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (ROOT / "converter").rglob("*.py")}
    assert not list((ROOT / "converter").rglob("*planted*")) and not list((ROOT / "converter").rglob("*unpickled*"))
    assert set(without_a_cage(engine, outside, tmp_path)) == everything(), "these prove nothing: they are always shut"


def everything() -> set[str]:
    """The names of all doors."""
    text = (ZOO / "escapes.py").read_text(encoding="utf-8")
    return set(re.findall(r'^    "(.*?)": ', text.split("DOORS = {")[1].split("\n}")[0], flags=re.MULTILINE))


def without_a_cage(engine: docker.DockerClient, outside: Outside, folder: Path) -> list[str]:
    """Return the doors that the same code finds open in the same image without restrictions."""
    matrix = folder / "matrix"
    for name in ("inbox", "converter"):
        (matrix / name).mkdir(parents=True)
    (matrix / "inbox" / "inputs.npz").touch()
    (matrix / "job.sh").touch()
    outside.factory_file(matrix)
    container = engine.containers.create(
        environment_image(EXPORTER, folder),
        ["/opt/env/bin/python", "-c", "import escapes, json; print(json.dumps(escapes.open_doors()))"],
        user="0:0",
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        working_dir="/matrix",
        network_mode="host",
        cap_add=["SYS_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        volumes={
            str(matrix): {"bind": "/matrix", "mode": "rw"},
            str(outside.folder): {"bind": str(outside.folder), "mode": "rw"},
        },
    )
    try:
        container.start()
        container.wait(timeout=120)
        found = json.loads(container.logs(stderr=False))
    finally:
        container.remove(force=True)
    assert isinstance(found, list)
    return found


def test_a_checkpoint_does_as_it_likes_where_there_is_no_cage(project: Project, outside: Outside) -> None:
    done = tried(project, outside, "checkpoint_against_the_host")
    assert findings(done)["checkpoint_against_the_host"]["verdict"] == "error"
    assert "unpickled" in outside.names() and outside.calls > 0


def test_who_takes_too_much_is_stopped_and_alone_is_harmed(
    caged: Project, engine: docker.DockerClient, outside: Outside
) -> None:
    least = [psutil.virtual_memory().available]
    most = [len(psutil.pids())]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            least.append(psutil.virtual_memory().available)
            most.append(len(psutil.pids()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = tried(
            caged,
            outside,
            "ten_thousand_processes",
            "sixty_four_gigabytes",
            "sixty_four_gigabytes_in_a_child",
            "ten_gigabyte_file",
        )
    finally:
        over.set()
        watcher.join()
    error = {"verdict": "error", "role": "exporter", "stage": "forward", "reason": "forward-failed"}
    oom = {"verdict": "oom", "role": "exporter", "stage": "forward", "reason": "memory-limit"}
    assert findings(done) == {
        "ten_thousand_processes": error,
        "sixty_four_gigabytes": oom,
        "sixty_four_gigabytes_in_a_child": oom,
        "ten_gigabyte_file": error,
        "good": MATCH,
    }, f"{messages(caged)}\n{done.err}"
    said = messages(caged)
    assert "Resource temporarily unavailable" in said
    assert "File too large" in said
    assert done.code == 0, "these are findings"
    assert min(least) > least[0] - 3 * MEMORY_MB * 2**20, "the host's memory was taken"
    assert max(most) < most[0] + 2000, "the host was full of processes"
    assert not containers(engine, caged)
    caged.assert_no_process_left()


def test_links_lead_nowhere(caged: Project, outside: Outside) -> None:
    tricks = ("linked_result", "linked_log_and_arrays", "linked_folder")

    done = tried(caged, outside, *tricks)

    found = findings(done)
    assert found.pop("good") == MATCH
    assert {name: found[name]["verdict"] for name in tricks} == dict.fromkeys(tricks, "error"), done.err
    outside.assert_untouched()
    for path in (caged.state / "blobs").rglob("*"):
        assert not path.is_symlink()
        assert not path.is_file() or outside.secret.encode() not in path.read_bytes()
    assert outside.secret not in str(caged.rows("select payload from observation"))
    caged.assert_history_whole()
