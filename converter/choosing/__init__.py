"""Choose inputs for an .onnx file that leaves sizes open: sizes that it runs with, and values that mean something."""
