"""Give a network the same weights in every torch release, chosen so that a comparison detects wrong conversions.

torch.manual_seed and the defaults of layers differ between releases. Every tensor is therefore drawn from numpy's
RandomState, whose stream is frozen, seeded by the tensor's name. Draws are uniform: normal ones would use the logarithm
of the platform's C library, and bits would differ between platforms.

New normalisation layers do nothing (mean 0, variance 1), which would hide a wrong epsilon or a dropped layer: their
statistics are drawn too, with variances small enough to reveal an epsilon of 1e-3 instead of 1e-5.
"""

import zlib

import numpy


def seed_weights(network, seed):
    """Fill the floating-point parameters and buffers of a torch module in place, by name and shape."""
    import torch

    state = network.state_dict()
    for name in sorted(state):
        tensor = state[name]
        if not tensor.dtype.is_floating_point:
            continue
        # One stream for each name, so that adding a layer does not change the weights of others.
        stream = numpy.random.RandomState(zlib.crc32(("%d %s" % (seed, name)).encode("utf-8")))
        normalised = name.rpartition(".")[0] + ".running_var" in state
        values = _draw(stream, name.rpartition(".")[2], tuple(tensor.shape), normalised)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))


def _draw(stream, leaf, shape, normalised):
    if leaf == "running_var":
        return stream.uniform(0.02, 0.2, shape)
    if leaf == "running_mean":
        return stream.uniform(-0.2, 0.2, shape)
    if len(shape) > 1:
        fan_in = numpy.prod(shape[1:])
        bound = numpy.sqrt(3.0 / fan_in)  # variance 1 / fan_in: signals neither fade nor explode
        return stream.uniform(-bound, bound, shape)
    if leaf == "weight" and normalised:
        return stream.uniform(0.15, 0.55, shape)
    if leaf == "weight":
        return stream.uniform(0.5, 1.5, shape)
    return stream.uniform(-0.5, 0.5, shape)
