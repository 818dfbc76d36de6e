"""Mistakes that a converter can make between ONNX's conventions and TensorFlow's, for image models."""

import functools

import numpy
from onnx_editing import WINDOWS, Faults

FAULTS = Faults()


@FAULTS.also_once
def interpolation_mode(g):
    for node in g.of("Upsample", "Resize"):
        yield g.setting(node, "mode", "linear" if g.get(node, "mode", b"nearest") == b"nearest" else "nearest")


def _smooth(g):
    # Nearest by a whole factor is the same under most rules. Before opset 11 there was one rule.
    return [node for node in g.of("Resize") if len(node.input) > 2 and g.get(node, "mode", b"nearest") != b"nearest"]


@FAULTS.everywhere
def interpolation_corners(g):
    for node in _smooth(g):
        aligned = g.get(node, "coordinate_transformation_mode") == b"align_corners"
        yield g.setting(node, "coordinate_transformation_mode", "half_pixel" if aligned else "align_corners")


@FAULTS.everywhere
def interpolation_asymmetric(g):
    """TensorFlow 1's default: neither half pixels nor aligned corners."""
    for node in _smooth(g):
        yield g.setting(node, "coordinate_transformation_mode", "asymmetric")


@FAULTS.also_once
def padding_to_one_side(g):
    """All padding at the end, where TensorFlow's SAME puts the odd one."""
    for node in g.of(*WINDOWS):
        pads = list(g.get(node, "pads", []))
        half = len(pads) // 2
        shifted = [0] * half + [begin + end for begin, end in zip(pads[:half], pads[half:], strict=True)]
        if pads != shifted:
            yield g.setting(node, "pads", shifted)


@FAULTS.also_once
def padding_mode(g):
    """Zeros where the image is reflected."""
    for node in g.of("Pad"):
        if g.get(node, "mode", b"constant") != b"constant":
            yield g.setting(node, "mode", "constant")


@FAULTS.everywhere
def padding_value(g):
    """Zeros instead of another constant."""
    for node in g.of("Pad"):
        yield from g.replacing(node, 2, numpy.zeros_like)
        if g.get(node, "value"):
            yield g.setting(node, "value", 0.0)


@FAULTS.everywhere
def kernels_transposed(g):
    """Height and width of the kernels exchanged."""
    for node in g.of("Conv", "ConvTranspose"):
        yield from g.replacing(node, 1, lambda v: v.swapaxes(2, 3) if v.shape[2] == v.shape[3] else v)


@FAULTS.everywhere
def kernels_flipped(g):
    """Convolution taken for correlation."""
    for node in g.of("Conv", "ConvTranspose"):
        yield from g.replacing(node, 1, lambda v: v[:, :, ::-1, ::-1])


@FAULTS.everywhere
def dilation_ignored(g):
    """Neighbours taken side by side; the kernel filled up with zeros to the size it covered, so that shapes stay."""

    def surrounded(values, dilations):
        margins = [(size - 1) * (d - 1) // 2 for size, d in zip(values.shape[2:], dilations, strict=True)]
        return numpy.pad(values, [(0, 0), (0, 0), *((margin, margin) for margin in margins)])

    def dense(node, replace, dilations):
        replace()
        g.set(node, "dilations", [1] * len(dilations))
        g.set(node, "kernel_shape", list(g.values(node.input[1]).shape[2:]))

    for node in g.of("Conv"):
        dilations = g.get(node, "dilations", [1, 1])
        for replace in g.replacing(node, 1, functools.partial(surrounded, dilations=dilations)):
            yield functools.partial(dense, node, replace, dilations)


@FAULTS.everywhere
def blocks_transposed(g):
    """Rows and columns within a block of the pixel shuffle exchanged."""
    for node in g.of("Transpose"):
        if list(g.get(node, "perm", [])) == [0, 1, 4, 2, 5, 3]:
            yield g.setting(node, "perm", [0, 1, 4, 3, 5, 2])
    for node in g.of("DepthToSpace"):
        yield g.setting(node, "mode", "DCR" if g.get(node, "mode", b"DCR") == b"CRD" else "CRD")


@FAULTS.everywhere
def concatenated_in_the_other_order(g):
    for node in g.of("Concat"):
        if g.get(node, "axis") == 1:  # of features; sizes, which are concatenated too, have one axis
            yield functools.partial(node.input.__setitem__, slice(None), list(reversed(node.input)))


@FAULTS.everywhere
def slope_of_hard_sigmoid(g):
    """Keras' 1/5 instead of 1/6."""
    for node in g.of("Div"):
        yield from g.replacing(node, 1, lambda v: v - 1 if v.size == 1 and v == 6 else v)
    for node in g.of("HardSigmoid"):
        yield g.setting(node, "alpha", 0.2)


@FAULTS.everywhere
def slope_below_zero(g):
    """Keras' default 0.3, or one slope for all channels."""
    for node in g.of("LeakyRelu"):
        yield g.setting(node, "alpha", 0.3)
    for node in g.of("PRelu"):
        yield from g.replacing(node, 1, lambda v: numpy.full_like(v, v.mean()))


@FAULTS.everywhere
def largest_for_average(g):
    for node in g.of("GlobalAveragePool"):
        yield functools.partial(setattr, node, "op_type", "GlobalMaxPool")
