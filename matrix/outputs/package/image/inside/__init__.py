"""The program inside a take-away image: one .onnx file in, a TensorFlow model and a verdict out.

It runs in the image's second tree, Python 3.11 with the packages of the reference environment, and starts
converter/worker.py in the converter environment beside it. The image holds only the modules that `carried.py` lists,
so nothing here may import pydantic, YAML, click or the store.
"""
