"""Write an ONNX model for an older opset where onnx.version_converter has no way: inputs that became attributes, and
operators that older opsets spell with several. Used in the reference environment, whose onnx knows every operator.

The definitions are those of the ONNX operator schemas and their changelog. Whether the result computes the same is
checked by running both.
"""

import numpy

from converter.rewriting.nodes import OWN, CannotRewrite, Rewriting, prepared

# Before, operators of two tensors do not broadcast by themselves.
OLDEST = 7


def lower(onnx, model, target):
    """Return the model at an older opset, OLDEST or later. Raises CannotRewrite."""
    model = prepared(onnx, model)
    work = _Lowering(onnx, model, target)
    work.graph(model.graph)
    for item in model.opset_import:
        if item.domain in OWN:
            item.version = target
    return model


class _Lowering(Rewriting):
    def __init__(self, onnx, model, target):
        super().__init__(onnx, model)
        self.target = target

    def constant(self, node, value):
        if self.target < 12 and not any(item.name == "value" for item in node.attribute):
            del node.attribute[:]
            node.attribute.append(self.onnx.helper.make_attribute("value", self.onnx.numpy_helper.from_array(value)))

    def replaced(self, node):
        if node.domain not in OWN:
            return [node]
        changes = [change for below, change in _CHANGES.get(node.op_type, ()) if self.target < below <= self.written]
        for change in changes:
            nodes = change(self, node)
            if nodes is not None:
                # What was put in its place may be too new as well.
                return [found for one in nodes for found in self.replaced(one)]
        self._check(node)
        return [node]

    def _check(self, node):
        """Refuse a node that the older opset does not define, with these attributes and inputs."""
        defs = self.onnx.defs
        try:
            schema = defs.get_schema(node.op_type, max_inclusive_version=self.target)
        except Exception as problem:
            raise CannotRewrite("%s does not exist in opset %d" % (node.op_type, self.target)) from problem
        extra = [item.name for item in node.attribute if item.name not in schema.attributes]
        if extra:
            raise CannotRewrite("%s of opset %d has no %s" % (node.op_type, self.target, ", ".join(extra)))
        if len(node.input) > schema.max_input:
            raise CannotRewrite(
                "%s of opset %d takes %d inputs at most" % (node.op_type, self.target, schema.max_input)
            )


def _input_to_attribute(place, attribute):
    """Return the change that makes a constant input an attribute, as it was before."""

    def change(work, node):
        values = work.given(node, place)
        del node.input[place:]
        if values is not None:
            work.set(node, attribute, [int(value) for value in values.reshape(-1)])

    return change


def _reduce(work, node):
    axes = work.given(node, 1)
    del node.input[1:]
    noop = work.attribute(node, "noop_with_empty_axes", 0)
    work.drop(node, "noop_with_empty_axes")
    if axes is not None and axes.size:
        work.set(node, "axes", [int(axis) for axis in axes.reshape(-1)])
    elif noop:
        return [work.node("Identity", [node.input[0]], list(node.output))]
    return None


def _drop_default(**defaults):
    """Return the change that leaves out attributes with the value that older opsets take for granted."""

    def change(work, node):
        for name, value in defaults.items():
            found = work.attribute(node, name)
            found = found.decode() if isinstance(found, bytes) else found
            if found is not None and found != value:
                raise CannotRewrite("%s with %s=%s" % (node.op_type, name, found))
            work.drop(node, name)

    return change


def _bounds(work, node):
    for place, name in ((1, "min"), (2, "max")):
        value = work.given(node, place)
        if value is not None:
            work.set(node, name, float(value.reshape(-1)[0]))
    del node.input[1:]


def _pad_all_axes(work, node):
    if len(node.input) > 3 and node.input[3]:
        raise CannotRewrite("Pad with axes")
    del node.input[3:]


def _pads(work, node):
    pads, value = work.given(node, 1), work.given(node, 2)
    del node.input[1:]
    work.set(node, "pads", [int(pad) for pad in pads.reshape(-1)])
    if value is not None:
        work.set(node, "value", float(value.reshape(-1)[0]))


def _dropout(work, node):
    if work.given(node, 2) is not None and bool(work.given(node, 2)):
        raise CannotRewrite("Dropout that trains")
    ratio = work.given(node, 1)
    del node.input[1:]
    work.drop(node, "seed")
    if ratio is not None:
        work.set(node, "ratio", float(ratio))


def _slice(work, node):
    steps = work.given(node, 4)
    if steps is not None and any(step != 1 for step in steps.reshape(-1)):
        raise CannotRewrite("Slice with steps")
    for place, name in ((1, "starts"), (2, "ends"), (3, "axes")):
        values = work.given(node, place)
        if values is not None:
            # An int64 maximum stands for the end.
            work.set(node, name, [int(max(min(value, 2**31 - 1), -(2**31))) for value in values.reshape(-1)])
    del node.input[1:]


def _softmax(work, node):
    """Until opset 12 all axes from `axis` on are one: that is the same for the last axis only."""
    axis = work.attribute(node, "axis", -1)
    if axis == -1:
        work.set(node, "axis", -1 if work.target >= 11 else work.rank(node.input[0]) - 1)
        return None
    rank = work.rank(node.input[0])
    axis = axis % rank
    if axis == rank - 1:
        work.set(node, "axis", axis)
        return None
    order = [place for place in range(rank) if place != axis] + [axis]
    back = [order.index(place) for place in range(rank)]
    moved, made = work.name(node), work.name(node)
    result = node.output[0]
    work.ranks[moved] = rank
    soft = work.node(node.op_type, [moved], [made], axis=rank - 1)
    return [
        work.node("Transpose", [node.input[0]], [moved], perm=order),
        soft,
        work.node("Transpose", [made], [result], perm=back),
    ]


def _reshape(work, node):
    shape = work.constants.get(node.input[1])
    if work.attribute(node, "allowzero", 0) and shape is not None and 0 in shape:
        raise CannotRewrite("Reshape with allowzero=1")
    # It says what a 0 means; a computed shape that holds one shows when both files are run.
    work.drop(node, "allowzero")


def _hard_swish(work, node):
    gate = work.name(node)
    return [
        work.node("HardSigmoid", [node.input[0]], [gate], alpha=1.0 / 6.0, beta=0.5),
        work.node("Mul", [node.input[0], gate], list(node.output)),
    ]


def _mish(work, node):
    plus, gate = work.name(node), work.name(node)
    return [
        work.node("Softplus", [node.input[0]], [plus]),
        work.node("Tanh", [plus], [gate]),
        work.node("Mul", [node.input[0], gate], list(node.output)),
    ]


def _gelu(work, node):
    if work.attribute(node, "approximate", b"none") not in (b"none", "none"):
        raise CannotRewrite("Gelu with approximate=tanh")
    return gelu(work, node, node.input[0])


def gelu(work, node, x):
    """Return the nodes that compute x * (1 + erf(x / sqrt(2))) / 2 as the output of a node."""
    root, root_name = work.number(node, 0.7071067811865476)
    one, one_name = work.number(node, 1.0)
    half, half_name = work.number(node, 0.5)
    scaled, erf, plus, gate = (work.name(node) for _ in range(4))
    return [
        root,
        one,
        half,
        work.node("Mul", [x, root_name], [scaled]),
        work.node("Erf", [scaled], [erf]),
        work.node("Add", [erf, one_name], [plus]),
        work.node("Mul", [plus, half_name], [gate]),
        work.node("Mul", [x, gate], list(node.output)),
    ]


def _layer_norm(work, node):
    x, scale = node.input[0], node.input[1]
    bias = node.input[2] if len(node.input) > 2 else ""
    axis = work.attribute(node, "axis", -1)
    rank = work.rank(x)
    axes = list(range(axis % rank, rank))
    mean, centred, square, variance, safe, root, normal = (work.name(node) for _ in range(7))
    for name in (mean, centred, square, variance, safe, root, normal):
        work.ranks[name] = rank
    epsilon, epsilon_name = work.number(node, work.attribute(node, "epsilon", 1e-5))
    if len([name for name in node.output if name]) > 1:
        raise CannotRewrite("LayerNormalization whose mean is used")
    scaled = work.name(node) if bias else node.output[0]
    nodes = [
        epsilon,
        work.node("ReduceMean", [x], [mean], axes=axes, keepdims=1),
        work.node("Sub", [x, mean], [centred]),
        work.node("Mul", [centred, centred], [square]),
        work.node("ReduceMean", [square], [variance], axes=axes, keepdims=1),
        work.node("Add", [variance, epsilon_name], [safe]),
        work.node("Sqrt", [safe], [root]),
        work.node("Div", [centred, root], [normal]),
        work.node("Mul", [normal, scale], [scaled]),
    ]
    return nodes + ([work.node("Add", [scaled, bias], [node.output[0]])] if bias else [])


def _negated(operator):
    def change(work, node):
        other = work.name(node)
        return [
            work.node(operator, list(node.input), [other]),
            work.node("Not", [other], list(node.output)),
        ]

    return change


def _split(work, node):
    sizes = work.given(node, 1)
    del node.input[1:]
    work.drop(node, "num_outputs")
    if sizes is not None:
        work.set(node, "split", [int(size) for size in sizes.reshape(-1)])


def _split_evenly(work, node):
    # Before opset 18 the number of outputs says it; they have to be of one size.
    work.drop(node, "num_outputs")


def _resize_inputs(work, node):
    """Until opset 12 a region and scales are always given, empty where they are not used."""
    nodes = []
    for place in (1, 2):
        if len(node.input) > place and not node.input[place]:
            constant, name = work.number(node, [], "float32")
            work.constants[name] = numpy.zeros(0, "float32")
            node.input[place] = name
            nodes.append(constant)
    return [*nodes, node] if nodes else None


def _resize_plain(work, node):
    """Before opset 11 there are only scales, and pixels begin at their corner."""
    if len(node.input) > 3 and node.input[3]:
        raise CannotRewrite("Resize to sizes")
    mode = work.attribute(node, "coordinate_transformation_mode", b"half_pixel")
    nearest = work.attribute(node, "nearest_mode", b"round_prefer_floor")
    if mode != b"asymmetric" or (work.attribute(node, "mode", b"nearest") == b"nearest" and nearest != b"floor"):
        raise CannotRewrite("Resize with coordinate_transformation_mode=%s" % mode.decode())
    work.drop(node, "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside")
    work.drop(node, "extrapolation_value")
    scales = node.input[2]
    del node.input[1:]
    node.input.append(scales)


def _pool(work, node):
    if any(dilation != 1 for dilation in work.attribute(node, "dilations", [1])):
        raise CannotRewrite("%s with dilations" % node.op_type)
    work.drop(node, "dilations")
    return _drop_default(ceil_mode=0)(work, node)


def _shape(work, node):
    start, end = work.attribute(node, "start", 0), work.attribute(node, "end")
    work.drop(node, "start", "end")
    if not start and end is None:
        return None
    whole = work.name(node)
    result = node.output[0]
    name, inputs = [], [whole]
    for value in ([start], [2**31 - 1 if end is None else end], [0]):
        constant, at = work.number(node, value, "int64")
        work.constants[at] = numpy.asarray(value, "int64")
        name.append(constant)
        inputs.append(at)
    return [work.node("Shape", [node.input[0]], [whole]), *name, work.node("Slice", inputs, [result])]


_AXES = ((13, _input_to_attribute(1, "axes")),)
_REDUCTIONS = ((18, _reduce),)

# {operator: ((the opset from which on it is written otherwise, the change that writes it the old way), ...)}
_CHANGES = {
    "AveragePool": ((10, _drop_default(ceil_mode=0)),),
    "BatchNormalization": ((14, _drop_default(training_mode=0)),),
    "Cast": ((19, _drop_default(saturate=1)),),
    "Clip": ((11, _bounds),),
    "Dropout": ((12, _dropout),),
    "GRU": ((14, _drop_default(layout=0)),),
    "Gelu": ((20, _gelu),),
    "GreaterOrEqual": ((12, _negated("Less")),),
    "HardSwish": ((14, _hard_swish),),
    "LSTM": ((14, _drop_default(layout=0)),),
    "LayerNormalization": ((17, _layer_norm),),
    "LessOrEqual": ((12, _negated("Greater")),),
    "LogSoftmax": ((13, _softmax),),
    "MaxPool": ((10, _pool),),
    "Mish": ((18, _mish),),
    "Pad": ((18, _pad_all_axes), (11, _pads)),
    "RNN": ((14, _drop_default(layout=0)),),
    "ReduceL1": _REDUCTIONS,
    "ReduceL2": _REDUCTIONS,
    "ReduceLogSum": _REDUCTIONS,
    "ReduceLogSumExp": _REDUCTIONS,
    "ReduceMax": _REDUCTIONS,
    "ReduceMean": _REDUCTIONS,
    "ReduceMin": _REDUCTIONS,
    "ReduceProd": _REDUCTIONS,
    "ReduceSum": ((13, _reduce),),
    "ReduceSumSquare": _REDUCTIONS,
    "Reshape": ((14, _reshape),),
    "Resize": (
        (18, _drop_default(antialias=0, keep_aspect_ratio_policy="stretch")),
        (13, _resize_inputs),
        (11, _resize_plain),
    ),
    "ScatterElements": ((16, _drop_default(reduction="none")),),
    "ScatterND": ((16, _drop_default(reduction="none")),),
    "Shape": ((15, _shape),),
    "Slice": ((10, _slice),),
    "Softmax": ((13, _softmax),),
    "Split": ((18, _split_evenly), (13, _split)),
    "Squeeze": _AXES,
    "Unsqueeze": _AXES,
}
