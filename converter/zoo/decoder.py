"""An image generator: exercises transposed convolutions, whose padding crops, whose output padding extends one side
only, and whose weights have the axes of inputs and outputs swapped.

After the generator of "Unsupervised representation learning with deep convolutional generative adversarial networks"
(Radford et al., 2016, arXiv:1511.06434).
"""

from torch import nn


def build():
    """code, float32 N x 16 x 4 x 4 -> image, float32 N x 3 x 32 x 32 within (-1, 1)."""
    return nn.Sequential(
        nn.ConvTranspose2d(16, 24, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(24, 12, 3, stride=2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(12, 12, 3, stride=1, padding=1, groups=3),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(12, 3, 5, stride=2, padding=2, output_padding=1),
        nn.Tanh(),
    )
