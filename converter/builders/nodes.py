"""Write layers of torch as ONNX nodes in the form of a given opset.

Sources: ONNX's operator changelog for the forms, torch's nearest interpolation for the meaning. Tensors are numbered as
by torch 0.4.1: weights first, in the order of the state dict, then the outputs of nodes.
"""

import numpy

# Opset 5 required `consumed_inputs` of a BatchNormalization; nothing newer than 18 was checked.
OPSETS = range(6, 19)
# From this IR version on, weights need not be declared as inputs too.
WEIGHTS_ARE_NO_INPUTS = 4


class Writer:
    """Collects `nodes`, a list of (operator, inputs, output, attributes), and `weights`, {tensor name: array}.

    Raises ValueError for an unsupported opset."""

    def __init__(self, network, opset):
        if opset not in OPSETS:
            raise ValueError("opset %s is not written, only %d to %d" % (opset, OPSETS[0], OPSETS[-1]))
        self.opset = opset
        self.nodes = []
        self.weights = {}
        self._modules = dict(network.named_modules())
        self._names = {}  # state dict key: tensor name in the file
        for key, tensor in network.state_dict().items():
            array = tensor.detach().numpy()
            if array.dtype == numpy.float32:  # the others count training batches
                self._names[key] = self._weight(array)

    def layer(self, path, value):
        """Apply the module at `path` to the tensor `value` and return the new tensor's name.

        Raises TypeError for an unsupported layer.
        """
        module = self._modules[path]
        kind = type(module).__name__
        if kind == "Sequential":
            for name, _ in module.named_children():
                value = self.layer("%s.%s" % (path, name), value)
            return value
        forms = {"Conv2d": self._convolution, "BatchNorm2d": self._normalisation, "ReLU": self._relu}
        if kind not in forms:
            raise TypeError("%s is a %s, for which there is no node" % (path, kind))
        return forms[kind](path, module, value)

    def _relu(self, path, module, value):
        return self.node("Relu", [value])

    def _convolution(self, path, module, value):
        weights = [self._names[path + "." + leaf] for leaf in ("weight", "bias") if path + "." + leaf in self._names]
        return self.node(
            "Conv",
            [value, *weights],
            dilations=list(module.dilation),
            group=module.groups,
            kernel_shape=list(module.kernel_size),
            pads=list(module.padding) * 2,
            strides=list(module.stride),
        )

    def _normalisation(self, path, module, value):
        leaves = ("weight", "bias", "running_mean", "running_var")
        # In ONNX momentum is the weight of the old average, in torch that of the new value.
        attributes = {"epsilon": module.eps, "momentum": 1 - module.momentum}
        if self.opset < 7:
            attributes["is_test"] = 1  # without it, the node is in training mode
        return self.node(
            "BatchNormalization", [value] + [self._names[path + "." + leaf] for leaf in leaves], **attributes
        )

    def add(self, first, second):
        """Add tensors of equal shape: broadcasting would need an attribute at opset 6."""
        return self.node("Add", [first, second])

    def twice(self, value):
        """Double height and width: every pixel becomes four."""
        scales = [1.0, 1.0, 2.0, 2.0]
        if self.opset < 7:
            return self.node("Upsample", [value], height_scale=2.0, width_scale=2.0, mode="nearest")
        if self.opset < 9:
            return self.node("Upsample", [value], mode="nearest", scales=scales)
        scales = self._weight(numpy.array(scales, "float32"))
        if self.opset < 11:
            return self.node("Upsample" if self.opset < 10 else "Resize", [value, scales], mode="nearest")
        # Only another mode uses the region of interest, but before opset 13 it is required.
        region = self._weight(numpy.zeros(0, "float32")) if self.opset < 13 else ""
        return self.node(
            "Resize",
            [value, region, scales],
            coordinate_transformation_mode="asymmetric",
            mode="nearest",
            nearest_mode="floor",
        )

    def node(self, operator, inputs, output=None, **attributes):
        """Add a node with one output and return the output's name, a number if none is given."""
        output = output or self._number()
        self.nodes.append((operator, inputs, output, attributes))
        return output

    def _weight(self, array):
        name = self._number()
        self.weights[name] = array
        return name

    def _number(self):
        return str(1 + len(self.weights) + len(self.nodes))


def save(writer, inputs, outputs, ir_version, path, onnx):
    """Write the file. inputs, outputs: {name: shape}, all float32; onnx: the package."""
    helper = onnx.helper

    def declared(shapes):
        return [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape)) for name, shape in shapes.items()
        ]

    given = declared(inputs)
    if ir_version < WEIGHTS_ARE_NO_INPUTS:
        given += declared({name: array.shape for name, array in writer.weights.items()})
    graph = helper.make_graph(
        [helper.make_node(kind, taken, [made], **attributes) for kind, taken, made, attributes in writer.nodes],
        "main_graph",
        given,
        declared(outputs),
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.weights.items()],
    )
    model = helper.make_model(
        graph, producer_name="torch-tf-matrix", opset_imports=[helper.make_opsetid("", writer.opset)]
    )
    model.ir_version = ir_version
    onnx.save(model, path)
