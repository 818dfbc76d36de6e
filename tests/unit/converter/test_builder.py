"""What the builder writes for each opset; tests/integration/test_article.py compares it with the network. Small classes
stand in for torch and onnx, which the driver's environment lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converter.builders import mobilehairnet
from converter.builders.nodes import OPSETS, Writer, save


class Tensor:
    def __init__(self, array: np.ndarray):
        self.array = array

    def detach(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self.array


class Module:
    """The part of torch.nn.Module that the builder uses."""

    def __init__(self, tensors: dict[str, np.ndarray] | None = None, **children: Module):
        self.tensors, self.children = tensors or {}, children

    def named_children(self) -> list[tuple[str, Module]]:
        return list(self.children.items())

    def named_modules(self, prefix: str = "") -> list[tuple[str, Module]]:
        found = [(prefix, self)]
        for name, child in self.children.items():
            found += child.named_modules(f"{prefix}.{name}" if prefix else name)
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return {
            f"{path}.{leaf}": Tensor(array)
            for path, module in self.named_modules()
            for leaf, array in module.tensors.items()
        }


class Sequential(Module):
    def __init__(self, *layers: Module):
        super().__init__(None, **{str(i): layer for i, layer in enumerate(layers)})

    def __len__(self) -> int:
        return len(self.children)


class Conv2d(Module):
    dilation, kernel_size = (1, 1), (3, 5)

    def __init__(self, bias: bool = False, stride: int = 1):
        super().__init__(
            {"weight": np.ones((4, 1, 3, 5), "float32"), **({"bias": np.ones(4, "float32")} if bias else {})}
        )
        self.groups, self.stride, self.padding = 4, (stride, stride), (1, 2)


class BatchNorm2d(Module):
    eps, momentum = 1e-5, 0.1

    def __init__(self) -> None:
        leaves = ("weight", "bias", "running_mean", "running_var")
        tensors = {leaf: np.full(4, i, "float32") for i, leaf in enumerate(leaves)}
        super().__init__({**tensors, "num_batches_tracked": np.array(0)})


class ReLU(Module):
    pass


class Softmax(Module):
    pass


def doubled(opset: int) -> tuple[str, list[Any], dict[str, Any]]:
    """Return operator, inputs (weights by value) and attributes of an upsampling."""
    writer = Writer(Module(), opset)
    writer.twice("image")
    ((operator, inputs, _, attributes),) = writer.nodes
    return operator, [writer.weights[name].tolist() if name in writer.weights else name for name in inputs], attributes


def test_upsampling_has_its_scales_where_each_opset_looks_for_them() -> None:
    scales = [1.0, 1.0, 2.0, 2.0]
    floor = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
    in_opset_6 = {"height_scale": 2.0, "width_scale": 2.0, "mode": "nearest"}
    assert doubled(6) == ("Upsample", ["image"], in_opset_6)
    assert doubled(7) == doubled(8) == ("Upsample", ["image"], {"mode": "nearest", "scales": scales})
    assert doubled(9) == ("Upsample", ["image", scales], {"mode": "nearest"})
    assert doubled(10) == ("Resize", ["image", scales], {"mode": "nearest"})
    assert doubled(11) == doubled(12) == ("Resize", ["image", [], scales], floor)
    assert doubled(13) == doubled(18) == ("Resize", ["image", "", scales], floor)


@pytest.mark.parametrize("opset", OPSETS)
def test_only_the_oldest_normalisation_has_the_attribute_is_test(opset: int) -> None:
    writer = Writer(Module(norm=BatchNorm2d()), opset)
    writer.layer("norm", "image")
    ((operator, inputs, _, attributes),) = writer.nodes
    assert operator == "BatchNormalization"
    # ONNX's order: scale, bias, mean, variance.
    assert [writer.weights[name][0] for name in inputs[1:]] == [0, 1, 2, 3]
    assert attributes == {"epsilon": 1e-5, "momentum": 0.9} | ({"is_test": 1} if opset == 6 else {})


def test_a_convolution_keeps_its_geometry() -> None:
    writer = Writer(Module(plain=Conv2d(stride=2), biased=Conv2d(bias=True)), 6)
    writer.layer("biased", writer.layer("plain", "image"))
    plain, biased = writer.nodes
    assert plain[3] == {
        "dilations": [1, 1],
        "group": 4,
        "kernel_shape": [3, 5],
        "pads": [1, 2, 1, 2],
        "strides": [2, 2],
    }
    assert [len(plain[1]), len(biased[1])] == [2, 3]
    assert biased[1][0] == plain[2]


def test_tensors_are_numbered_weights_first_and_never_twice() -> None:
    writer = Writer(Module(block=Sequential(Conv2d(), BatchNorm2d(), ReLU())), 11)
    last = writer.twice(writer.layer("block", "image"))
    assert list(writer.weights)[:5] == ["1", "2", "3", "4", "5"]
    assert [kind for kind, *_ in writer.nodes] == ["Conv", "BatchNormalization", "Relu", "Resize"]
    names = [*writer.weights, *(output for _, _, output, _ in writer.nodes)]
    assert len(names) == len(set(names))
    assert last == writer.nodes[-1][2]
    assert not any(array.dtype != np.float32 for array in writer.weights.values())


@pytest.mark.parametrize("opset", [5, 19])
def test_an_unsupported_opset_is_refused(opset: int) -> None:
    with pytest.raises(ValueError, match=f"opset {opset} .* 6 to 18"):
        Writer(Module(), opset)


def test_an_unsupported_layer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"block\.1 is a Softmax"):
        Writer(Module(block=Sequential(ReLU(), Softmax())), 6).layer("block", "image")


def fake_onnx(saved: dict[str, Any]) -> Any:
    def model(graph: Any, **options: Any) -> Any:
        return SimpleNamespace(graph=graph, ir_version=None, **options)

    def make(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
        return SimpleNamespace(op_type=kind, input=inputs, output=outputs, attributes=attributes)

    return SimpleNamespace(
        TensorProto=SimpleNamespace(FLOAT=1),
        numpy_helper=SimpleNamespace(from_array=lambda array, name: name),
        helper=SimpleNamespace(
            make_tensor_value_info=lambda name, kind, shape: (name, kind, shape),
            make_node=make,
            make_graph=lambda nodes, name, inputs, outputs, weights: SimpleNamespace(
                node=nodes, input=inputs, output=outputs, initializer=weights
            ),
            make_opsetid=lambda domain, version: (domain, version),
            make_model=model,
        ),
        save=lambda model, path: saved.update({path: model}),
    )


@pytest.mark.parametrize(("ir_version", "listed"), [(3, True), (4, False)])
def test_weights_are_inputs_too_if_the_ir_version_requires_it(ir_version: int, listed: bool) -> None:
    saved: dict[str, Any] = {}
    onnx = fake_onnx(saved)
    writer = Writer(Module(norm=BatchNorm2d()), 7)
    writer.layer("norm", "image")
    save(writer, {"image": (1, 4, 8, 8)}, {"5": (1, 4, 8, 8)}, ir_version, "model.onnx", onnx)
    model = saved["model.onnx"]
    weights = [(name, 1, [4]) for name in writer.weights] if listed else []
    assert model.graph.input == [("image", 1, [1, 4, 8, 8]), *weights]
    assert model.graph.initializer == list(writer.weights)
    assert (model.ir_version, model.opset_imports, model.producer_name) == (ir_version, [("", 7)], "torch-tf-matrix")


@pytest.mark.parametrize("opset", OPSETS)
def test_the_networks_wiring(opset: int) -> None:
    """Each upsampling is added to the encoder's features of its level, except the last one."""
    levels = 3
    network = Module(
        stem=Sequential(ReLU()),
        encoder=Sequential(*(Sequential(Conv2d()) for _ in range(levels))),
        skips=Sequential(*(Conv2d(bias=True) for _ in range(levels - 1))),
        bottleneck=Sequential(ReLU()),
        decoder=Sequential(*(Sequential(ReLU()) for _ in range(levels - 1))),
        last=Sequential(ReLU()),
        head=Conv2d(bias=True),
    )
    network.encoder, network.skips = network.children["encoder"], network.children["skips"]
    saved: dict[str, Any] = {}
    mobilehairnet.write(network, opset, 3, "model.onnx", fake_onnx(saved), shape=(2, 3, 64, 32))

    graph = saved["model.onnx"].graph
    assert (graph.input[0], graph.output) == (("image", 1, [2, 3, 64, 32]), [("mask", 1, [2, 1, 64, 32])])
    maker = {name: node for node in graph.node for name in node.output}
    assert all(name in maker or name in graph.initializer for node in graph.node for name in node.input[1:] if name)
    encoder = [node.output[0] for node in graph.node if node.op_type == "Conv" and len(node.input) == 2]
    added = [[maker[name] for name in node.input] for node in graph.node if node.op_type == "Add"]
    assert [skip.input[0] for _, skip in added] == encoder[-2::-1]
    assert {doubled.op_type for doubled, _ in added} == {"Upsample" if opset < 10 else "Resize"}
    assert sum(node.op_type in ("Upsample", "Resize") for node in graph.node) == levels
    assert (graph.node[-1].op_type, graph.node[-1].output) == ("Sigmoid", ["mask"])
