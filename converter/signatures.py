"""Map the names in a SavedModel's signature to the inputs and outputs of the ONNX model."""

import re


def match(names, keys):
    """Return {ONNX name: signature key}. Raises ValueError if the keys follow no known scheme.

    Keys are the names themselves (onnx-tf 1.9 and later), the names with special characters replaced, or "output_0",
    "output_1", ... in order (1.7, 1.8).
    """
    spellings = (
        {name: name for name in names},
        {name: re.sub(r"\W", "_", name) for name in names},
        {name: "output_%d" % position for position, name in enumerate(names)},
    )
    for spelling in spellings:
        if set(spelling.values()) == set(keys):
            return spelling
    raise ValueError("the signature has %s, the model has %s" % (sorted(keys), names))
