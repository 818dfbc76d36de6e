"""Convert one .onnx file with onnx-tf, save it, load it again and compare, as a user's script would. Runs in the
converter environment, one process for each conversion.

    python convert_by_hand.py MODEL.onnx INPUTS.npz REFERENCE.npz FOLDER
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy
import onnx
import onnx_tf.backend
import tensorflow


def cases(path):
    grouped = {}
    with numpy.load(path) as arrays:
        for key in arrays.files:
            case, name = key.split("/", 1)
            grouped.setdefault(int(case), {})[name] = arrays[key]
    return [grouped[case] for case in sorted(grouped)]


def main(model_file, inputs_file, reference_file, folder):
    inputs, references = cases(inputs_file), cases(reference_file)
    model = onnx.load(model_file)
    onnx.checker.check_model(model)
    converted = onnx_tf.backend.prepare(model, device="CPU")
    in_memory = [converted.run(list(case.values())) for case in inputs]
    converted.export_graph(folder)
    reloaded = tensorflow.saved_model.load(folder)
    for case, reference, memory in zip(inputs, references, in_memory):
        again = reloaded(**{name: tensorflow.constant(value) for name, value in case.items()})
        for position, (name, expected) in enumerate(reference.items()):
            numpy.testing.assert_allclose(memory[position], expected, rtol=1e-3, atol=1e-5)
            value = again[name] if isinstance(again, dict) else again[position]
            numpy.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-5)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        # Some pairs cannot be converted; a user's script records that and continues.
        print("failed: %s: %s" % (type(error).__name__, str(error).strip().splitlines()[-1:]))
    else:
        print("match")
