"""Axes without a fixed size, as the exporters want to be told. Asked for as {input: {"axis": label}}, axes as text
because that is what JSON has."""


def dynamic_axes(asked, outputs):
    """For the TorchScript exporter: {tensor: {axis: label}} of the inputs asked for, and of the outputs, given as the
    arrays {name: array} of several cases, whose size is not the same in every case."""
    axes = {name: {int(axis): label for axis, label in labels.items()} for name, labels in asked.items() if labels}
    for name in outputs[0]:
        shapes = [case[name].shape for case in outputs]
        varying = [axis for axis, sizes in enumerate(zip(*shapes)) if len(set(sizes)) > 1]
        if varying:
            axes[name] = {axis: "%s_%d" % (name, axis) for axis in varying}
    return axes


def dynamic_shapes(asked, inputs):
    """For the dynamo exporter: for each input in order {axis: label} or None. It finds out about the outputs itself."""
    return tuple(
        {int(axis): label for axis, label in asked[name].items()} if asked.get(name) else None for name in inputs
    )
