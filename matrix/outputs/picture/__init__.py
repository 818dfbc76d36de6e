"""An image-to-image model seen: what torch and TensorFlow make of one image, side by side."""
