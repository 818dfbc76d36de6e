"""Rewrite an .onnx file without changing what it computes, in the reference environment."""
