"""Spell operators of an ONNX model that converters lack, or get wrong, with others that they have. Used in the
reference environment.

The definitions are those of the ONNX operator schemas. Whether the result computes the same is checked by running both.
"""

import numpy

from converter.rewriting import quantised
from converter.rewriting.lowering import gelu
from converter.rewriting.nodes import OWN, CannotRewrite, Rewriting, prepared, with_axes
from converter.rewriting.recurrent import gru

# What stands for the end of an axis.
_END = 2**31 - 1


def spell(onnx, model):
    """Return the model with plainer operators, and how many nodes were replaced. What cannot be spelled otherwise stays
    as it is."""
    work = _Spelling(onnx, prepared(onnx, model))
    work.graph(work.model.graph)
    return work.model, work.changed


class _Spelling(Rewriting):
    def __init__(self, onnx, model):
        super().__init__(onnx, model)
        self.model = model
        self.changed = 0

    def replaced(self, node):
        change = _CHANGES.get(node.op_type) if node.domain in OWN else _FUSED.get(node.op_type)
        try:
            nodes = change(self, node) if change is not None else None
        except CannotRewrite:
            nodes = None
        if nodes is None:
            return [node]
        self.changed += 1
        return nodes


def _stft(work, node):
    """The short-time Fourier transform of a real signal as a convolution with cosines and sines."""
    step, window, length = (work.given(node, place) for place in (1, 2, 3))
    if step is None or (window is None and length is None):
        raise CannotRewrite("STFT without a length")
    size = int(length.reshape(-1)[0]) if length is not None else len(window)
    one_sided = work.attribute(node, "onesided", 1)
    rank = work.ranks.get(node.input[0], 3)
    kind = window.dtype if window is not None else numpy.dtype("float32")
    window = numpy.ones(size) if window is None else window.astype("float64").reshape(-1)
    bins = size // 2 + 1 if one_sided else size
    angles = -2 * numpy.pi * numpy.arange(bins)[:, None] * numpy.arange(size)[None, :] / size
    # A bin's real and imaginary parts are neighbours: they become the last axis.
    waves = numpy.stack([numpy.cos(angles), numpy.sin(angles)], 1).reshape(2 * bins, 1, size) * window
    kernel, kernel_name = work.constant_of(node, waves.astype("float32"))
    signal, spectrum, turned, result = (work.name(node) for _ in range(4))
    shape, shape_name = work.constant_of(node, numpy.asarray([0, 0, bins, 2], "int64"))
    wide = kind == numpy.dtype("float64")
    given, nodes = node.input[0], [kernel, shape]
    if rank == 3:
        flat = work.name(node)
        nodes += with_axes(work, node, "Squeeze", given, flat, [2])
        given = flat
    if wide:
        narrow = work.name(node)
        nodes.append(work.node("Cast", [given], [narrow], to=1))
        given = narrow
    nodes += with_axes(work, node, "Unsqueeze", given, signal, [1])
    nodes += [
        work.node("Conv", [signal, kernel_name], [spectrum], strides=[int(step.reshape(-1)[0])]),
        work.node("Transpose", [spectrum], [turned], perm=[0, 2, 1]),
        work.node("Reshape", [turned, shape_name], [result if wide else node.output[0]]),
    ]
    if wide:
        nodes.append(work.node("Cast", [result], [node.output[0]], to=11))
    return nodes


def _pad(work, node):
    """Padding by a negative amount is slicing. Padding by more than one is concatenation: a converter that builds the
    slice beside it, whatever the sign, makes an invalid shape of it."""
    pads = work.given(node, 1) if work.written >= 11 else None
    if pads is None or (len(node.input) > 3 and node.input[3]):
        return None
    pads = [int(pad) for pad in pads.reshape(-1)]
    half = len(pads) // 2
    if min([0, *pads]) >= 0 and max([0, *pads]) <= 1:
        return None
    mode = work.attribute(node, "mode", b"constant").decode()
    nodes, current = [], node.input[0]
    if min(pads) < 0:
        cut, inputs = work.name(node), [current]
        bounds = ([max(-pad, 0) for pad in pads[:half]], [pad if pad < 0 else _END for pad in pads[half:]], range(half))
        for values in bounds:
            constant, name = work.constant_of(node, numpy.asarray(list(values), "int64"))
            nodes.append(constant)
            inputs.append(name)
        nodes.append(work.node("Slice", inputs, [cut]))
        current = cut
    for axis in range(half):
        before, after = max(pads[axis], 0), max(pads[axis + half], 0)
        if before or after:
            made, current = _padded(work, node, current, axis, before, after, mode)
            nodes.extend(made)
    return [*nodes, work.node("Identity", [current], list(node.output))]


def _padded(work, node, given, axis, before, after, mode):
    """Return (nodes, name) of a tensor padded along one axis."""
    indices = {
        "constant": ([0] * before, [0] * after),
        "edge": ([0] * before, [-1] * after),
        "reflect": (list(range(before, 0, -1)), [-2 - place for place in range(after)]),
    }
    if mode not in indices:
        raise CannotRewrite("Pad that wraps around")
    nodes, parts = [], []
    for places, first in zip(indices[mode], (True, False)):
        if places:
            index, index_name = work.constant_of(node, numpy.asarray(places, "int64"))
            part = work.name(node)
            nodes += [index, work.node("Gather", [given, index_name], [part], axis=axis)]
            if mode == "constant":
                made, part = _filled(work, node, part)
                nodes.extend(made)
            parts.append(part)
        if first:
            parts.append(given)
    joined = work.name(node)
    return [*nodes, work.node("Concat", parts, [joined], axis=axis)], joined


def _filled(work, node, like):
    """Return (nodes, name) of a tensor of the shape of another, all of the value that a Pad pads with."""
    value = work.given(node, 2)
    value = numpy.zeros((), "float32") if value is None else value.reshape(())
    if value.dtype.kind != "f":
        raise CannotRewrite("Pad of integers")
    nothing, nothing_name = work.constant_of(node, numpy.zeros((), value.dtype))
    fill, fill_name = work.constant_of(node, value)
    flat, made = work.name(node), work.name(node)
    return [
        nothing,
        fill,
        work.node("Mul", [like, nothing_name], [flat]),
        work.node("Add", [flat, fill_name], [made]),
    ], made


def _slice(work, node):
    """Axes in ascending order and counted from the front: not every converter takes others."""
    if work.written < 10 or len(node.input) < 4:
        return None
    given = [work.given(node, place) for place in range(1, len(node.input))]
    axes = given[2]
    if axes is None:
        return None
    axes = [int(axis) for axis in axes.reshape(-1)]
    if min(axes) < 0:
        axes = [axis % work.rank(node.input[0]) for axis in axes]
    order = sorted(range(len(axes)), key=lambda place: axes[place])
    wanted = [axes[place] for place in order]
    if wanted == [int(axis) for axis in given[2].reshape(-1)]:
        return None
    nodes, inputs = [], [node.input[0]]
    for number, values in enumerate(given):
        if values is None:
            inputs.append("")
            continue
        values = wanted if number == 2 else [int(values.reshape(-1)[place]) for place in order]
        constant, name = work.constant_of(node, numpy.asarray(values, "int64"))
        nodes.append(constant)
        inputs.append(name)
    return [*nodes, work.node("Slice", inputs, list(node.output))]


def _fused_conv(work, node):
    """A convolution of ONNX Runtime that applies its activation itself."""
    kind = work.attribute(node, "activation", b"").decode()
    alpha = list(work.attribute(node, "activation_params", []))
    known: dict = {"Relu": {}, "Sigmoid": {}, "Tanh": {}}
    if kind == "LeakyRelu":
        known[kind] = {"alpha": alpha[0]}
    elif kind == "HardSigmoid":
        known[kind] = {"alpha": alpha[0], "beta": alpha[1]}
    if kind not in known:
        raise CannotRewrite("FusedConv with %s" % kind)
    made, total = work.name(node), work.name(node)
    conv = work.node("Conv", list(node.input[:3]), [made])
    conv.attribute.extend(item for item in node.attribute if not item.name.startswith("activation"))
    nodes = [conv]
    if len(node.input) > 3 and node.input[3]:
        nodes.append(work.node("Add", [made, node.input[3]], [total]))
        made = total
    return [*nodes, work.node(kind, [made], list(node.output), **known[kind])]


def _gelu(biased):
    def change(work, node):
        x, nodes = node.input[0], []
        if biased:
            total = work.name(node)
            nodes.append(work.node("Add", list(node.input[:2]), [total]))
            x = total
        return nodes + gelu(work, node, x)

    return change


# Operators of ONNX Runtime's own domain.
_FUSED = {"BiasGelu": _gelu(True), "FusedConv": _fused_conv, "Gelu": _gelu(False)}
_FUSED.update(quantised.FUSED)

_CHANGES = {"GRU": gru, "Pad": _pad, "STFT": _stft, "Slice": _slice}
_CHANGES.update(quantised.CHANGES)
