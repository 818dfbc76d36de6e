"""Write MobileHairNet (converter/zoo/mobilehairnet.py) as .onnx directly from its weights, at any opset from 6 to 18.

The article's file came from torch 0.4.1, which wrote opset 6 and is no longer available. Current torch starts at opset
7, and onnx cannot convert such a file: up to 1.8 it has no rule for this Upsample, and later ones (tried: 1.10.2 to
1.23.2) need the size of its input, which onnx's shape inference cannot tell after another such Upsample.

The wiring of forward() is repeated here by hand; the first of the three legs checks that both compute the same.
"""

from converter.builders.nodes import Writer, save


def write(network, opset, ir_version, path, onnx, shape=(1, 3, 224, 224)):
    """Write the file, with the input `image` and the output `mask`. Raises ValueError for an unsupported opset.

    network: with its weights, in eval mode; onnx: the package; shape: of the image, its sides divisible by 32.
    """
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
