"""Models that try to get out of their job, or to take the machine with them.

A test makes a factory file of this one in which the constants below name real places. What each model must come out as
stands in the tests; all take one image, float32 1 x 3 x 16 x 16, and return its features. This file runs inside
exporter environments, on any Python they have.
"""

import ctypes
import io
import os
import pickle
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

# A folder of the host with a file `secret` in it, and a port the test listens on.
OUTSIDE = "/nowhere"
PORT = 9
ADDRESSES = ("127.0.0.1",)

MEGABYTE = 2**20


class Acting(nn.Module):
    """Does something when it is run, and something when the worker lets go of it with its result complete."""

    def __init__(self, in_forward=lambda: None, at_release=lambda: None):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(4)
        self.in_forward = in_forward
        self.at_release = at_release
        # Not freed with the last name for it but by the collector, which the worker calls after the last stage.
        self.knot = [self]

    def forward(self, image):
        self.in_forward()
        return self.normalisation(self.convolution(image)).relu()

    def __del__(self):
        self.at_release()


# --- doors: each of these raises where it is shut --------------------------------------------------------------------


def _write(folder):
    Path(folder, "planted").write_text("by a model")


def _append(path):
    with Path(path).open("a") as file:
        file.write("# by a model\n")


def _connect():
    for address in ADDRESSES:
        try:
            socket.create_connection((address, PORT), timeout=2).close()
            return
        except OSError:
            continue
    raise OSError("nobody answers")


def _route():
    """No packet is sent: the kernel only looks for a way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.connect(("198.51.100.1", 9))


def _status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return line.split()[1]
    raise OSError(field)


def _has_capabilities():
    if all(int(_status(name), 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
        raise OSError("none")


def _may_gain_privileges():
    if _status("NoNewPrivs") == "1":
        raise OSError("never")


def _is_root():
    if 0 not in (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()):
        raise OSError("somebody else")


def _may_fill_the_memory_with_files():
    """More than the gigabyte that /tmp may hold; a hole costs nothing."""
    size = os.statvfs("/tmp")
    if size.f_frsize * size.f_blocks <= 2**30:
        raise OSError("at most a gigabyte")


def _call(name, *arguments):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def _run_a_file_in_tmp():
    path = Path("/tmp/planted-program")
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    subprocess.check_call([str(path)])


def _link_an_input():
    """A second name for a stored file, in a folder that can be written."""
    inbox = Path("/matrix/inbox")
    source = next(path for path in inbox.rglob("*") if path.is_file())
    os.link(str(source), "planted-link")


DOORS = {
    "the network": _connect,
    "a way out of the network": _route,
    "a file of the host, to read": lambda: Path(OUTSIDE, "secret").read_text(),
    "a file of the host, to write": lambda: _write(OUTSIDE),
    "/": lambda: _write("/"),
    "/etc": lambda: _write("/etc"),
    "/usr/lib": lambda: _write("/usr/lib"),
    "/var/tmp": lambda: _write("/var/tmp"),
    "/dev": lambda: _write("/dev"),
    "/opt/env": lambda: _write("/opt/env"),
    "/matrix": lambda: _write("/matrix"),
    "/matrix/converter": lambda: _write("/matrix/converter"),
    "/matrix/inbox": lambda: _write("/matrix/inbox"),
    "/matrix/job.sh": lambda: _append("/matrix/job.sh"),
    "a link to an input": _link_an_input,
    "the account root": _is_root,
    "becoming root": lambda: os.setuid(0),
    "capabilities": _has_capabilities,
    "new privileges": _may_gain_privileges,
    "mounting": lambda: _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "a namespace of its own": lambda: subprocess.check_call(["unshare", "--user", "true"], stderr=subprocess.DEVNULL),
    "a device": lambda: os.mknod("/tmp/planted-device", stat.S_IFBLK | 0o666, os.makedev(7, 0)),
    "programs in /tmp": _run_a_file_in_tmp,
    "memory by way of /tmp": _may_fill_the_memory_with_files,
}


def open_doors():
    """Names of those that are not shut."""
    found = []
    for name, attempt in DOORS.items():
        try:
            attempt()
        except (OSError, subprocess.SubprocessError):
            continue
        found.append(name)
    return found


def _say(found):
    if found:
        raise AssertionError("not shut: " + ", ".join(found))


def try_every_door():
    return Acting(in_forward=lambda: _say(open_doors()))


# What a checkpoint does to whoever loads it. It is text, because pickle only names what it calls.
PAYLOAD = """
import os, socket
done = []
def attempt(name, act):
    try:
        act()
        done.append(name)
    except OSError:
        pass
for folder in FOLDERS:
    attempt(folder, lambda: open(os.path.join(folder, "unpickled"), "w").close())
for address in ADDRESSES:
    attempt(address, lambda: socket.create_connection((address, PORT), timeout=2).close())
attempt("secret", lambda: open(SECRET).close())
os.environ["DONE_BY_THE_CHECKPOINT"] = ", ".join(done)
"""


class Trap:
    def __init__(self, folders):
        self.folders = folders

    def __reduce__(self):
        names = {
            "FOLDERS": self.folders,
            "ADDRESSES": ADDRESSES,
            "PORT": PORT,
            "SECRET": str(Path(OUTSIDE, "secret")),
        }
        return exec, (PAYLOAD, names)


def _load_checkpoint(folders):
    """A pickled state of a network, loaded as everybody loads one."""
    pickled = io.BytesIO()
    torch.save({"state": Trap(folders)}, pickled, pickle_module=pickle)
    pickled.seek(0)
    os.environ.pop("DONE_BY_THE_CHECKPOINT", None)
    torch.load(pickled)
    done = os.environ["DONE_BY_THE_CHECKPOINT"]  # it did run
    _say([done] if done else [])
    return Acting()


def checkpoint_against_the_host():
    return _load_checkpoint([OUTSIDE])


def checkpoint_against_everything():
    return _load_checkpoint([OUTSIDE, "/", "/etc", "/usr/lib", "/opt/env", "/matrix/converter", "/matrix/inbox"])


# --- taking more than there is --------------------------------------------------------------------------------------


def ten_thousand_processes():
    def act():
        for _ in range(10000):
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)

    return Acting(act)


def sixty_four_gigabytes():
    """Page by page: asking for it is refused, using it is what ends a process."""

    def act():
        held = []
        for _ in range(64 * 1024 // 64):
            held.append(bytearray(b"x") * (64 * MEGABYTE))

    return Acting(act)


def sixty_four_gigabytes_in_a_child():
    program = "held = [bytearray(b'x') * 2**26 for _ in range(1024)]"
    return Acting(lambda: subprocess.check_call([sys.executable, "-c", program]))


def ten_gigabyte_file():
    """A hole: if nothing stopped it, it would cost no disk."""

    def act():
        with Path("planted-hole").open("wb") as file:
            file.seek(10 * 2**30)
            file.write(b"x")

    return Acting(act)


# --- links where the driver looks -----------------------------------------------------------------------------------


def _folder():
    """The folder of this job, in the worker's outbox."""
    (path,) = Path().glob("*/export.json")
    return path.parent


def _links(names, target):
    def act():
        folder = _folder()
        for name in names:
            path = folder / name
            if path.exists():
                path.unlink()
            path.symlink_to(Path(target, name))

    return act


def linked_result():
    return Acting(at_release=_links(["export.json"], OUTSIDE))


def linked_log_and_arrays():
    return Acting(at_release=_links(["export.log", "torch.npz", "model.onnx"], OUTSIDE))


def linked_folder():
    def act():
        folder = _folder()
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to(OUTSIDE)

    return Acting(at_release=act)


def good():
    return Acting()
