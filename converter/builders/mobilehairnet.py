"""MobileHairNet (converter/zoo/mobilehairnet.py) as .onnx straight from its weights, at any opset from 6 to 18.

The article's file came from torch 0.4.1, which wrote opset 6 and is no longer to be had. The torch of today begins with
opset 7, and onnx does not translate such a file: up to 1.8 it has no rule for this Upsample, and the later one (tried:
1.10.2 to 1.23.2) asks for the size of its input, which no shape inference of onnx knows behind another such Upsample.

The network's wiring is repeated here by hand, as forward() has it; that both compute the same is what the first of the
three legs measures.
"""

from converter.builders.nodes import Writer, save


def write(network, opset, ir_version, path, onnx, shape=(1, 3, 224, 224)):
    """network: with its weights, in eval mode; onnx: the package; shape: of the image, sides divisible by 32.
    The file takes `image` and gives `mask`. ValueError for another opset."""
    writer = Writer(network, opset)
    features = []
    value = writer.layer("stem", "image")
    for level in range(len(network.encoder)):
        value = writer.layer("encoder.%d" % level, value)
        features.append(value)
    value = writer.layer("bottleneck", features.pop())
    for level in range(len(network.skips)):
        skip = writer.layer("skips.%d" % level, features.pop())
        value = writer.layer("decoder.%d" % level, writer.add(writer.twice(value), skip))
    value = writer.layer("last", writer.twice(value))
    writer.node("Sigmoid", [writer.layer("head", value)], "mask")
    batch, _, height, width = shape
    save(writer, {"image": shape}, {"mask": (batch, 1, height, width)}, ir_version, path, onnx)
