"""A separate Docker daemon, to be stopped, killed and deprived of disk space without harm to the machine's own.

It lives in a network namespace of its own, so that its bridge and its firewall rules cannot meet those of another
daemon; where it has to reach the package index, it is plugged into that one's bridge as one of its containers is.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException
from engine import lacking
from product import wait_for

_NEEDED = ("dockerd", "containerd", "unshare", "nsenter", "ip", "iptables", "mkfs.ext4", "mount", "umount")


class OwnEngine:
    """`root` is its data root; everything else is in a temporary folder (a socket's path must be short)."""

    def __init__(self, root: Path, folder: Path, namespace: int) -> None:
        self._root = root
        self._folder = folder
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"unix://{folder}/docker.sock"
        self.env = {"DOCKER_HOST": self.address}

    def start(self) -> docker.DockerClient:
        with (self._folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/proc/{self._namespace}/ns/net", "--"),
                    *("dockerd", "--host", self.address, "--data-root", str(self._root)),
                    *("--exec-root", str(self._folder / "run"), "--pidfile", str(self._folder / "dockerd.pid")),
                    *("--bip", "10.231.77.1/24", "--shutdown-timeout", "5"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, "the test's own engine", 60, self.log)
        return docker.DockerClient(base_url=self.address, timeout=120)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log()
        with contextlib.suppress(DockerException, OSError):
            docker.DockerClient(base_url=self.address).close()  # requests the version
            return True
        return False

    def stop(self) -> None:
        """Stop it as a service manager does: the daemon ends its containers first."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def log(self) -> str:
        return (self._folder / "dockerd.log").read_text(errors="replace")[-5000:]


@contextlib.contextmanager
def own_engine(root: Path) -> Iterator[OwnEngine]:
    """Yield a daemon that is not started. At the end only `root` is left of it. Requires root."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        lacking(f"an engine of the test's own needs root and {', '.join(missing or _NEEDED)}")
    folder = Path(tempfile.mkdtemp(prefix="mx-"))
    holder = subprocess.Popen(["unshare", "--net", "--", "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: _namespace(holder.pid) != _namespace(os.getpid()), "a network namespace", 10)
        _inside(holder.pid, "ip", "link", "set", "lo", "up")
        plug = _plug_in(holder.pid)
        engine = OwnEngine(root, folder, holder.pid)
        try:
            yield engine
        finally:
            engine.stop()
            # Whatever was plugged in goes with the namespace; a moment later it would do so by itself.
            subprocess.run(["ip", "link", "delete", plug], check=False, capture_output=True)
    finally:
        _end_processes(folder)
        holder.kill()
        holder.wait()
        _unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk(megabytes: int, image: Path, place: Path) -> Iterator[Path]:
    """Mount a file system of that size at `place`; it takes only the space in use."""
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    place.mkdir(parents=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lacking(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        _unmount_below(place)
        subprocess.run(["umount", str(place)], check=True)
        image.unlink()


@contextlib.contextmanager
def filled(place: Path, but_for: int = 0) -> Iterator[None]:
    """Fill the space below `place`, except for some megabytes, inside the block."""
    ballast = place / "ballast"
    try:
        with ballast.open("wb") as file:
            free = shutil.disk_usage(place).free - but_for * 2**20
            while free >= 2**20:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                left = shutil.disk_usage(place).free - but_for * 2**20
                free = left if left < free else free // 2
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _inside(pid: int, *command: str) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command], check=True, capture_output=True)


def _plug_in(pid: int) -> str:
    """Connect docker0 with the namespace of a process; return the name of the near end."""
    bridge = "docker0"
    told = subprocess.run(["ip", "-4", "-o", "addr", "show", bridge], capture_output=True, text=True, check=False)
    words = told.stdout.split()
    if "inet" not in words:
        lacking(f"there is no bridge {bridge} that an engine of the test's own could be plugged into")
    gateway = ipaddress.ip_interface(words[words.index("inet") + 1])
    # From the far end: the other daemon gives addresses away from the near one.
    address = gateway.network.broadcast_address - 1 - pid % 200
    plug = f"mx{pid}"
    subprocess.run(["ip", "link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", str(pid)], check=True)
    subprocess.run(["ip", "link", "set", plug, "master", bridge, "up"], check=True)
    _inside(pid, "ip", "addr", "add", f"{address}/{gateway.network.prefixlen}", "dev", "eth0")
    _inside(pid, "ip", "link", "set", "eth0", "up")
    _inside(pid, "ip", "route", "add", "default", "via", str(gateway.ip))
    return plug


def _end_processes(folder: Path) -> None:
    """Return processes left by a daemon that died: those that name its folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(f"{folder}/" in word for word in process.cmdline()):
                process.kill()


def _unmount_below(folder: Path) -> None:
    """Return mounts left by a killed daemon, innermost first."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
