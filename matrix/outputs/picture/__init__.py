"""The outputs of torch and TensorFlow for one image, side by side, for a model from image to image."""
