"""Dynamic axes in the form each exporter expects. Jobs give them as {input: {"axis": label}}, the axis a string because
JSON's keys are strings."""


def dynamic_axes(asked, outputs):
    """Return {tensor: {axis: label}} for the TorchScript exporter: the requested axes of inputs, and every axis of an
    output whose size differs between the cases `outputs`, a list of {name: array}."""
    axes = {name: {int(axis): label for axis, label in labels.items()} for name, labels in asked.items() if labels}
    for name in outputs[0]:
        shapes = [case[name].shape for case in outputs]
        varying = [axis for axis, sizes in enumerate(zip(*shapes)) if len(set(sizes)) > 1]
        if varying:
            axes[name] = {axis: "%s_%d" % (name, axis) for axis in varying}
    return axes


def dynamic_shapes(asked, inputs):
    """Return {axis: label} or None for each input in order, for the dynamo exporter, which infers the outputs' axes."""
    return tuple(
        {int(axis): label for axis, label in asked[name].items()} if asked.get(name) else None for name in inputs
    )
