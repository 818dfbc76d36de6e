"""Names of a SavedModel's signature: which of them means which input or output of the ONNX model."""

import re


def match(names, keys):
    """{ONNX name: key of the signature}. A signature has the names themselves (onnx-tf 1.9 and later), them with other
    characters replaced, or "output_0", "output_1", ... in order (1.7, 1.8)."""
    spellings = (
        {name: name for name in names},
        {name: re.sub(r"\W", "_", name) for name in names},
        {name: "output_%d" % position for position, name in enumerate(names)},
    )
    for spelling in spellings:
        if set(spelling.values()) == set(keys):
            return spelling
    raise ValueError("the signature has %s, the model has %s" % (sorted(keys), names))
