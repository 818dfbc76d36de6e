"""Runs a model and wrong copies of it in ONNX Runtime, inside the reference environment.

    PYTHON onnx_mutations.py MODEL.onnx INPUTS.npz OUTDIR

Writes OUTDIR/<name>.npz for the unchanged model and each mutation, keys `<case>/<output>`. Beside the model's own
output they hold the features its last layer is computed from, which have more than one channel.
"""

import copy
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import helper, numpy_helper


def nodes(model, kind):
    found = [node for node in model.graph.node if node.op_type == kind]
    assert found, f"the model has no {kind}: the test would prove nothing"
    return found


def attribute(node, name):
    (found,) = (item for item in node.attribute if item.name == name)
    return found


def unchanged(model):
    pass


def linear_upsampling(model):
    for node in nodes(model, "Upsample"):
        assert attribute(node, "mode").s == b"nearest"
        attribute(node, "mode").s = b"linear"


def linear_upsampling_once(model):
    """Only the last of them, where least comes after it to make the error larger."""
    attribute(nodes(model, "Upsample")[-1], "mode").s = b"linear"


def epsilon(model):
    for node in nodes(model, "BatchNormalization"):
        assert abs(attribute(node, "epsilon").f - 1e-5) < 1e-9
        attribute(node, "epsilon").f = 1e-3


def epsilon_once(model):
    attribute(nodes(model, "BatchNormalization")[-1], "epsilon").f = 1e-3


def channels_last(model):
    """Every output in the other order of axes."""
    swap(model, keep_shape=False)


def channels_last_same_shape(model):
    """The numbers in the other order, under the shape of the right one: only values can tell."""
    swap(model, keep_shape=True)


def swap(model, keep_shape):
    for output in list(model.graph.output):
        name = output.name
        for node in model.graph.node:
            node.output[:] = [f"{name}_right" if item == name else item for item in node.output]
            node.input[:] = [f"{name}_right" if item == name else item for item in node.input]
        last = f"{name}_swapped" if keep_shape else name
        model.graph.node.append(helper.make_node("Transpose", [f"{name}_right"], [last], perm=[0, 2, 3, 1]))
        if keep_shape:
            model.graph.node.append(helper.make_node("Shape", [f"{name}_right"], [f"{name}_shape"]))
            model.graph.node.append(helper.make_node("Reshape", [last, f"{name}_shape"], [name]))
        elif output.type.tensor_type.HasField("shape"):
            sizes = output.type.tensor_type.shape.dim
            values = [size.dim_value for size in sizes]
            for size, value in zip(sizes, [values[0], *values[2:], values[1]], strict=True):
                size.dim_value = value


def nan_in_a_weight(model):
    weight = next(item for item in model.graph.initializer if len(item.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = numpy.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


MUTATIONS = (
    unchanged,
    linear_upsampling,
    linear_upsampling_once,
    epsilon,
    epsilon_once,
    channels_last,
    channels_last_same_shape,
    nan_in_a_weight,
)


def main(path, inputs, folder):
    original = onnx.load(path)
    last = nodes(original, "Conv")[-1]
    original.graph.output.append(helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    names = [output.name for output in original.graph.output]
    with numpy.load(inputs) as file:
        cases = {key.split("/")[0]: file[key] for key in file.files}
    for mutate in MUTATIONS:
        model = copy.deepcopy(original)
        mutate(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0].name
        arrays = {}
        for case, image in cases.items():
            values = session.run(names, {feed: image})
            arrays.update({f"{case}/{name}": value for name, value in zip(["mask", "features"], values, strict=True)})
        numpy.savez(Path(folder) / f"{mutate.__name__}.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
