"""Models that misbehave, each in one way of its own, and good ones to be harmed by them.

What each must come out as stands in expected.yml beside this file. All take one image, float32 1 x 3 x 16 x 16, and
return its features, float32 1 x 4 x 32 x 32. This file runs inside exporter environments, on any Python they have.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional

MEGABYTE = 2**20


class Good(nn.Module):
    """Convolution, batch normalisation and nearest upsampling: enough for a conversion to be wrong."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(4)

    def forward(self, image):
        features = self.normalisation(self.convolution(image)).relu()
        return functional.interpolate(features, scale_factor=2, mode="nearest")


class InForward(Good):
    """Does something every time it is run."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, image):
        self.act()
        return super().forward(image)


class AtRelease(Good):
    """Does something when the worker lets go of it, with its result already complete."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        # Not freed with the last name for it but by the collector, which the worker calls after the last stage.
        self.knot = [self]

    def __del__(self):
        self.act()


def good():
    return Good()


def segfault():
    return InForward(lambda: ctypes.string_at(0))


def abort():
    return InForward(os.abort)


def hang():
    return InForward(lambda: time.sleep(36000))


def slow():
    """Long enough for something to happen meanwhile."""
    network = Good()
    network.forward = _once(lambda: time.sleep(12), network.forward)
    return network


def hang_with_a_child():
    """The child is what a data loader or a compiler would be: it must not outlive the job."""
    return InForward(lambda: subprocess.call([sys.executable, "-c", "import time; time.sleep(36000)"]))


def hang_in_c():
    """No other thread of this process gets a turn meanwhile: re holds the interpreter's lock."""
    return InForward(lambda: re.match("(a*)*b", "a" * 64))


def hoard():
    def act():
        held = []
        while True:
            held.append(bytearray(b"x") * (64 * MEGABYTE))
            time.sleep(0.02)

    return InForward(act)


_kept = []


def leak_a_gigabyte():
    """It stays with the worker, and with whoever comes after."""

    def act():
        if not _kept:
            _kept.append(bytearray(b"x") * (1100 * MEGABYTE))

    return InForward(act)


def need_a_gigabyte():
    return InForward(lambda: len(bytearray(b"x") * (1100 * MEGABYTE)))


def huge_array():
    return InForward(lambda: numpy.ones(2**44, numpy.float32))


def huge_tensor():
    return InForward(lambda: torch.ones(2**44))


def exit_silently():
    return InForward(lambda: os._exit(0))


def exit_politely():
    return InForward(sys.exit)


def raise_in_forward():
    def act():
        raise ArithmeticError("this model never works")

    return InForward(act)


def raise_unprintable():
    """As of a path that is not UTF-8, with a terminal's control sequence in it."""

    def act():
        raise OSError("no such file: \udcff\x1b[2J")

    return InForward(act)


def raise_in_factory():
    raise LookupError("the weights of this model were lost")


def two_outputs():
    """One more than it declares."""
    network = Good()
    network.forward = lambda image: (image, image)
    return network


def die_after_result():
    return AtRelease(lambda: os.kill(os.getpid(), signal.SIGSEGV))


def chatty():
    """10 MB for each of the five cases it is given."""
    return InForward(lambda: print("all work and no play\n" * (10 * MEGABYTE // 21)))


def close_streams():
    def act():
        for stream in (1, 2):
            os.close(stream)
        sys.stdout.close()

    network = AtRelease(lambda: None)
    network.forward = _once(act, network.forward)
    return network


def _once(act, function):
    left = [act]

    def wrapped(image):
        if left:
            left.pop()()
        return function(image)

    return wrapped


def _result():
    """The one result file there is: a job's folder goes when the job is done, the worker's own folder stays."""
    (path,) = Path().glob("*/export.json")
    return path


def spoil_result():
    def act():
        _result().write_bytes(os.urandom(4096))

    return AtRelease(act)


def nest_result():
    """Valid JSON, deeper than a parser's stack."""

    def act():
        _result().write_text("[" * 1000000 + "]" * 1000000)

    return AtRelease(act)


def forge_result():
    """The right job, and nothing else as it should be."""

    def act():
        path = _result()
        result = json.loads(path.read_text())
        result.update(
            stages=[{"stage": ["forward"], "seconds": "?"}], facts=["opset_written"], error="none", done="yes"
        )
        path.write_text(json.dumps(result))

    return AtRelease(act)


class _Trap:
    """Makes a folder where the process that unpickles it stands."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def pickled_arrays():
    """Reading such an array would run code of the model in whoever reads it."""

    def act():
        array = numpy.empty(1, object)
        array[0] = _Trap()
        numpy.savez(str(_result().with_name("torch.npz")), **{"0/features": array})

    return AtRelease(act)


def random_output():
    network = Good()
    inner = network.forward
    network.forward = lambda image: _noisy(inner(image))
    return network


def _noisy(features):
    return features + torch.randn_like(features)


class HugeInTensorFlow(Good):
    """Small where torch runs it, 64 TB as the graph that is written: the exporter never computes an expansion."""

    def forward(self, image):
        features = super().forward(image)
        if not torch._C._get_tracing_state():
            return features
        return (features + features).expand(2**32, 4, 32, 32)


def huge_in_tensorflow():
    return HugeInTensorFlow()
