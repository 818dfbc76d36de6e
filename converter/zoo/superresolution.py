"""An image upscaler: exercises the pixel shuffle (a reshape through six axes, or DepthToSpace, which has two channel
orders, of which TensorFlow supports one) and activations with a slope for each channel.

After "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network"
(Shi et al., 2016, arXiv:1609.05158).
"""

from torch import nn

FACTOR = 3


def build():
    """image, float32 N x 3 x H x W -> image, float32 N x 3 x 3H x 3W, unbounded."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.PReLU(16),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.PReLU(16),
        nn.Conv2d(16, 3 * FACTOR**2, 3, padding=1),
        nn.PixelShuffle(FACTOR),
    )
